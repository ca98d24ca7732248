"""`tenure decisions`: what was accepted and refused, as rows or counted."""

from typing import Annotated, Any

import typer

from tenure.cli.archive import archive
from tenure.cli.audit import Json, only
from tenure.cli.follow import follow as follow_rows
from tenure.cli.output import fail, moment, table
from tenure.domain.decisions import Stored, Wanted
from tenure.projections.archive import Archive, By
from tenure.projections.shown import decision_fields

_COLUMNS = ("at", "kind", "verdict", "reason", "client_key", "path", "status", "decision")
_BY: dict[str, By] = {"reason": "reason", "tenant": "tenant", "hour": "hour"}


def decisions(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's (proved).")] = None,
    claimed: Annotated[str | None, typer.Option(help="Only those whose token claims this client key.")] = None,
    verdict: Annotated[str | None, typer.Option(help="accepted or refused.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only refused for this reason.")] = None,
    kind: Annotated[str | None, typer.Option(help="webhook, forward-auth, installed, …, sign, audit.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    identifier: Annotated[str | None, typer.Option(help="Only this webhook's.")] = None,
    kid: Annotated[str | None, typer.Option(help="Only with this install key.")] = None,
    by: Annotated[str | None, typer.Option(help="Count by reason, tenant or hour.")] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as decisions come.")] = False,
    as_json: Json = False,
) -> None:
    """The newest decisions, or how many there were. Example: tenure decisions --since 12h --by reason"""
    if verdict not in (None, "accepted", "refused"):
        raise fail("a verdict is accepted or refused", 2)
    if by is not None and by not in _BY:
        raise fail("decisions are counted by reason, tenant or hour", 2)
    with archive() as room:
        wanted = Wanted(
            client_key=only(room.find(tenant), tenant).client_key if tenant else None, claimed_client_key=claimed,
            verdict=verdict, reason=reason, kind=kind, since=moment(since) if since else None,
            until=moment(until) if until else None, identifier=identifier, kid=kid,
        )  # fmt: skip
        if by is not None:
            _count(room, _BY[by], wanted, as_json)
            return
        if follow:
            follow_rows(lambda last: _behind(room, wanted, last), room.decisions.last_number(), _COLUMNS, as_json)
            return
        rows = [decision_fields(one.decision) for one in reversed(room.decisions.page(wanted, limit=limit))]
    table(rows, _COLUMNS, as_json)


def _behind(room: Archive, wanted: Wanted, last: int) -> list[tuple[int, dict[str, Any]]]:
    found: list[Stored] = room.decisions.page(wanted, after=last, limit=500, newest_first=False)
    return [(one.number, decision_fields(one.decision)) for one in found]


def _count(room: Archive, by: By, wanted: Wanted, as_json: bool) -> None:
    try:
        counts = room.decisions.counts(by, wanted)
    except ValueError as error:
        raise fail(str(error), 2) from None
    table(
        [{by: one.name, "counted": one.counted, "kept": one.kept} for one in counts], (by, "counted", "kept"), as_json
    )
