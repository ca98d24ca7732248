"""Replays recorded decisions: with the state, settings and clock they saw, or under others.

As of then, a verdict must come out as it was recorded. Where it does not, one of three things is said: the record is
incomplete (settings that no start of the service lists, a position the log no longer has), the projection was wrong
(what was read was not what the tenant's events say), or the code decides otherwise than it did. Under another state,
other settings or another clock the question is what would have been different.

Reading only: a log and a decision log come in by their reading ends, no clock is asked and nothing is sent. Decisions
are taken in batches and sorted by tenant and position, so that each tenant of a batch is folded once; memory does not
grow with their number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

from tenure.domain.check import Match
from tenure.domain.decisions import Decision
from tenure.domain.events import OPERATORS, Event, Operated
from tenure.domain.recheck import Under, again, recorded_verdict, token_of
from tenure.domain.refusals import Reason, Step
from tenure.domain.tenant import Tenant
from tenure.projections.case import STARTED
from tenure.projections.life import Life
from tenure.projections.settings import Start, policy_of

BATCH = 10_000
SAME, DIFFERS, INCOMPLETE = "same", "differs", "incomplete"

# What an append may take from its clock to its commit: later than this it must have been seen.
COMMIT_S = 10.0

_OF_STATE = frozenset(
    (Reason.TENANT_UNKNOWN, Reason.TENANT_UNINSTALLED, Reason.TENANT_DISABLED, Reason.SECRET_SUPERSEDED,
     Reason.SIGNATURE_BAD)
)  # fmt: skip


class Events(Protocol):
    """The log's reading end."""

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]: ...

    def read(self, *, client_key: str | None = ..., kind: str | None = ...) -> Iterator[Event]: ...

    def head(self) -> tuple[int, str]: ...


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What is otherwise than it was. `position` None: the state that was read then; `settings` by their names in
    `operator.started`; `clock` seconds by which the clock is moved.
    """

    position: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    clock: float = 0.0

    @property
    def as_then(self) -> bool:
        """Nothing is otherwise."""
        return self.position is None and not self.settings and not self.clock


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision, decided again. `result` is `same`, `differs` or `incomplete` (it cannot be known); `because` is
    `code`, `projection`, `record` or `what-if`; `says` tells it in words.
    """

    decision: Decision
    result: str
    verdict: str
    reason: str
    because: str = ""
    says: str = ""
    read_position: int = 0
    recomputed: tuple[Step, ...] = ()
    read_back: tuple[Step, ...] = ()


class Replay:
    """Replays decisions of one log. `app_key` is that of decisions whose start of the service is not known."""

    def __init__(self, events: Events, app_key: str, what_if: WhatIf | None = None, version: str = "") -> None:
        self._events = events
        self._app_key = app_key
        self._what_if = what_if or WhatIf()
        self._version = version
        self._starts: dict[str, list[Start]] = {}
        for event in events.read(client_key=OPERATORS, kind=STARTED):
            if isinstance(event.data, Operated):
                start = Start.of(event)
                self._starts.setdefault(start.digest, []).append(start)

    def run(self, decisions: Iterable[Decision]) -> Iterator[Replayed]:
        """Each decision decided again; within a batch by tenant and position."""
        decisions = iter(decisions)
        while batch := list(islice(decisions, BATCH)):
            # read before the log is: what a decision saw is then in it
            head, _ = self._events.head()
            batch.sort(key=lambda made: (_tenant_of(made), made.read_position))
            yield from self._batch(batch, head)

    def _batch(self, batch: list[Decision], head: int) -> Iterator[Replayed]:
        place: tuple[str, str] | None = None
        life, other = Life(()), None
        for made in batch:
            start = self._start(made)
            wanted = (start.app_key if start else self._app_key, _tenant_of(made))
            if wanted != place:
                place = wanted
                life = Life(self._events.stream(*place) if place[1] else ())
                other = self._elsewhere(life)
            then = life.at(made.read_position) if made.read_position else None
            yield self._one(made, start, life, then, other, head)

    def _elsewhere(self, life: Life) -> Tenant | None:
        """The tenant at the position that is asked about."""
        if self._what_if.position is None:
            return None
        return life.again().at(self._what_if.position)

    def _start(self, made: Decision) -> Start | None:
        """The last start before the decision with the settings it names."""
        found = self._starts.get(made.facts.settings, [])
        before = [start for start in found if start.at <= made.at]
        return before[-1] if before else found[-1] if found else None

    def _one(
        self, made: Decision, start: Start | None, life: Life, then: Tenant | None, other: Tenant | None,
        head: int,
    ) -> Replayed:  # fmt: skip
        if token_of(made) is not None:
            missing = _missing(made, start, head)
            if missing:
                return Replayed(made, INCOMPLETE, "", "", "record", missing, made.read_position)
        policy = policy_of({**(start.deciding if start else {}), **self._what_if.settings})
        tenant = then if self._what_if.position is None else other
        under = Under(
            tenant, policy, made.facts.now + self._what_if.clock, self._base_path(start), _used(made, life, then),
            _tried(then),
        )  # fmt: skip
        found = again(made, under)
        recorded = recorded_verdict(made)
        position = tenant.position if tenant else 0
        verdict = _verdict(made, found.verdict.reason)
        reason = found.verdict.reason.value if found.verdict.reason else ""
        told = Replayed(made, SAME, verdict, reason, "", "", position, found.recomputed, found.read_back)
        if found.untold:
            return replace(told, result=INCOMPLETE, because="record", says=f"{found.untold}.")
        if (found.verdict.reason, found.verdict.retry) == (recorded.reason, recorded.retry):
            return told
        because, says = "what-if", _turned(made, tenant, then)
        if self._what_if.as_then:
            because, says = _cause(made, found.verdict.reason, life, then, start, self._version)
        return replace(told, result=DIFFERS, because=because, says=says)

    def _base_path(self, start: Start | None) -> str | None:
        wanted = self._what_if.settings.get("base_path")
        return None if wanted is None or (start and wanted == start.deciding.get("base_path")) else wanted


def _tenant_of(made: Decision) -> str:
    return made.claimed_client_key or made.client_key


def _verdict(made: Decision, reason: Reason | None) -> str:
    # refused without a reason: a status alone, such as 404, which is read back
    return "refused" if reason or (made.verdict == "refused" and not made.reason) else "accepted"


def _missing(made: Decision, start: Start | None, head: int) -> str:
    if start is None:
        return f"no start of the service in the log lists the settings {made.facts.settings or '(none named)'}."
    if not start.deciding.get("audiences"):
        return f"the start at position {start.position} does not list its settings."
    if made.read_position > head:
        return f"the log ends at position {head}; the state that was read was of position {made.read_position}."
    if made.facts.match and made.facts.match not in set(Match):
        return f"what the signature matched ({made.facts.match}) is not known to this version."
    return ""


def _used(made: Decision, life: Life, then: Tenant | None) -> str:
    """The fingerprint of the secret that signed the token, as far as it was recognised."""
    facts = made.facts
    if facts.alg != "HS256":
        return ""
    if facts.secret_position in life.brought:
        return life.brought[facts.secret_position]
    if then is not None and facts.match == Match.CURRENT:
        return then.secret.fingerprint
    return then.previous.fingerprint if then and then.previous and facts.match == Match.PREVIOUS else ""


def _tried(then: Tenant | None) -> frozenset[str]:
    if then is None:
        return frozenset()
    return frozenset(filter(None, (then.secret.fingerprint, then.previous.fingerprint if then.previous else "")))


def _turned(made: Decision, tenant: Tenant | None, then: Tenant | None) -> str:
    if tenant == then:
        return "decided otherwise under these settings and this clock."
    known = f"of position {tenant.position}" if tenant else "not known"
    return f"decided otherwise with the tenant {known}; the state read then was of position {made.read_position}."


def _cause(
    made: Decision, found: Reason | None, life: Life, then: Tenant | None, start: Start | None, version: str
) -> tuple[str, str]:
    """Why a verdict as of then is not the recorded one."""
    wrong = _wrong_projection(made, life, then)
    if wrong:
        return "projection", wrong
    decided = start.version if start else ""
    if decided and version and decided != version:
        return "code", f"decided by version {decided}; version {version} decides otherwise."
    recorded = Reason(made.reason) if made.reason else None
    if _of_state(recorded) and _of_state(found):
        return "projection", (
            f"the state that was read at position {made.read_position} was not what the tenant's events say, or the "
            "rule about it was changed without a new version."
        )
    return "code", "the same version decides otherwise: its rules were changed."


def _of_state(reason: Reason | None) -> bool:
    return reason is None or reason in _OF_STATE


def _wrong_projection(made: Decision, life: Life, then: Tenant | None) -> str:
    """What shows that the state read then was not the tenant's."""
    if made.read_position and (then is None or then.position != made.read_position):
        last = f"its last event by then is at {then.position}" if then else "it had no event by then"
        return f"the state that was read says position {made.read_position}, which is no event of the tenant; {last}."
    missed = life.next
    if missed is not None and made.facts.match and _seconds(missed) + COMMIT_S < made.facts.now:
        return f"the event at position {missed.position} ({missed.recorded_at}) was there, and was not seen."
    return ""


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event.recorded_at).timestamp()
