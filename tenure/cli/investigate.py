"""Investigate: why one call was decided as it was, what happened to a site, and what vendors are measured on."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tenure.cli.archive import archive
from tenure.cli.audit import Json, TenantName
from tenure.cli.output import emit, fail, moment, table
from tenure.domain.decisions import Decision
from tenure.domain.questions import STORED
from tenure.projections.diagnosis import Diagnosis
from tenure.projections.diagnosis import diagnose as diagnosis_of
from tenure.projections.explain import Explanation
from tenure.projections.explain import explain as explanation_of
from tenure.projections.measured import Rate
from tenure.projections.shown import explanation_fields

Since = Annotated[str, typer.Option(help="From this time on: ISO 8601 with zone, or an age such as 12h.")]


def explain(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="The id in X-Tenure-Decision.")],
    as_json: Json = False,
) -> None:
    """One decision, step by step: why, and what to do. Example: tenure explain 01890a5d-ac96-774b-bcce-b302099a8057"""
    with archive() as room:
        stored = room.decisions.one(decision)
        found = explanation_of(room.known(stored.decision)) if stored else None
    if stored is None or found is None:
        raise fail(f"there is no decision {decision}, or it was only counted (see: tenure decisions)", 1)
    tell_explanation(stored.decision, found, as_json)


def tell_explanation(made: Decision, found: Explanation, as_json: bool) -> None:
    """A decision and why it was made."""
    if as_json:
        emit(explanation_fields(made, found), True)
        return
    typer.echo(f"{made.at}  {made.kind}  {made.method} {made.path}  {made.status}  {made.verdict} {made.reason}\n")
    steps = [asdict(step) for step in found.steps]
    table(steps, ("name", "outcome", "detail"), False)
    typer.echo("")
    emit({"why": found.why, "next": found.next, "flips": found.turns}, False)


def diagnose(
    name: TenantName,
    since: Since = "12h",
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    as_json: Json = False,
) -> None:
    """What happened to a site, the likely cause, what to do next. Example: tenure diagnose acme.atlassian.net"""
    ends = moment(until) if until else datetime.now(UTC).strftime(STORED)
    with archive() as room:
        found = diagnosis_of(room.case(name, moment(since), ends))
    if as_json:
        emit(asdict(found), True)
        return
    tell_diagnosis(found)


def tell_diagnosis(found: Diagnosis) -> None:
    """A diagnosis in words."""
    head: dict[str, Any] = {
        "site": f"{found.tenant}  {found.base_url}  {found.client_key}",
        "time": f"{found.since} to {found.until}",
        "last accepted": found.last_accepted or "never, as far as is kept",
        "cause": f"{found.cause or 'none'}: {found.says}",
        **{f"sign {number}": sign for number, sign in enumerate(found.signs, 1)},
        "next": found.next,
    }
    emit(head, False)
    for title, rows, columns in (
        ("refused", [asdict(one) for one in found.refused], ("count", "reason", "first", "last")),
        ("around it", list(found.around), ("at", "position", "what")),
        ("also", [asdict(one) for one in found.also], ("cause", "says")),
        ("not", [asdict(one) for one in found.is_not], ("cause", "says")),
        ("webhooks lost", [{"identifier": one} for one in found.webhooks_lost], ("identifier",)),
        ("webhooks Jira sends again", [{"identifier": one} for one in found.webhooks_to_come], ("identifier",)),
    ):
        if rows:
            typer.echo(f"\n{title}")
            table(rows, columns, False)


def measured(
    since: Since = "28d",
    quiet: Annotated[str, typer.Option(help="Tenants are quiet that were last accepted before this.")] = "7d",
    as_json: Json = False,
) -> None:
    """What Atlassian measures: calls answered 200 or 204; and twins, quiet tenants, strangers.
    Example: tenure measured --since 7d
    """
    with archive() as room:
        found = room.measured(moment(since), moment(quiet))
    if as_json:
        emit(asdict(found), True)
        return
    emit({"installation callbacks": _rate(found.installs), "webhooks": _rate(found.webhooks)}, False)
    failures = [*found.installs.failures, *found.webhooks.failures]
    for title, rows, columns in (
        ("not answered 200 or 204", failures, ("at", "status", "reason", "client_key", "path", "decision")),
        ("one site, several client keys", [asdict(one) for one in found.twins], ("base_url", "client_keys")),
        ("quiet", [asdict(one) for one in found.quiet], ("client_key", "base_url", "last_accepted")),
        ("Atlassian's scanner", [asdict(one) for one in found.scanner], ("count", "kind", "reason", "path", "last")),
        ("strangers", [asdict(one) for one in found.strangers], ("count", "kind", "reason", "path", "last")),
    ):
        if rows:
            typer.echo(f"\n{title}")
            table(rows, columns, False)


def _rate(rate: Rate) -> str:
    share = "no call" if rate.rate is None else f"{100 * rate.rate:.2f} %"
    return f"{share} ({rate.good} good, {rate.failed} failed, {rate.strangers} of strangers)"
