"""Makes events, tenants and appends for tests of the rules and of the store."""

from tenure.domain.events import Changed, Draft, Event, EventType, Installed, Switched
from tenure.domain.ports import Append, Spend
from tenure.domain.tenant import Tenant, evolve

APP = "com.example.app"
CLIENT = "client-1"
SITE = "https://acme.atlassian.net"


def stamp(second: int) -> str:
    """A stored time, so many seconds into a day."""
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"


def install(
    secret: str = "one", base_url: str = SITE, *, installation_id: str = "", product_type: str = ""
) -> Installed:
    """The data of an `installed`; `secret` names the sealed text and its fingerprint."""
    return Installed(
        base_url,
        f"sealed-{secret}",
        f"print-{secret}",
        installation_id=installation_id,
        product_type=product_type,
    )


def numbered(position: int, step: Installed | str, *, client_key: str = CLIENT) -> Event:
    """An event whose version is its position and whose time is so many seconds into the day."""
    kind, data = ("installed", step) if isinstance(step, Installed) else (step, Switched())
    return Event(position, position, kind, APP, client_key, stamp(position), {}, None, data, "", "")


def history(*steps: Installed | str) -> Tenant | None:
    """The tenant after the steps: an `Installed`, or the name of another event."""
    tenant = None
    for position, step in enumerate(steps, 1):
        tenant = evolve(tenant, numbered(position, step))
    return tenant


def tenant_after(*steps: Installed | str) -> Tenant:
    """As `history`, for steps that leave a tenant."""
    tenant = history(*steps)
    assert tenant is not None
    return tenant


def request(
    expected: int,
    step: Installed | EventType | None = EventType.ENABLED,
    *,
    client_key: str = CLIENT,
    spend: Spend | None = None,
    changed: Changed | None = None,
) -> Append:
    """Asks for one event (or, with None, only for the spending of a token)."""
    draft = None
    if isinstance(step, Installed):
        draft = Draft(EventType.INSTALLED, {"kind": "rs256", "kid": "k"}, step, changed)
    elif step is not None:
        draft = Draft(step, {"kind": "hs256"}, Switched())
    return Append(APP, client_key, expected, draft, spend)
