"""What one batch of the decision log comes to, whichever database it is written to.

The writer reads what the batch may meet (webhooks claimed, the room for refusals) and hands it over; here is decided,
item by item in their order, what is kept, counted, claimed and ended; the writer then writes what came of it. An answer
that turned out another changes the row only as long as the log has not vouched for it (`Decisions.seal`): past that
the row stays what was counted, and the counters alone are put right.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tenure.domain.decisions import Amended, Claim, Decision, Entry, FailedToken, Fate, Item, Outcome
from tenure.store.room import Room
from tenure.store.tally import Tally

LEASE_S = 10.0
DELIVERIES_KEPT_S = 48 * 3600
OTHERWISE = "answered otherwise than first written"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook somebody claimed, or the upstream took (`taken_at`); times are Unix seconds."""

    taken_at: float | None
    claimed_until: float
    decision: str

    def claim(self, now: float) -> Claim:
        """What asking for it comes to."""
        if self.taken_at is not None:
            return Claim.TAKEN
        # past LEASE_S ahead it was made under a clock that has been set back since
        return Claim.BUSY if now < self.claimed_until <= now + LEASE_S else Claim.OURS


def keys_of(items: Iterable[Item]) -> list[Key]:
    """The webhooks that items speak of."""
    found: dict[Key, None] = {}
    for item in items:
        if isinstance(item, Outcome):
            found[item.client_key, item.identifier] = None
        elif isinstance(item, FailedToken):
            continue
        else:
            entry = item.entry if isinstance(item, Amended) else item
            if entry.claim is not None:
                found[entry.claim] = None
    return list(found)


class Batch:
    """One batch. `deliveries` are those there of `keys_of` its items, `room` what is left for refusals."""

    def __init__(self, now: float, room: Mapping[str, tuple[float, float]], deliveries: Mapping[Key, Delivery]) -> None:
        self.now = now
        self.room = Room(room, now)
        self.tally = Tally()
        self.rows: dict[str, Decision] = {}
        self.made: dict[str, tuple[Any, ...]] = {}
        self.outcomes: list[Outcome] = []
        self.failed_tokens: list[FailedToken] = []
        self.fates: dict[Entry, Fate] = {}
        self.owed: Sequence[Amended] = ()
        self._deliveries: dict[Key, Delivery | None] = dict(deliveries)
        self._touched: set[Key] = set()

    def take(self, item: Item) -> Claim:
        """Settles an item; what a webhook's claim came to. Amendments are for `amend`."""
        if isinstance(item, Entry):
            return self._enter(item)
        if isinstance(item, Outcome):
            self._end(item)
        elif isinstance(item, FailedToken):
            self.failed_tokens.append(item)
        return Claim.OURS

    def _enter(self, entry: Entry) -> Claim:
        claim, decision = Claim.OURS, entry.decision
        if entry.claim is not None:
            there = self._deliveries.get(entry.claim)
            claim = there.claim(self.now) if there is not None else Claim.OURS
            if claim is Claim.BUSY:
                return claim
            if claim is Claim.TAKEN:
                decision = replace(decision, status=204, detail="a duplicate: the upstream has it")
        if not entry.take():
            return claim
        if entry.claim is not None and claim is Claim.OURS:
            self._deliver(entry.claim, Delivery(None, self.now + LEASE_S, decision.decision))
        kept = decision.verdict == "accepted" or self.room.take(decision.reason, proved=bool(decision.client_key))
        if kept:
            self.rows[decision.decision] = decision
            if entry.row is not None and decision is entry.decision:
                self.made[decision.decision] = entry.row
        self.tally.add(decision, kept=kept)
        self.fates[entry] = Fate.KEPT if kept else Fate.COUNTED
        return claim

    def _end(self, outcome: Outcome) -> None:
        self.tally.answered(outcome.status)
        self.outcomes.append(outcome)
        key = outcome.client_key, outcome.identifier
        if outcome.taken and outcome.identifier:
            self._deliver(key, Delivery(self.now, 0.0, outcome.decision))
        else:
            self._release(key, outcome.decision)

    def _deliver(self, key: Key, delivery: Delivery | None) -> None:
        self._deliveries[key] = delivery
        self._touched.add(key)

    def _release(self, key: Key, decision: str) -> None:
        there = self._deliveries.get(key)
        if there is not None and there.decision == decision:
            self._deliver(key, None)

    def amend(self, owed: Sequence[Amended]) -> list[Amended]:
        """Settles what was answered otherwise, after all items were taken; those whose rows were written earlier, if
        they still may be changed: change them, then call `amended`.
        """
        self.owed = owed
        earlier = []
        for one in owed:
            entry = one.entry
            fate = self.fates.get(entry, entry.fate)
            if fate not in (Fate.KEPT, Fate.COUNTED):
                self.tally.drop(entry.decision.kind, hour_of(self.now), 1)
                continue
            if fate is Fate.KEPT and entry not in self.fates:
                earlier.append(one)
                continue
            if fate is Fate.KEPT:
                row = self.rows[entry.decision.decision]
                self.rows[row.decision] = replace(_otherwise(row, one), detail=OTHERWISE)
                self.made.pop(row.decision, None)
            self.amended(one, kept=fate is Fate.KEPT)
        return earlier

    def amended(self, one: Amended, *, kept: bool) -> None:
        """Counts it; `kept`: its row says so, too."""
        before = one.entry.decision
        if one.entry.claim is not None:
            there = self._deliveries.get(one.entry.claim)
            if there is not None and there.taken_at is None:
                self._release(one.entry.claim, before.decision)
        self.tally.amend(before, _otherwise(before, one), kept=kept)

    def drop(self, dropped: Mapping[str, int]) -> None:
        """Counts decisions that are nowhere, by kind."""
        for kind, times in dropped.items():
            self.tally.drop(kind, hour_of(self.now), times)

    @property
    def delivered(self) -> list[tuple[str, str, float | None, float, str]]:
        """The rows of deliveries that are new or changed."""
        rows = ((key, self._deliveries[key]) for key in sorted(self._touched))
        return [(*key, one.taken_at, one.claimed_until, one.decision) for key, one in rows if one is not None]

    @property
    def released(self) -> list[Key]:
        """The keys of deliveries that are to go."""
        return [key for key in sorted(self._touched) if self._deliveries[key] is None]


def _otherwise(decision: Decision, amended: Amended) -> Decision:
    return replace(decision, verdict="refused", reason=amended.reason, status=amended.status)


def hour_of(now: float) -> str:
    """The hour that decisions of this moment are counted in."""
    return time.strftime("%Y-%m-%dT%H", time.gmtime(now))
