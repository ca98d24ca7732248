"""`tenure replay`: recorded decisions decided again, as of then or under another state, other settings, another clock.

Opens the store read-only, asks no clock for the verdicts and sends nothing. Needs no key: secrets are compared by their
fingerprints.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from tenure import __version__
from tenure.cli.archive import archive
from tenure.cli.audit import At, Json, Position, only
from tenure.cli.decisions import Verdicts
from tenure.cli.output import emit, fail, moment, progress, settings_of, table
from tenure.cli.overrides import overrides, seconds
from tenure.domain.decisions import Decision, Wanted
from tenure.domain.questions import MAX_POSITION
from tenure.domain.refusals import Reason
from tenure.operators import app_key_of
from tenure.projections.archive import Archive
from tenure.projections.replay import DIFFERS, INCOMPLETE, SAME, Replay, Replayed, WhatIf
from tenure.settings import StoreSettings

LISTED = 20
SHOW_EVERY_S = 0.2


@dataclass(slots=True)
class Summary:
    """What came of all. `turned` counts (recorded, found, because); the steps are counted by name."""

    results: Counter[str] = field(default_factory=Counter)
    turned: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    recomputed: Counter[str] = field(default_factory=Counter)
    read_back: Counter[str] = field(default_factory=Counter)
    listed: list[Replayed] = field(default_factory=list)

    def add(self, one: Replayed) -> None:
        """Counts one."""
        self.results[one.result] += 1
        self.recomputed.update(step.name.lower() for step in one.recomputed)
        self.read_back.update(step.name.lower() for step in one.read_back)
        if one.result != SAME:
            recorded = one.decision.reason or one.decision.verdict
            self.turned[recorded, "" if one.result == INCOMPLETE else one.reason or one.verdict, one.because] += 1
            if len(self.listed) < LISTED:
                self.listed.append(one)

    @property
    def fields(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "decisions": self.results.total(),
            **{name: self.results[name] for name in (SAME, DIFFERS, INCOMPLETE)},
            "recomputed": dict(self.recomputed),
            "read_back": dict(self.read_back),
        }


def replay(
    decisions: Annotated[list[str] | None, typer.Argument(metavar="DECISION", help="Ids of decisions.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are kept.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", help="All that name this tenant.")] = None,
    verdict: Annotated[Verdicts | None, typer.Option(help="Only these.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only refusals for this reason.")] = None,
    kind: Annotated[str | None, typer.Option(help="webhook, forward-auth, a callback, sign or audit.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    position: Position = None,
    at: At = None,
    head: Annotated[bool, typer.Option("--head", help="Under the state of now.")] = False,
    given: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME=VALUE", help="Under this setting; may be repeated.")
    ] = None,
    clock: Annotated[str | None, typer.Option(help="With the clock moved: +90s, -2h.")] = None,
    differing: Annotated[bool, typer.Option("--differing", help="List only what is not the same.")] = False,
    as_json: Json = False,
) -> None:
    """Recorded decisions decided again, as of then or under another state or setting; exit 1 if one differs.
    Example: tenure replay --all Example: tenure replay --tenant acme.atlassian.net --since 2h --head
    Example: tenure replay --all --with REFUSE_DISABLED=on
    """
    filters = (tenant, verdict, reason, kind, since, until)
    if bool(decisions) == (every or any(f is not None for f in filters)):
        raise fail("name DECISIONs, or give --all or a filter such as --tenant or --since", 2)
    if sum((position is not None, at is not None, head)) > 1:
        raise fail("give one of --position, --at and --head", 2)
    if reason is not None and reason not in set(Reason):
        raise fail(f"unknown reason {reason}; the reasons are {', '.join(sorted(Reason))}", 2)
    changed, moved = overrides(given or []), seconds(clock)
    summary = Summary()
    with archive() as room:
        wanted = Wanted(verdict=verdict and verdict.value, reason=reason, kind=kind,
                        since=moment(since) if since else None, until=moment(until) if until else None)  # fmt: skip
        what_if = WhatIf(_position(room, position, at, head), changed, moved)
        with _shown(_count(room, wanted, decisions), as_json) as step:
            for one in _replayed(room, what_if, _chosen(room, decisions, tenant, wanted)):
                summary.add(one)
                step(summary)
                if as_json and not (differing and one.result == SAME):
                    emit(fields(one), True)
    _tell(summary, as_json, named=bool(decisions))
    if summary.results[SAME] != summary.results.total():
        raise typer.Exit(1)


def _position(room: Archive, position: int | None, at: str | None, head: bool) -> int | None:
    if head:
        return MAX_POSITION
    return room.events.position_at(moment(at)) if at is not None else position


def _replayed(room: Archive, what_if: WhatIf, chosen: Iterator[Decision]) -> Iterator[Replayed]:
    app_key = app_key_of(room.events, settings_of(StoreSettings).app_key)
    return Replay(room.events, app_key, what_if, __version__).run(chosen)


def _chosen(room: Archive, ids: list[str] | None, tenant: str | None, wanted: Wanted) -> Iterator[Decision]:
    if ids:
        yield from (_one(room, found) for found in ids)
        return
    key = only(room.find(tenant), tenant).client_key if tenant else None
    yield from (stored.decision for stored in room.every_decision(wanted, key))


def _one(room: Archive, decision: str) -> Decision:
    stored = room.decisions.one(decision)
    if stored is None:
        raise fail(f"there is no decision {decision}, or it was only counted (see: tenure decisions)", 1)
    return stored.decision


def _count(room: Archive, wanted: Wanted, ids: list[str] | None) -> int:
    return len(ids) if ids else sum(group.kept for group in room.decisions.counts("reason", wanted))


@contextmanager
def _shown(total: int, as_json: bool) -> Iterator[Any]:
    began, shown = time.monotonic(), 0.0
    with progress(as_json) as say:

        def step(summary: Summary) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown < SHOW_EVERY_S:
                return
            shown, done = now, summary.results.total()
            rate = done / max(now - began, 1e-6)
            left = max(total - done, 0) / rate
            other = done - summary.results[SAME]
            say(f"{done} of {total} decisions, {rate:.0f} a second, {left:.0f} s left; {other} not the same")

        yield step


def fields(one: Replayed) -> dict[str, Any]:
    """One replayed decision as it is shown."""
    made = one.decision
    return {
        "decision": made.decision,
        "at": made.at,
        "kind": made.kind,
        "client_key": made.client_key or made.claimed_client_key,
        "result": one.result,
        "recorded": {"verdict": made.verdict, "reason": made.reason, "read_position": made.read_position},
        "replayed": {"verdict": one.verdict, "reason": one.reason, "read_position": one.read_position},
        "because": one.because,
        "says": one.says,
        "recomputed": [step.name.lower() for step in one.recomputed],
        "read_back": [step.name.lower() for step in one.read_back],
    }


def _tell(summary: Summary, as_json: bool, named: bool) -> None:
    if as_json:
        told = summary.fields
        typer.echo(
            f"{told['decisions']} decided again: {told[SAME]} the same, {told[DIFFERS]} differ, "
            f"{told[INCOMPLETE]} cannot be known", err=True,
        )  # fmt: skip
        return
    emit({name: summary.results[name] for name in (SAME, DIFFERS, INCOMPLETE)}, False)
    steps = [
        {"step": name, "recomputed": summary.recomputed[name], "read back": summary.read_back[name]}
        for name in dict.fromkeys([*summary.recomputed, *summary.read_back])
    ]
    if steps:
        typer.echo("")
        table(steps, ("step", "recomputed", "read back"), False)
    if summary.turned:
        typer.echo("")
        rows = [
            {"count": count, "recorded": was, "replayed": now or "cannot be known", "because": because}
            for (was, now, because), count in summary.turned.most_common()
        ]
        table(rows, ("count", "recorded", "replayed", "because"), False)
    if summary.listed:
        typer.echo("\nthe first of them" if not named else "")
        table([_line(one) for one in summary.listed], ("decision", "kind", "recorded", "replayed", "says"), False)


def _line(one: Replayed) -> dict[str, Any]:
    made = one.decision
    return {
        "decision": made.decision, "kind": made.kind, "recorded": made.reason or made.verdict,
        "replayed": "?" if one.result == INCOMPLETE else one.reason or one.verdict, "says": one.says,
    }  # fmt: skip
