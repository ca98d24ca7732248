"""The identity headers of an accepted call: all of them, always, so that a proxy overwrites what a client sent."""

from tenure.domain.tenant import Tenant
from tenure.domain.token import Token


def identity_headers(
    context: Tenant | None, token: Token | None, app_key: str, decision: str
) -> tuple[tuple[bytes, bytes], ...]:
    """The seven `X-Tenure-*` headers; empty where unknown. All values were plain ASCII when they were taken in."""
    return (
        (b"x-tenure-client-key", context.client_key.encode() if context else b""),
        (b"x-tenure-base-url", context.base_url.encode() if context else b""),
        (b"x-tenure-account-id", (token.sub or "").encode() if token else b""),
        (b"x-tenure-enabled", (b"true" if context.enabled else b"false") if context else b""),
        (b"x-tenure-installation-id", context.installation_id.encode() if context else b""),
        (b"x-tenure-app-key", app_key.encode()),
        (b"x-tenure-decision", decision.encode()),
    )
