"""Audit: tenants and events, now or as of then. Reads only; needs no key."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tenure.cli.output import emit, fail, moment, reading, table
from tenure.domain.events import Event
from tenure.domain.tenant import Tenant
from tenure.projections import tenants
from tenure.projections.security_context import as_of
from tenure.settings import StoreSettings, load
from tenure.store.codec import COLUMNS
from tenure.store.decisions import SqliteDecisions
from tenure.stores import Log

MAX_POSITION = (1 << 63) - 1

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
At = Annotated[str | None, typer.Option("--at", help="As of a time: ISO 8601 with zone, or an age such as 12h.")]
Position = Annotated[
    int | None, typer.Option("--position", help="As of a position of the log.", min=0, max=MAX_POSITION)
]
TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Client key, site, URL or installation id.")]

tenant_app = typer.Typer(no_args_is_help=True, help="Tenants, now or then.")


def tenant_fields(tenant: Tenant) -> dict[str, Any]:
    """A tenant as it is shown; never a secret."""
    return {
        "app_key": tenant.app_key,
        "client_key": tenant.client_key,
        "installed": tenant.installed,
        "enabled": tenant.enabled,
        "base_url": tenant.base_url,
        "display_url": tenant.display_url,
        "product_type": tenant.product_type,
        "installation_id": tenant.installation_id,
        "version": tenant.version,
        "position": tenant.position,
        "secret_fingerprint": tenant.secret.fingerprint,
        "secret_position": tenant.secret.position,
        "installed_at": tenant.installed_at,
        "uninstalled_at": tenant.uninstalled_at or None,
        "erased_at": tenant.erased_at or None,
    }


def event_fields(event: Event) -> dict[str, Any]:
    """An event as it is shown; secrets and personal fields are sealed in it."""
    fields = {name: getattr(event, name) for name in (*COLUMNS, "hash") if name != "token_fingerprint"}
    fields["changed"] = asdict(event.changed) if event.changed else None
    fields["data"] = {name: value for name, value in asdict(event.data).items() if value}
    return fields


def one_tenant(log: Log, name: str) -> Tenant:
    """The tenant of a name; exit 1 if there is none, 2 with the list if there are several."""
    found = tenants.find(log.connection, name)
    if not found:
        raise fail(f"no tenant {name} is known (see: tenure tenant list)", 1)
    if len(found) > 1:
        keys = "\n".join(f"  {t.client_key}  {t.base_url}  position {t.position}" for t in found)
        raise fail(f"{name} names several tenants, newest first; say which by its client key:\n{keys}", 2)
    return found[0]


@tenant_app.command("list")
def tenant_list(as_json: Json = False) -> None:
    """All tenants, newest first."""
    with reading() as log:
        rows = [tenant_fields(tenant) for tenant in tenants.listing(log.connection)]
    table(rows, ("client_key", "base_url", "installed", "enabled", "version", "position"), as_json)


@tenant_app.command("show")
def tenant_show(name: TenantName, at: At = None, position: Position = None, as_json: Json = False) -> None:
    """A tenant's state now, at a time or at a position. Example: tenure tenant show acme.atlassian.net --at 12h"""
    if at is not None and position is not None:
        raise fail("give --at or --position, not both", 2)
    with reading() as log:
        tenant: Tenant | None = one_tenant(log, name)
        assert tenant is not None  # noqa: S101 (one_tenant exits otherwise)
        if at is not None:
            position = log.position_at(moment(at))
        if position is not None:
            tenant = as_of(log, tenant.app_key, tenant.client_key, position)
    if tenant is None:
        raise fail(f"{name} was not known at position {position}", 1)
    emit(tenant_fields(tenant), as_json)


def events(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only this type: installed, enabled, …")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    after: Annotated[int, typer.Option(help="Only later positions.", min=0, max=MAX_POSITION)] = 0,
    limit: Annotated[int, typer.Option(help="At most so many; -1: all.", min=-1, max=MAX_POSITION)] = -1,
    as_json: Json = False,
) -> None:
    """The log, oldest first. Example: tenure events --tenant acme.atlassian.net --since 28d"""
    with reading() as log:
        found = log.read(
            client_key=one_tenant(log, tenant).client_key if tenant else None,
            kind=kind,
            since=moment(since) if since else None,
            until=moment(until) if until else None,
            after=after,
            limit=limit,
        )
        if as_json:
            for event in found:
                emit(event_fields(event), True)
            return
        rows = [event_fields(event) | {"why": event.changed.cause if event.changed else ""} for event in found]
    table(rows, ("position", "recorded_at", "type", "client_key", "version", "why"), False)


def event(number: Annotated[int, typer.Argument(metavar="N", min=1, max=MAX_POSITION)], as_json: Json = False) -> None:
    """One event, by its position."""
    with reading() as log:
        found = next(log.read(after=number - 1, limit=1), None)
    if found is None or found.position != number:
        raise fail(f"there is no event {number}", 1)
    emit(event_fields(found), as_json)


def decisions(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    verdict: Annotated[str | None, typer.Option(help="accepted or refused.")] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """The newest decisions, with the reason of each refusal."""
    with reading() as log:
        client_key = one_tenant(log, tenant).client_key if tenant else None
        store = SqliteDecisions(load(StoreSettings).beside("decisions"), read_only=True)
        rows = store.read(client_key=client_key, verdict=verdict, limit=limit)
        store.close()
    table(list(rows), ("at", "kind", "verdict", "reason", "client_key", "path", "status", "decision"), as_json)
