"""Audit: tenants and events, now or as of then. Reads only; needs no key."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer

from tenure.cli.follow import follow as follow_rows
from tenure.cli.output import emit, fail, moment, reading, table
from tenure.domain.events import Event
from tenure.domain.questions import MAX_POSITION
from tenure.domain.tenant import Tenant
from tenure.projections import tenants
from tenure.projections.security_context import as_of
from tenure.projections.shown import event_fields, tenant_fields
from tenure.stores import Log

_COLUMNS = ("position", "recorded_at", "type", "client_key", "version", "why")


def not_empty(name: str | None) -> str | None:
    """A name as given; an empty one (an unset variable in a script) would mean everybody: exit 2."""
    if name == "":
        raise fail("--tenant is empty; leave it out for all tenants", 2)
    return name


Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
At = Annotated[str | None, typer.Option("--at", help="As of a time: ISO 8601 with zone, or an age such as 12h.")]
Position = Annotated[
    int | None, typer.Option("--position", help="As of a position of the log.", min=0, max=MAX_POSITION)
]
TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Client key, site, URL or installation id.")]

tenant_app = typer.Typer(no_args_is_help=True, help="Tenants, now or then. Example: tenure tenant list")


def one_tenant(log: Log, name: str) -> Tenant:
    """The tenant of a name; exit 1 if there is none, 2 with the list if there are several."""
    return only(tenants.find(log.connection, name), name)


def only(found: Sequence[Tenant], name: str) -> Tenant:
    """The one tenant that was found by a name, or exit as `one_tenant` does."""
    if not found:
        raise fail(f"no tenant {name} is known (see: tenure tenant list)", 1)
    if len(found) > 1:
        keys = "\n".join(f"  {t.client_key}  {t.base_url}  position {t.position}" for t in found)
        raise fail(f"{name} names several tenants, newest first; say which by its client key:\n{keys}", 2)
    return found[0]


@tenant_app.command("list")
def tenant_list(
    kid: Annotated[str | None, typer.Option(help="Only those that this install key ever touched.")] = None,
    as_json: Json = False,
) -> None:
    """All tenants, newest first. Example: tenure tenant list --json"""
    with reading() as log:
        touched = set(log.kid_tenants(kid)) if kid is not None else None
        found = [t for t in tenants.listing(log.connection) if touched is None or t.client_key in touched]
        rows = [tenant_fields(tenant) for tenant in found]
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
    tenant: Annotated[str | None, typer.Option("--tenant", callback=not_empty, help="Only this tenant's.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only this type: installed, enabled, …")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    kid: Annotated[str | None, typer.Option(help="Only what this install key proved.")] = None,
    after: Annotated[int | None, typer.Option(help="Only later positions.", min=0, max=MAX_POSITION)] = None,
    limit: Annotated[int, typer.Option(help="At most so many; -1: all.", min=-1, max=MAX_POSITION)] = -1,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as events come; from the head, or --after.")] = False,
    as_json: Json = False,
) -> None:
    """The log, oldest first. Example: tenure events --tenant acme.atlassian.net --since 28d"""
    with reading() as log:
        asked = partial(
            log.read, client_key=one_tenant(log, tenant).client_key if tenant else None, kind=kind, kid=kid,
            since=moment(since) if since is not None else None, until=moment(until) if until is not None else None,
        )  # fmt: skip
        if follow:
            start = log.head()[0] if after is None else after
            follow_rows(lambda last: [(e.position, _line(e)) for e in asked(after=last)], start, _COLUMNS, as_json)
            return
        found = asked(after=after or 0, limit=limit)
        if as_json:
            for event in found:
                emit(event_fields(event), True)
            return
        rows = [_line(event) for event in found]
    table(rows, _COLUMNS, False)


def _line(event: Event) -> dict[str, Any]:
    return event_fields(event) | {"why": event.changed.cause if event.changed else ""}


def event(
    number: Annotated[int, typer.Argument(metavar="N", help="The event's position.", min=1, max=MAX_POSITION)],
    as_json: Json = False,
) -> None:
    """One event, by its position. Example: tenure event 1 --json"""
    with reading() as log:
        found = next(log.read(after=number - 1, limit=1), None)
    if found is None or found.position != number:
        raise fail(f"there is no event {number}", 1)
    emit(event_fields(found), as_json)
