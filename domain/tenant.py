"""What is true of a tenant: the security context, and the one meaning of each event.

`evolve` is used by the live projection, by every as-of question and by the check of the projections alike. Its rules
(sources: Atlassian's lifecycle docs and staff posts; behaviour seen in maintained apps):
- the first install and a return are not enabled until `enabled` comes; `installed` on a live tenant keeps what was;
- an installation id once known is not lost when a rename brings none;
- uninstall marks: secret and site stay, to prove a return;
- the same secret sent again is not a rotation; a secret that was replaced is kept one generation, to be recognised;
- an erased tenant is unknown: only its bare history stays, and an `installed` after that is a first one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tenure.domain.events import Erased, Event, EventType, Installed, Reinstated
from tenure.domain.swift import altering, swift


class Standing(StrEnum):
    """Where a tenant stands: never heard of, installed, or uninstalled but kept."""

    UNKNOWN = "unknown"
    LIVE = "live"
    UNINSTALLED = "uninstalled"


@dataclass(frozen=True, slots=True)
class Secret:
    """A sealed secret and where it came from: the event's version (part of its seal), position and time."""

    sealed: str
    fingerprint: str
    version: int
    position: int
    since: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant's security context as of `position`. `disabled` is true only after a believed `disabled`."""

    app_key: str
    client_key: str
    version: int
    position: int
    installed: bool
    enabled: bool
    disabled: bool
    secret: Secret
    previous: Secret | None
    base_url: str
    display_url: str
    product_type: str
    installation_id: str
    installed_at: str
    uninstalled_at: str
    erased_at: str = ""


# folds are made of these
_tenant, _secret, _altered = swift(Tenant), swift(Secret), altering(Tenant)
NO_SECRET = Secret("", "", 0, 0, "")


def standing(tenant: Tenant | None) -> Standing:
    """The column of the decision table a tenant is in."""
    if tenant is None or tenant.erased_at:
        return Standing.UNKNOWN
    return Standing.LIVE if tenant.installed else Standing.UNINSTALLED


def evolve(tenant: Tenant | None, event: Event) -> Tenant | None:
    """The tenant after the event. Total: an event of a type unknown to this code changes only the version."""
    if isinstance(event.data, Installed):
        return _installed(tenant, event, event.data)
    if tenant is None:
        return None
    if isinstance(event.data, Erased):
        return _erased(tenant, event)
    changed: dict[str, Any] = {"version": event.version, "position": event.position}
    if isinstance(event.data, Reinstated):
        return _altered(tenant, **changed, **_reinstated(tenant, event, event.data))
    match event.type:
        case EventType.UNINSTALLED:
            changed |= {"installed": False, "enabled": False, "disabled": False, "uninstalled_at": event.recorded_at}
        case EventType.ENABLED if tenant.installed:
            changed |= {"enabled": True, "disabled": False}
        case EventType.DISABLED if tenant.installed:
            changed |= {"enabled": False, "disabled": True}
    return _altered(tenant, **changed)


def fold_stream(events: Iterable[Event]) -> Tenant | None:
    """One tenant after its events."""
    tenant = None
    for event in events:
        tenant = evolve(tenant, event)
    return tenant


def _erased(tenant: Tenant, event: Event) -> Tenant:
    return Tenant(
        app_key=tenant.app_key,
        client_key=tenant.client_key,
        version=event.version,
        position=event.position,
        installed=False,
        enabled=False,
        disabled=False,
        secret=NO_SECRET,
        previous=None,
        base_url="",
        display_url="",
        product_type="",
        installation_id="",
        installed_at="",
        uninstalled_at=tenant.uninstalled_at,
        erased_at=event.recorded_at,
    )


def _reinstated(tenant: Tenant, event: Event, data: Reinstated) -> dict[str, Any]:
    if tenant.erased_at:
        return {}
    secret = Secret(data.secret, data.secret_fingerprint, event.version, event.position, event.recorded_at)
    return {"secret": secret, "previous": tenant.secret}


def _installed(tenant: Tenant | None, event: Event, data: Installed) -> Tenant:
    if tenant is not None and tenant.erased_at:
        tenant = None
    secret = _secret(data.secret, data.secret_fingerprint, event.version, event.position, event.recorded_at)
    previous = None
    if tenant is not None:
        rotated = tenant.secret.fingerprint != secret.fingerprint
        previous = tenant.secret if rotated else tenant.previous
        secret = secret if rotated else tenant.secret
    live = tenant is not None and tenant.installed
    return _tenant(
        app_key=event.app_key,
        client_key=event.client_key,
        version=event.version,
        position=event.position,
        installed=True,
        enabled=tenant.enabled if tenant and live else False,
        disabled=tenant.disabled if tenant and live else False,
        secret=secret,
        previous=previous,
        base_url=data.base_url,
        display_url=data.display_url or data.base_url,
        product_type=data.product_type,
        installation_id=data.installation_id or (tenant.installation_id if tenant else ""),
        installed_at=tenant.installed_at if tenant and live else event.recorded_at,
        uninstalled_at="",
    )
