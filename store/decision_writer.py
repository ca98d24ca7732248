"""The decision log's writing end, in the words that are the same for both databases, and its lane.

A batch is one transaction: rows, counters and claims of webhooks together, so that the counters are exact at any
moment. Refusals are kept as far as there is room (`store.room`), all are counted. What could not be written is owed:
what was lost is only a number, what stands as a row and was answered otherwise is put right with the next batch.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

import orjson

from tenure.domain.decisions import Amended, Claim, Decision, Entry, Facts, FailedToken, Fate, Item
from tenure.store.decision_batch import Batch, Delivery, Key, keys_of
from tenure.store.decision_reads import DecisionReads
from tenure.store.dialect import Dialect
from tenure.store.lane import Lane
from tenure.store.tally import Execute
from tenure.store.veil import Veil

_THERE = (Fate.KEPT, Fate.COUNTED)
_TOLD = [f for f in fields(Facts) if f.name not in ("identifier", "kid", "address_mark")]
_NAMES, _DEFAULTS = tuple(f.name for f in _TOLD), tuple(f.default for f in _TOLD)
_values = attrgetter(*_NAMES)


def facts_text(facts: Facts) -> str:
    """The facts as stored: JSON, what is as it would be anyway left out; three have columns of their own."""
    told = zip(_NAMES, _values(facts), _DEFAULTS, strict=True)
    return orjson.dumps({name: value for name, value, default in told if value != default}).decode()


class Decisions(DecisionReads):
    """The decision log on one connection; one thread at a time, but for `drop`. Without a veil, addresses and account
    ids are not stored at all.
    """

    def __init__(self, execute: Execute, dialect: Dialect, veil: Veil | None) -> None:
        super().__init__(execute, dialect)
        self._veil = veil
        self._owed: deque[Amended] = deque()
        self._dropped: dict[str, int] = {}
        self._guard = threading.Lock()

    # -- what each database has its own way of

    def close(self) -> None:
        """Closes the connection."""
        raise NotImplementedError

    def is_there(self) -> bool:
        """Whether there is anything to read from or write to."""
        return True

    def lacking(self) -> str:
        """What this process may not do here that it must, in words; empty if it may."""
        return ""

    def forget(self, client_key: str, until: str | None = None) -> int:
        """Takes what is personal out of every decision proved to be of a tenant, and out of refusals that claimed to
        be; only of those made up to a stored time, if one is given. How many there were. Call `clean` after it.
        """
        raise NotImplementedError

    def clean(self) -> bool:
        """Leaves no byte of what was forgotten, as far as that can be done at once; False if others are in the way."""
        raise NotImplementedError

    def cleared(self) -> tuple[int, str]:
        """Up to which mark of erasure `forget` was called, and when that mark was made; (0, "") if it is not noted."""
        return 0, ""

    def note_cleared(self, number: int, at: str) -> None:
        """Notes it, where looking again and again would take long."""

    def seal(self, number: int) -> None:
        """From now on no decision up to this number is changed, but by forgetting: the log vouches for them."""
        raise NotImplementedError

    def _transaction(self) -> AbstractContextManager[None]:
        """Around a batch's statements: all of them, or none; nobody else writes meanwhile."""
        raise NotImplementedError

    def _deliveries(self, keys: Sequence[Key]) -> dict[Key, Delivery]:
        """Those of the webhooks that are there."""
        raise NotImplementedError

    def _change(self, amended: Sequence[Amended]) -> set[str]:
        """Makes the rows say what was answered, unless they are sealed; the ids of those that say so now."""
        raise NotImplementedError

    def _write(self, batch: Batch) -> None:
        """Writes what the batch came to."""
        raise NotImplementedError

    def _failed(self, batch: Batch, dropped: Mapping[str, int], error: BaseException) -> None:
        """A batch ended with an error: settles it, now or once it is known whether it was committed."""
        self._settle(batch, dropped, False)

    def _in_doubt(self, entry: Entry) -> bool:
        """Whether it is not known yet if an entry was written."""
        return False

    # -- what they share

    def drop(self, kind: str) -> None:
        """Counts a decision that was answered `unrecordable` and is nowhere; written with the next batch."""
        with self._guard:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def record(self, items: Sequence[Item]) -> list[Claim]:
        """Writes a batch in one transaction; what a webhook's claim came to, for each."""
        self._owed.extend(item for item in items if isinstance(item, Amended))
        batch, dropped = Batch(time.time(), {}, {}), dict[str, int]()
        try:
            with self._transaction():
                dropped = self._taken_dropped()
                batch = self._begun(items)
                results = [batch.take(item) for item in items]
                earlier = batch.amend(list(self._owed))
                changed = self._change(earlier) if earlier else set()
                for one in earlier:
                    batch.amended(one, kept=one.entry.decision.decision in changed)
                batch.drop(dropped)
                self._write(batch)
        except BaseException as error:
            self._failed(batch, dropped, error)
            raise
        self._settle(batch, dropped, True)
        return results

    def _taken_dropped(self) -> dict[str, int]:
        with self._guard:
            dropped, self._dropped = self._dropped, {}
        return dropped

    def _begun(self, items: Sequence[Item]) -> Batch:
        refused = any(isinstance(item, Entry) and item.decision.verdict != "accepted" for item in items)
        keys = keys_of([*items, *self._owed])
        return Batch(time.time(), self._room() if refused else {}, self._deliveries(keys) if keys else {})

    def _room(self) -> dict[str, tuple[float, float]]:
        return {reason: (left, at) for reason, left, at in self._execute("SELECT reason, room, at FROM room")}

    def _settle(self, batch: Batch, dropped: Mapping[str, int], written: bool) -> None:
        for entry, fate in batch.fates.items():
            entry.fate = fate if written else Fate.LOST
        if written:
            self._owed = deque(one for one in self._owed if one not in batch.owed)
            return
        # What was lost is only a number: else a disk that stays full would fill the memory.
        standing = [one for one in self._owed if one.entry.fate in _THERE or self._in_doubt(one.entry)]
        with self._guard:
            for one in self._owed:
                if one not in standing:
                    kind = one.entry.decision.kind
                    self._dropped[kind] = self._dropped.get(kind, 0) + 1
            for kind, times in dropped.items():
                self._dropped[kind] = self._dropped.get(kind, 0) + times
        self._owed = deque(standing)

    def flush(self) -> None:
        """Writes the counters that no batch has taken along yet."""
        if self._dropped or self._owed:
            self.record([])

    def _rows(self, batch: Batch) -> list[tuple[Any, ...]]:
        """The rows of a batch as they are stored."""
        made, veil = batch.made, self._veil
        return [made.get(key) or self.row_of(decision, veil) for key, decision in batch.rows.items()]

    @staticmethod
    def row_of(decision: Decision, veil: Veil | None) -> tuple[Any, ...]:
        """The columns of a decision as they are stored (`decision_reads.COLUMNS`)."""
        facts = decision.facts
        facts = veil.veil(decision) if veil else replace(facts, address="", address_mark="", account="")
        return (
            decision.decision, decision.at, decision.kind, decision.verdict, decision.reason, decision.detail,
            decision.client_key, decision.claimed_client_key, decision.method, decision.path, decision.status,
            decision.took_ms, decision.read_position, facts.identifier, facts.kid, facts.address_mark,
            facts_text(facts),
        )  # fmt: skip


class DecisionLane:
    """The writing end off the event loop: decisions of one moment share a transaction. `ahead` is the caller's veil.

    The row of an accepted decision, which will be kept, is made where it is asked for: else the lane's thread would
    take the interpreter from the event loop for every row, and both would mostly wait for it. A refused one may only be
    counted.
    """

    def __init__(self, decisions: Decisions, ahead: Veil | None = None) -> None:
        self._decisions = decisions
        self._ahead = ahead
        self._lane: Lane[Item, Claim] = Lane(decisions.record, name="decisions", batch=64, keeps=True)

    async def submit(self, item: Item, *, within: float | None = None) -> Claim:
        """Written and committed when it returns, or OursError (`store_unavailable`): then it may be written yet."""
        if self._ahead is not None and isinstance(item, Entry) and item.decision.verdict == "accepted":
            item.row = self._decisions.row_of(item.decision, self._ahead)
        return await self._lane.submit(item, within=within)

    def post(self, item: Item) -> None:
        """Written soon; nobody waits."""
        self._lane.post(item, spare=isinstance(item, FailedToken))

    def drop(self, kind: str) -> None:
        """Counts a decision that is nowhere."""
        self._decisions.drop(kind)

    def close(self) -> None:
        """Writes what is queued and owed."""
        self._lane.close()
        with suppress(Exception):  # a store that cannot be written at the end either
            self._decisions.flush()
        self._decisions.close()
