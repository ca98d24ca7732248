"""The life of a tenant against time: when it was installed and enabled, which secret was in force, who called.

The text and the picture are drawn from this alone. Events stand where our log recorded them; order is position.
- A gap is a stretch in which nothing of an installed tenant was heard, neither call nor event: at least a tenth of the
  time looked at, and six times the usual distance of two calls.
- A race is what parallel callbacks and rotations leave behind: calls signed with a secret that was replaced less than
  a minute before; a lifecycle call that came after what made it void, and changed nothing; two installs within two
  seconds that brought different secrets.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tenure.domain.check import ROTATION_GRACE
from tenure.domain.decisions import Decision
from tenure.domain.events import Event, EventType, Installed
from tenure.domain.questions import seconds_between
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Standing, Tenant, evolve, standing
from tenure.projections.case import LIFECYCLE, Case
from tenure.projections.explain import span
from tenure.projections.secrets import Generation, tenant_at

SHARE_OF_TIME = 10
USUAL_DISTANCES = 6
TWO_INSTALLS_S = 2.0
BEGINNING = "0001-01-01T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Stretch:
    """From one time to another; `position` is the event that began it, `label` what is told of it."""

    since: str
    until: str
    position: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of the tenant's."""

    at: str
    position: int
    what: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A call, accepted (`reason` empty) or refused; `answered` is its status."""

    at: str
    kind: str
    reason: str
    answered: int
    decision: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lanes over the time from `since` to `until`; what is still so at its end ends there. Times are stored ones."""

    tenant: str
    client_key: str
    base_url: str
    since: str
    until: str
    installed: tuple[Stretch, ...]
    enabled: tuple[Stretch, ...]
    secrets: tuple[Stretch, ...]
    events: tuple[Moment, ...]
    accepted: tuple[Heard, ...]
    refused: tuple[Heard, ...]
    gaps: tuple[Stretch, ...]
    races: tuple[Stretch, ...]

    @property
    def times(self) -> list[str]:
        """Every time at which something stands in the picture, sorted."""
        marks = [one.at for lane in (self.events, self.accepted, self.refused) for one in lane]
        return sorted((self.since, *marks, self.until))


def timeline(case: Case) -> Timeline:
    """The timeline of a case; one that begins at `BEGINNING` begins with the first that is known of the tenant."""
    firsts = [event.recorded_at for event in case.history[:1]] + [call.at for call in case.calls[:1]]
    since = case.since if case.since > BEGINNING else min(firsts, default=case.now)
    calls = [_heard(call) for call in case.calls if since <= call.at <= case.now]
    installed = _when(case.history, lambda tenant: standing(tenant) is Standing.LIVE)
    events = tuple(_moment(event) for event in case.history if event.recorded_at >= since)
    times = sorted([call.at for call in calls] + [event.at for event in events])
    return Timeline(
        tenant=case.name,
        client_key=case.tenant.client_key if case.tenant else "",
        base_url=case.tenant.base_url if case.tenant else "",
        since=since,
        until=case.now,
        installed=_within(installed, since, case.now),
        enabled=_within(_when(case.history, lambda tenant: tenant.enabled), since, case.now),
        secrets=_within(_secrets(case.secrets, case.history), since, case.now),
        events=events,
        accepted=tuple(call for call in calls if not call.reason),
        refused=tuple(call for call in calls if call.reason),
        gaps=tuple(_gaps(times, _within(installed, since, case.now), since, case.now)),
        races=tuple(sorted(_races(case, since), key=lambda race: race.since)),
    )


def _heard(call: Decision) -> Heard:
    reason = (call.reason or str(call.status)) if call.verdict == "refused" else ""
    return Heard(call.at, call.kind, reason, call.status, call.decision)


def _moment(event: Event) -> Moment:
    return Moment(event.recorded_at, event.position, told(event))


def told(event: Event) -> str:
    """An event in a few words: its type, the cause of an install and what it changed."""
    if event.changed is None:
        return event.type
    changed = f": {', '.join(event.changed.fields)}" if event.changed.fields else ""
    return f"{event.type} ({event.changed.cause}{changed})"


def _when(history: Iterable[Event], holds: object) -> list[Stretch]:
    assert callable(holds)  # noqa: S101 (for the type checker)
    found: list[Stretch] = []
    tenant: Tenant | None = None
    for event in history:
        tenant = evolve(tenant, event)
        now = tenant is not None and bool(holds(tenant))
        if now and (not found or found[-1].until):
            found.append(Stretch(event.recorded_at, "", event.position))
        elif not now and found and not found[-1].until:
            found[-1] = Stretch(found[-1].since, event.recorded_at, found[-1].position)
    return found


def _secrets(secrets: Iterable[Generation], history: Iterable[Event]) -> list[Stretch]:
    erased = [event.recorded_at for event in history if event.type == EventType.ERASED]
    found = []
    for one in secrets:
        ends = [time for time in (one.replaced_on, *erased) if time and time >= one.since]
        found.append(Stretch(one.since, min(ends, default=""), one.position, one.fingerprint))
    return found


def _within(stretches: Iterable[Stretch], since: str, until: str) -> tuple[Stretch, ...]:
    """Those that reach into the time looked at, cut to it."""
    cut = [Stretch(max(one.since, since), min(one.until or until, until), one.position, one.label)
           for one in stretches]  # fmt: skip
    return tuple(one for one in cut if one.since <= one.until)


def _gaps(times: Sequence[str], installed: Sequence[Stretch], since: str, until: str) -> Iterator[Stretch]:
    distances = [seconds_between(one, other) for one, other in pairwise(times)]
    if not distances:
        return
    least = max(seconds_between(since, until) / SHARE_OF_TIME, median(distances) * USUAL_DISTANCES)
    for before, after in pairwise((*times, until)):
        length = seconds_between(before, after)
        if length >= least and length > 0 and any(one.since <= before and one.until >= after for one in installed):
            yield Stretch(before, after, label=f"nothing heard for {span(length)}")


# -- races


def _races(case: Case, since: str) -> Iterator[Stretch]:
    yield from _two_installs([event for event in case.history if event.recorded_at >= since])
    calls = [call for call in case.calls if call.at >= since]
    yield from _old_secret(calls, case.secrets)
    for call in calls:
        then = tenant_at(case.history, call.read_position)
        late = call.kind in LIFECYCLE and call.verdict == "accepted" and call.kind != EventType.INSTALLED
        if late and then is not None and not then.installed:
            told_at = f"{call.kind} came after {_last_word(case.history, call.read_position)}: it changed nothing"
            yield Stretch(then.uninstalled_at or call.at, call.at, call.read_position, told_at)


def _last_word(history: Iterable[Event], position: int) -> str:
    return next((event.type for event in history if event.position == position), "that")


def _two_installs(history: Sequence[Event]) -> Iterator[Stretch]:
    installs = [event for event in history if isinstance(event.data, Installed)]
    for one, other in pairwise(installs):
        between = seconds_between(one.recorded_at, other.recorded_at)
        same = isinstance(one.data, Installed) and isinstance(other.data, Installed) and (
            one.data.secret_fingerprint == other.data.secret_fingerprint
        )  # fmt: skip
        parallel = other.version == one.version + 1
        if 0 <= between <= TWO_INSTALLS_S and parallel and not same:
            what = f"two installs {span_ms(between)} apart brought different secrets"
            yield Stretch(one.recorded_at, other.recorded_at, other.position, what)


def _old_secret(calls: Sequence[Decision], secrets: Iterable[Generation]) -> Iterator[Stretch]:
    for one in secrets:
        if not one.replaced_on:
            continue
        late = [
            call for call in calls if call.reason == Reason.SECRET_SUPERSEDED
            and 0 <= seconds_between(one.replaced_on, call.at) <= ROTATION_GRACE
        ]  # fmt: skip
        if late:
            how_late = span_ms(seconds_between(one.replaced_on, late[-1].at))
            many = "1 call" if len(late) == 1 else f"{len(late)} calls"
            what = f"{many} signed with the secret of position {one.position} up to {how_late} after it was replaced"
            yield Stretch(one.replaced_on, late[-1].at, one.replaced_at, what)


def span_ms(seconds: float) -> str:
    """A length of time in words, below two seconds in milliseconds."""
    return span(seconds) if abs(seconds) >= 2 else f"{seconds * 1000:.0f} ms"
