"""The decision log's writing end, and the webhooks already taken, in a file of their own: `decisions.db`.

Written in batches by a lane of its own, `synchronous=NORMAL`: a killed process loses nothing, a power cut may lose the
last moments (lifecycle events are not in here alone; the log has them, fsynced). Each batch is one transaction: rows,
counters and claims of webhooks together, so that the counters are exact at any moment. Refusals are kept as far as
there is room (`store.room`), all are counted. A checkpoint needs an fsync, so another thread makes them
(`store.keeper`); this one does only when the WAL has grown past 4 MB, and then empties it: a passive checkpoint is
never done with while another worker writes, and the WAL would grow as long as calls keep coming (385 MB in 7 s, seen).
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson

from tenure.domain.decisions import (
    Amended,
    Claim,
    Decision,
    Entry,
    Facts,
    FailedToken,
    Fate,
    Item,
    Outcome,
)
from tenure.store.connection import check_permissions, connect, migrate
from tenure.store.decision_digest import BARE_FACTS, PERSONAL, PERSONAL_COLUMN
from tenure.store.decision_reads import COLUMNS, DecisionReads
from tenure.store.key_file import patiently
from tenure.store.lane import Lane
from tenure.store.pace import Pace
from tenure.store.room import Room
from tenure.store.tally import Tally
from tenure.store.veil import Veil

BUSY_S = 2.0
LEASE_S = 10.0
DELIVERIES_KEPT_S = 48 * 3600
WAL_BYTES = 4 * 1024 * 1024
FORGOTTEN_AT_ONCE = 500
REWRITTEN_BYTES = 64 * 1024 * 1024

_TOLD = [f for f in fields(Facts) if f.name not in ("identifier", "kid", "address_mark")]
_NAMES, _DEFAULTS = tuple(f.name for f in _TOLD), tuple(f.default for f in _TOLD)
_values = attrgetter(*_NAMES)
_ROW = f"({', '.join('?' * len(COLUMNS))})"


def facts_text(facts: Facts) -> str:
    """The facts as stored: JSON, what is as it would be anyway left out; three have columns of their own."""
    told = zip(_NAMES, _values(facts), _DEFAULTS, strict=True)
    return orjson.dumps({name: value for name, value, default in told if value != default}).decode()


def row_of(decision: Decision, veil: Veil | None) -> tuple[Any, ...]:
    """The decision as it is stored, in the order of `COLUMNS`."""
    facts = decision.facts
    facts = veil.veil(decision) if veil else replace(facts, address="", address_mark="", account="")
    return (
        decision.decision, decision.at, decision.kind, decision.verdict, decision.reason, decision.detail,
        decision.client_key, decision.claimed_client_key, decision.method, decision.path, decision.status,
        decision.took_ms, decision.read_position, facts.identifier, facts.kid, facts.address_mark, facts_text(facts),
    )  # fmt: skip


@lru_cache(maxsize=128)
def _inserting(rows: int) -> str:
    return f"INSERT INTO decisions ({', '.join(COLUMNS)}) VALUES {', '.join([_ROW] * rows)}"


def open_decisions(path: Path) -> None:
    """Makes or migrates the file."""
    if path.exists():
        check_permissions(path)
    database = connect(path, create=True, synchronous="NORMAL")
    try:
        migrate(database, "decisions")
    finally:
        database.close()


class SqliteDecisions(DecisionReads):
    """The decision log on one connection; one thread at a time, but for `drop`. Without a veil, addresses and account
    ids are not stored at all."""

    def __init__(
        self, path: Path, *, read_only: bool = False, veil: Veil | None = None, pace: Pace | None = None
    ) -> None:
        self._database = connect(path, synchronous="NORMAL", read_only=read_only)
        super().__init__(self._database.conn.execute)
        self._wal = Path(f"{path}-wal")
        if not read_only:
            self._execute("PRAGMA busy_timeout=0")
            self._execute("PRAGMA secure_delete=ON")
        self._veil = veil
        self._pace = pace or Pace()
        self._owed: deque[Amended] = deque()
        self._dropped: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._guard = threading.Lock()

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    def drop(self, kind: str) -> None:
        """Counts a decision that was answered `unrecordable` and is nowhere; written with the next batch."""
        with self._guard:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def record(self, batch: Sequence[Item]) -> list[Claim]:
        """Writes a batch in one transaction; what a webhook's claim came to, for each."""
        tally, now = Tally(), time.time()
        room = Room(self._execute, now)
        fates: list[tuple[Entry, Fate]] = []
        with self._guard:
            dropped, self._dropped = self._dropped, {}
        owed = [*self._owed, *(item for item in batch if isinstance(item, Amended))]
        self._rows = []
        try:
            self._begin()
            results = [self._write(item, tally, room, fates, now) for item in batch]
            self._insert()
            self._amend(owed, fates, tally, now)
            for kind, times in dropped.items():
                tally.drop(kind, _hour(now), times)
            room.write()
            tally.write(self._execute)
            self._execute("COMMIT")
        except BaseException:
            if self._database.conn.in_transaction:
                self._execute("ROLLBACK")
            for entry, _ in fates:
                entry.fate = Fate.LOST
            self._put_back(owed, dropped)
            raise
        self._owed.clear()
        for entry, fate in fates:
            entry.fate = fate
        self._bound_wal()
        return results

    def _put_back(self, owed: Sequence[Amended], dropped: dict[str, int]) -> None:
        # What was lost is only a number: else a disk that stays full would fill the memory.
        standing = [item for item in owed if item.entry.fate in (Fate.KEPT, Fate.COUNTED)]
        self._owed = deque(standing)
        with self._guard:
            for item in owed:
                if item not in standing:
                    dropped[item.entry.decision.kind] = dropped.get(item.entry.decision.kind, 0) + 1
            for kind, times in dropped.items():
                self._dropped[kind] = self._dropped.get(kind, 0) + times

    def _bound_wal(self) -> None:
        # with no busy timeout it waits for nobody: where a reader or another checkpoint is in the way, the next batch
        # tries again
        with suppress(OSError, self._database.conn.Error):
            size = self._wal.stat().st_size
            if size > WAL_BYTES and self._pace.due(size):
                with self._pace.measured():
                    self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _begin(self) -> None:
        # SQLite's own busy handler sleeps ever longer, up to 100 ms, so that of two workers under load one starves
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
                return
            except self._database.conn.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.0005)

    def forget(self, client_key: str, until: str | None = None) -> int:
        """Takes what is personal out of every decision proved to be of a tenant, and out of refusals that claimed to
        be; only of those made up to a stored time, if one is given. How many there were. Call `clean` after it.
        """
        if not client_key:
            return 0
        # an alarm's signs may tell a caller's user agent
        self._execute(
            "UPDATE alarms SET item = json_set(item, '$.signs', json('[]')) WHERE client_key = ?", (client_key,)
        )
        return sum(
            self._forget(f"{column} = ? {known} AND at <= ?", (client_key, until or "~"))
            for column, known in (("client_key", "AND client_key <> ''"),
                                  ("claimed_client_key", "AND verdict = 'refused'"))
        )  # fmt: skip

    def _forget(self, whose: str, parameters: tuple[str, str]) -> int:
        there = " OR ".join(
            [f"{PERSONAL_COLUMN} <> ''", *(f"json_type(facts, '$.{name}') NOT NULL" for name in PERSONAL)]
        )
        last, count = 0, 0
        while True:
            # in small transactions, so that no batch waits for long
            self._begin()
            try:
                chosen = self._execute(
                    f"SELECT number FROM decisions WHERE {whose} AND number > ? AND ({there}) "
                    f"ORDER BY number LIMIT {FORGOTTEN_AT_ONCE}",
                    (*parameters, last),
                ).fetchall()
                self._database.conn.executemany(
                    f"UPDATE decisions SET {PERSONAL_COLUMN} = '', facts = {BARE_FACTS} WHERE number = ?", chosen
                )
                self._execute("COMMIT")
            except BaseException:
                if self._database.conn.in_transaction:
                    self._execute("ROLLBACK")
                raise
            count += len(chosen)
            if len(chosen) < FORGOTTEN_AT_ONCE:
                return count
            last = chosen[-1][0]

    def clean(self) -> bool:
        """Cuts the WAL to nothing and, up to 64 MB, rewrites the file, so that no byte is left of what was forgotten
        (SQLite leaves copies of moved cells in the gaps of its pages; a larger rewrite would keep calls waiting). False
        if others were in the way for too long.
        """
        return patiently(self._rewrite)

    def _rewrite(self) -> bool:
        if self.size()[1] <= REWRITTEN_BYTES:
            self._execute("VACUUM")
        busy, _, _ = self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def flush(self) -> None:
        """Writes the counters that no batch has taken along yet."""
        if self._dropped or self._owed:
            self.record([])

    def _write(self, item: Item, tally: Tally, room: Room, fates: list[tuple[Entry, Fate]], now: float) -> Claim:
        if isinstance(item, Entry):
            return self._enter(item, tally, room, fates, now)
        if isinstance(item, Outcome):
            self._end(item, tally, now)
        elif isinstance(item, FailedToken):
            self._execute("INSERT INTO failed_tokens VALUES (?, ?)", (item.address_mark, item.at))
        return Claim.OURS

    def _enter(self, entry: Entry, tally: Tally, room: Room, fates: list[tuple[Entry, Fate]], now: float) -> Claim:
        claim, decision = Claim.OURS, entry.decision
        if entry.claim is not None:
            claim = self._ask(*entry.claim, now)
            if claim is Claim.BUSY:
                return claim
            if claim is Claim.TAKEN:
                decision = replace(decision, status=204, detail="a duplicate: the upstream has it")
        if not entry.take():
            return claim
        if entry.claim is not None and claim is Claim.OURS:
            self._execute(
                "INSERT OR REPLACE INTO deliveries VALUES (?, ?, NULL, ?, ?)",
                (*entry.claim, now + LEASE_S, decision.decision),
            )
        kept = decision.verdict == "accepted" or room.take(decision.reason, proved=bool(decision.client_key))
        if kept:
            made = entry.row if decision is entry.decision else None
            self._rows.append(made or row_of(decision, self._veil))
        tally.add(decision, kept=kept)
        fates.append((entry, Fate.KEPT if kept else Fate.COUNTED))
        return claim

    def _insert(self) -> None:
        # one statement: between two, this thread and the event loop would take the interpreter from each other
        if self._rows:
            self._execute(_inserting(len(self._rows)), tuple(chain.from_iterable(self._rows)))

    def _amend(self, owed: Sequence[Amended], fates: list[tuple[Entry, Fate]], tally: Tally, now: float) -> None:
        just_now = dict(fates)
        for amended in owed:
            entry = amended.entry
            before, fate = entry.decision, just_now.get(entry, entry.fate)
            if fate not in (Fate.KEPT, Fate.COUNTED):
                tally.drop(before.kind, _hour(now), 1)
                continue
            after = replace(before, verdict="refused", reason=amended.reason, status=amended.status)
            self._execute(
                "UPDATE decisions SET verdict = 'refused', reason = ?, status = ?, detail = ? WHERE decision = ?",
                (amended.reason, amended.status, "answered otherwise than first written", before.decision),
            )
            if entry.claim is not None:
                self._execute("DELETE FROM deliveries WHERE decision = ? AND taken_at IS NULL", (before.decision,))
            tally.amend(before, after, kept=fate is Fate.KEPT)

    def _ask(self, client_key: str, identifier: str, now: float) -> Claim:
        row = self._execute(
            "SELECT taken_at, claimed_until FROM deliveries WHERE client_key = ? AND identifier = ?",
            (client_key, identifier),
        ).fetchone()
        if row is None:
            return Claim.OURS
        if row[0] is not None:
            return Claim.TAKEN
        # past LEASE_S ahead it was made under a clock that has been set back since
        return Claim.BUSY if now < row[1] <= now + LEASE_S else Claim.OURS

    def _end(self, outcome: Outcome, tally: Tally, now: float) -> None:
        tally.answered(outcome.status)
        gone = "json_set(facts, '$.gone', json('true'))" if outcome.gone else "facts"
        self._execute(
            f"UPDATE decisions SET status = ?, took_ms = ?, facts = {gone} WHERE decision = ?",
            (outcome.status, outcome.took_ms, outcome.decision),
        )
        if not outcome.identifier:
            return
        if outcome.taken:
            self._execute(
                "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, 0, ?)",
                (outcome.client_key, outcome.identifier, now, outcome.decision),
            )
        else:
            self._execute("DELETE FROM deliveries WHERE decision = ? AND client_key = ? AND identifier = ?",
                          (outcome.decision, outcome.client_key, outcome.identifier))  # fmt: skip


def _hour(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H", time.gmtime(now))


class DecisionLane:
    """The writing end off the event loop: decisions of one moment share a transaction. `veil` is the thread's own,
    `ahead` the caller's.

    The row of an accepted decision, which will be kept, is made where it is asked for: else the thread would take the
    interpreter from the event loop for every row, and both would mostly wait for it. A refused one may only be counted.
    """

    def __init__(self, path: Path, veil: Veil | None, pace: Pace | None = None, ahead: Veil | None = None) -> None:
        self._ahead = ahead
        self._file = SqliteDecisions(path, veil=veil, pace=pace)
        self._lane: Lane[Item, Claim] = Lane(self._file.record, name="decisions", batch=64, keeps=True)

    async def submit(self, item: Item, *, within: float | None = None) -> Claim:
        """Written and committed when it returns, or OursError (`store_unavailable`): then it may be written yet."""
        if self._ahead is not None and isinstance(item, Entry) and item.decision.verdict == "accepted":
            item.row = row_of(item.decision, self._ahead)
        return await self._lane.submit(item, within=within)

    def post(self, item: Item) -> None:
        """Written soon; nobody waits."""
        self._lane.post(item, spare=isinstance(item, FailedToken))

    def drop(self, kind: str) -> None:
        """Counts a decision that is nowhere."""
        self._file.drop(kind)

    def close(self) -> None:
        """Writes what is queued and owed."""
        self._lane.close()
        with suppress(Exception):  # a file that cannot be written at the end either
            self._file.flush()
        self._file.close()
