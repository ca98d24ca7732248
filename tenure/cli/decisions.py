"""`tenure decisions`: what was accepted and refused, and why; counted exactly, kept as far as there was room."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from tenure.cli.audit import Json, not_empty, one_tenant
from tenure.cli.follow import follow as follow_rows
from tenure.cli.output import fail, guarded, moment, reading, settings_of, table
from tenure.decision_stores import decision_reads_of
from tenure.domain.decisions import Stored, Wanted
from tenure.domain.refusals import Reason
from tenure.projections import shown
from tenure.settings import StoreSettings
from tenure.store.decision_reads import DecisionReads

_SHOWN = ("at", "kind", "verdict", "reason", "client_key", "path", "status", "decision")


class Verdicts(StrEnum):
    """The two verdicts."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class Groups(StrEnum):
    """What decisions are counted by."""

    REASON = "reason"
    TENANT = "tenant"
    HOUR = "hour"


def decision_fields(stored: Stored) -> dict[str, Any]:
    """A decision as it is shown."""
    return shown.decision_fields(stored.decision)


def decisions(
    tenant: Annotated[
        str | None, typer.Option("--tenant", callback=not_empty, help="Only this tenant's, proved.")
    ] = None,
    verdict: Annotated[Verdicts | None, typer.Option(help="Only these.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only refusals for this reason.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    claimed: Annotated[str | None, typer.Option(help="Only those whose token claims this client key.")] = None,
    kind: Annotated[str | None, typer.Option(help="webhook, forward-auth, a callback, sign or audit.")] = None,
    identifier: Annotated[str | None, typer.Option(help="Only this webhook's.")] = None,
    kid: Annotated[str | None, typer.Option(help="Only with this install key.")] = None,
    by: Annotated[Groups | None, typer.Option(help="Count them by this (by whole hours), exactly.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=1_000_000)] = 100,
    as_json: Json = False,
) -> None:
    """The newest decisions, with the reason of each refusal. Example: tenure decisions --verdict refused --by reason"""
    if reason is not None and reason not in [known.value for known in Reason]:
        raise fail(f"unknown reason {reason}; the reasons are {', '.join(sorted(Reason))}", 2)
    if by is not None and follow:
        raise fail("give --by or --follow, not both", 2)
    wanted = Wanted(
        client_key=_client_key(tenant) if tenant else None,
        claimed_client_key=claimed,
        kind=kind,
        identifier=identifier,
        kid=kid,
        verdict=verdict and verdict.value,
        reason=reason,
        since=moment(since) if since is not None else None,
        until=moment(until) if until is not None else None,
    )
    with guarded():
        store = decision_reads_of(settings_of(StoreSettings))
        try:
            if by is not None:
                _counted(store, wanted, by, as_json)
            else:
                _listed(store, wanted, limit, follow, as_json)
        finally:
            store.close()


def _client_key(name: str) -> str:
    with reading() as log:
        return one_tenant(log, name).client_key


def _counted(store: DecisionReads, wanted: Wanted, by: Groups, as_json: bool) -> None:
    try:
        groups = store.counts(by.value, wanted)
    except ValueError as error:
        raise fail(str(error), 2) from None
    rows = [{by.value: group.name, "counted": group.counted, "kept": group.kept} for group in groups]
    table(rows, (by.value, "counted", "kept"), as_json)
    _say(store, wanted)


def _listed(store: DecisionReads, wanted: Wanted, limit: int, follow: bool, as_json: bool) -> None:
    number = store.last_number()
    found = list(reversed(store.page(wanted, limit=limit)))
    table([decision_fields(stored) for stored in found], _SHOWN, as_json)
    _say(store, wanted)
    if follow:
        follow_rows(
            lambda after: [
                (one.number, decision_fields(one)) for one in store.page(wanted, after=after, newest_first=False)
            ],
            max([number, *(stored.number for stored in found)]), _SHOWN, as_json,
        )  # fmt: skip


def _say(store: DecisionReads, wanted: Wanted) -> None:
    """On standard error, so that a list stays a list: a sample is never shown without what it is a sample of."""
    total = store.total(wanted)
    hours = ", by whole hours" if wanted.since or wanted.until else ""
    typer.echo(f"{total.counted} counted, {total.kept} of them kept{hours}", err=True)
