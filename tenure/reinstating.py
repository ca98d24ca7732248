"""Puts an earlier secret of a tenant in force again: the cure for a rotation that Jira rolled back.

Jira may give up waiting for the answer to an `installed`, or roll its install back after our 204, and go on with the
secret it had; here the new one is in force and every call of the site is refused. Nobody but the site's own install
can bring a secret, so what is put in force is one that an event of this tenant brought. It is sealed anew for the event
that says so, and holds until the next `installed`. Not for tenants that are erased or have uninstalled the app.
"""

from collections.abc import Sequence

from tenure.domain.events import Draft, Event, EventType, Installed, Reinstated
from tenure.domain.ports import Append, Appended, Vault
from tenure.domain.refusals import OursError, Reason
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import current
from tenure.stores import Log


class NotReinstatedError(Exception):
    """The secret is not put in force; the message says why and what to do."""


def reinstate(log: Log, vault: Vault, tenant: Tenant, secret_position: int, *, by: str, origin: str, why: str) -> Event:
    """Appends `reinstated`: in force in every process when it returns. NotReinstatedError if it may not be."""

    def decide() -> Sequence[Append]:
        now = current(log.connection, tenant.app_key, tenant.client_key)
        brought = _brought(log, tenant, secret_position)
        _check(now, brought, secret_position)
        assert now is not None and isinstance(brought.data, Installed | Reinstated)  # noqa: S101, PT018 (checked)
        place = (tenant.app_key, tenant.client_key)
        if not vault.opens(*place, brought.data.secret):
            raise NotReinstatedError(f"the secret of position {secret_position} was sealed under a key that was erased")
        plain = vault.open(*place, brought.version, "secret", brought.data.secret)
        sealed = vault.seal(*place, now.version + 1, "secret", plain)
        data = Reinstated(by, origin, secret_position, sealed, brought.data.secret_fingerprint, why)
        return [Append(*place, now.version, Draft(EventType.REINSTATED, {"kind": "operator"}, data), None)]

    result = log.append_under_lock(decide)[0]
    if not isinstance(result, Appended) or result.event is None:
        raise OursError(Reason.STORE_UNAVAILABLE, "the reinstatement was not appended")
    return result.event


def _brought(log: Log, tenant: Tenant, position: int) -> Event:
    found = next(log.read(after=position - 1, limit=1), None)
    mine = found is not None and (found.app_key, found.client_key) == (tenant.app_key, tenant.client_key)
    if found is None or not mine or found.position != position:
        raise NotReinstatedError(
            f"position {position} is no event of {tenant.client_key} (see: tenure events --tenant)"
        )
    if not isinstance(found.data, Installed | Reinstated):
        raise NotReinstatedError(f"position {position} is `{found.type}` and brought no secret; name an `installed`")
    return found


def _check(now: Tenant | None, brought: Event, position: int) -> None:
    if now is None or now.erased_at:
        raise NotReinstatedError("the tenant is erased: only a new install makes it a tenant again")
    if not now.installed:
        raise NotReinstatedError("the tenant has uninstalled the app: only a new install brings it back")
    assert isinstance(brought.data, Installed | Reinstated)  # noqa: S101 (the caller has looked)
    if brought.data.secret_fingerprint == now.secret.fingerprint:
        raise NotReinstatedError(f"the secret of position {position} is in force already")
