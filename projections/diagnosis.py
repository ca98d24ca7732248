"""What happened to this site: from a site and a time to the likely cause, what it is not, and what to do.

Pure functions over a `Case`. The causes and their signs are in `causes`; here they are weighed (the first that holds
is the likely one, the order being from the specific to the general) and told with what happened around them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tenure.domain.decisions import Decision
from tenure.domain.events import Event, Operated
from tenure.domain.questions import seconds_between
from tenure.domain.refusals import Reason
from tenure.projections.case import Case, settings_changes
from tenure.projections.causes import CAUSES, Finding
from tenure.projections.explain import span

RETRIED = frozenset((408, 409, 425, 429))
_HONEST = frozenset(
    (Reason.SECRET_SUPERSEDED, Reason.QSH_MISMATCH, Reason.EXPIRED, Reason.NOT_YET_VALID,
     Reason.TENANT_UNINSTALLED, Reason.TENANT_DISABLED)
)  # fmt: skip
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often a reason occurred, and when first and last."""

    reason: str
    count: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`cause` is None in a healthy history; `also` are further causes that hold, `is_not` those that do not.
    `webhooks_lost` are identifiers of deliveries answered so that Jira sends them no more; `webhooks_to_come` of those
    it will try again.
    """

    tenant: str
    client_key: str
    base_url: str
    since: str
    until: str
    last_accepted: str
    refused: tuple[Refusals, ...]
    around: tuple[dict[str, Any], ...]
    cause: str | None
    says: str
    signs: tuple[str, ...]
    also: tuple[Finding, ...]
    is_not: tuple[Finding, ...]
    next: str
    webhooks_lost: tuple[str, ...]
    webhooks_to_come: tuple[str, ...]


def diagnose(case: Case) -> Diagnosis:
    """The diagnosis of a case."""
    found = [cause(case) for cause in CAUSES]
    holding = [finding for finding in found if finding.holds]
    likely = holding[0] if holding else None
    lost, to_come = _webhooks(case, likely)
    return Diagnosis(
        tenant=case.name,
        client_key=case.tenant.client_key if case.tenant else "",
        base_url=case.tenant.base_url if case.tenant else "",
        since=case.since,
        until=case.now,
        last_accepted=_last_accepted(case),
        refused=_refusals(case.refused),
        around=_around(case),
        cause=likely.cause if likely else None,
        says=likely.says if likely else "Nothing is wrong, as far as the calls of this time show.",
        signs=likely.signs if likely else (),
        also=tuple(holding[1:]),
        is_not=tuple(finding for finding in found if not finding.holds),
        next=likely.next if likely else "Nothing.",
        webhooks_lost=lost,
        webhooks_to_come=to_come,
    )


def _last_accepted(case: Case) -> str:
    known = (*case.calls, *((case.last_accepted,) if case.last_accepted else ()))
    return max((call.at for call in known if call.verdict == "accepted"), default="")


def _refusals(refused: Iterable[Decision]) -> tuple[Refusals, ...]:
    by_reason: dict[str, list[Decision]] = {}
    for call in refused:
        by_reason.setdefault(call.reason, []).append(call)
    counted = [Refusals(reason, len(calls), calls[0].at, calls[-1].at) for reason, calls in by_reason.items()]
    return tuple(sorted(counted, key=lambda one: (-one.count, one.reason)))


def _webhooks(case: Case, likely: Finding | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    honest = _HONEST | ({Reason.SIGNATURE_BAD} if likely and likely.cause == "secret_never_received" else set())
    hooks = [call for call in case.calls if call.kind == "webhook" and call.facts.identifier]
    arrived = {call.facts.identifier for call in hooks if call.verdict == "accepted" and call.status < 300}
    failed = [
        call for call in hooks if call.facts.identifier not in arrived
        and (call.reason in honest or (call.verdict == "accepted" and call.status >= 300))
    ]  # fmt: skip
    retried = {call.facts.identifier: call.status in RETRIED or call.status >= 500 for call in failed}
    lost = tuple(identifier for identifier, again in retried.items() if not again)
    return lost, tuple(identifier for identifier, again in retried.items() if again)


# -- what happened around it


def _around(case: Case) -> tuple[dict[str, Any], ...]:
    changes = settings_changes(case.around)
    events = [event for event in (*case.history, *case.around) if event.recorded_at >= case.since]
    told = [_told(event, changes.get(event.position, ())) for event in events]
    told += _outages(case)
    told += _clock_steps((*case.history, *case.around))
    return tuple(sorted(told, key=lambda line: str(line["at"]))[-SHOWN:])


def _told(event: Event, changed: tuple[str, ...]) -> dict[str, Any]:
    what = event.type
    if event.changed is not None:
        what += f" ({event.changed.cause}{': ' if event.changed.fields else ''}{', '.join(event.changed.fields)})"
    if isinstance(event.data, Operated):
        what += f" by {event.data.by} at {event.data.origin}"
    what += f", with other settings: {', '.join(changed)}" if changed else ""
    return {"at": event.recorded_at, "position": event.position, "what": what}


def _outages(case: Case) -> list[dict[str, Any]]:
    calls = (*case.elsewhere, *case.refused)
    failed = sorted((call.at, call.detail) for call in calls if call.reason == Reason.KEY_UNAVAILABLE)
    if not failed:
        return []
    told = f"the key host gave no key, {len(failed)} times until {failed[-1][0]}: {failed[0][1]}"
    return [{"at": failed[0][0], "position": None, "what": told}]


def _clock_steps(events: Iterable[Event]) -> list[dict[str, Any]]:
    told, before = [], None
    for event in sorted(events, key=lambda one: one.position):
        if before is not None and event.recorded_at < before.recorded_at:
            back = span(seconds_between(event.recorded_at, before.recorded_at))
            told.append({"at": event.recorded_at, "position": event.position, "what": f"our clock went back by {back}"})
        before = event
    return told
