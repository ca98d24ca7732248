"""Folds every security context anew beside the live ones, compares, and puts them in place if they are not the same.

Comparing takes no lock and writes nothing: tenants are gone through in chunks, each in a short read transaction in
which a tenant's events and its live row belong together, on as many processes as there are cores. Tenants that got
events meanwhile are compared again in a last snapshot, up to the head. Each event's hash is checked on the way; a
chain that does not hold ends it.

Only if something differs is a second table built (`store.side_table`), caught up under the write lock and swapped in.
That it was, and what differed first, becomes an event in the same transaction. The second table has one name: of
two rebuildings at once the later one is refused, by a lock on a file beside the log, or each would take the other's
rows away.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from tenure.domain.events import OPERATORS
from tenure.domain.tenant import fold_stream
from tenure.lease import Lease
from tenure.projections.fold import Folded, Mismatch, Place, contexts, difference, mismatches
from tenure.projections.security_context import SecurityContextProjector, schema, to_row
from tenure.store.folding import BrokenChainError, bounds, by_tenant, gapless, of_tenant
from tenure.store.side_table import CHUNK, SideTable
from tenure.store.sqlite import SqliteLog

EVENTS_A_CHUNK = 20_000
ALONE = 30_000
RANGES_A_PROCESS = 8
Say = Callable[[int], None]
Note = Callable[[SqliteLog, "Compared"], int]


class UnderWayError(Exception):
    """Another process is rebuilding this log."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing: events gone through, how many tenants differ, the first that does."""

    events: int = 0
    different: int = 0
    first: Mismatch | None = None

    def plus(self, other: "Compared") -> "Compared":
        """Both together; the first by the order of tenants."""
        firsts = sorted(filter(None, (self.first, other.first)), key=lambda one: (one.app_key, one.client_key))
        return Compared(self.events + other.events, self.different + other.different, firsts[0] if firsts else None)


@contextmanager
def _snapshot(log: SqliteLog) -> Iterator[None]:
    log.connection.execute("BEGIN")
    try:
        yield
    finally:
        log.connection.execute("COMMIT")


def compare(path: Path, say: Say, processes: int | None = None) -> Compared:
    """Compares the live projection with the fold, up to the head of its last moment. BrokenChainError."""
    log = _reader(path)
    try:
        head, _ = log.head()
        wanted = processes or os.cpu_count() or 1
        if head < ALONE or wanted < 2:
            found = compare_range(path, ("", ""), None, say)
        else:
            found = _on_many(path, bounds(log.connection, wanted * RANGES_A_PROCESS), wanted, say)
        with _snapshot(log):
            if not gapless(log.connection):
                raise BrokenChainError(log.head()[0])
            for place in touched(log, head):
                late = _compare_one(log, place)
                found = found.plus(Compared(0, 1 if late else 0, late))
    finally:
        log.close()
    return found


def _reader(path: Path) -> SqliteLog:
    return SqliteLog(path, read_only=True)


def _on_many(path: Path, parts: list[Place], processes: int, say: Say) -> Compared:
    found, done = Compared(), 0
    edges: list[tuple[Place, Place | None]] = list(zip([("", ""), *parts], [*parts, None], strict=True))
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        running = [pool.submit(compare_range, path, after, until) for after, until in edges]
        for future in as_completed(running):
            found = found.plus(future.result())
            say(found.events - done)
            done = found.events
    return found


def compare_range(path: Path, after: Place, until: Place | None, say: Say = lambda events: None) -> Compared:
    """Compares the tenants behind `after`, up to `until`, chunk by chunk."""
    found = Compared()
    log = _reader(path)
    try:
        while True:
            seen = Folded(last=after)
            with _snapshot(log):
                folded = contexts(by_tenant(log.connection, after, until), seen, EVENTS_A_CHUNK)
                # one tenant at a time: a chunk held in memory costs a third more, most of it the garbage collector's
                wrong = list(mismatches(_live(log, after, until), folded, partial(_end, seen, until)))
            say(seen.events)
            found = found.plus(Compared(seen.events, len(wrong), wrong[0] if wrong else None))
            if seen.events < EVENTS_A_CHUNK:
                return found
            after = seen.last
    finally:
        log.close()


def _end(seen: Folded, until: Place | None) -> Place | None:
    return until if seen.events < EVENTS_A_CHUNK else seen.last


def _live(log: SqliteLog, after: Place, until: Place | None) -> Iterator[tuple[object, ...]]:
    sql, parameters = "SELECT * FROM security_contexts WHERE (app_key, client_key) > (?, ?)", list(after)
    if until is not None:
        sql += " AND (app_key, client_key) <= (?, ?)"
        parameters += until
    found: Iterator[tuple[object, ...]] = log.connection.execute(f"{sql} ORDER BY app_key, client_key", parameters)
    return found


def touched(log: SqliteLog, after: int) -> list[Place]:
    """The tenants with events behind a position."""
    sql = "SELECT DISTINCT app_key, client_key FROM events WHERE position > ? AND client_key <> ?"
    return [(app_key, client_key) for app_key, client_key in log.connection.execute(sql, (after, OPERATORS))]


def _compare_one(log: SqliteLog, place: Place) -> Mismatch | None:
    sql = "SELECT * FROM security_contexts WHERE app_key = ? AND client_key = ?"
    row = log.connection.execute(sql, place).fetchone()
    return difference(row, fold_stream(of_tenant(log.connection, place)))


def replace(log: SqliteLog, say: Say, note: Callable[[], int]) -> int:
    """Builds the contexts anew beside the live ones and swaps them in; `log` is open for writing, and `note` appends to
    it within the swap's transaction: what it gave.
    """
    table = SideTable(log.database, schema()[1])
    head, _ = log.head()
    table.make(head)
    reader = _reader(Path(log.database.conn.execute("PRAGMA database_list").fetchone()[2]))
    after: Place = ("", "")
    try:
        while True:
            seen = Folded(last=after)
            with _snapshot(reader):
                rows = [
                    to_row(tenant) for _, tenant in contexts(by_tenant(reader.connection, after), seen, EVENTS_A_CHUNK)
                ]
            pending = iter(rows)
            while chunk := list(islice(pending, CHUNK)):
                table.fill(chunk)
            say(seen.events)
            if seen.events < EVENTS_A_CHUNK:
                break
            after = seen.last
    finally:
        reader.close()
    return table.swap(lambda: table.put(_caught_up(log, head)), note)


def _caught_up(log: SqliteLog, head: int) -> list[tuple[object, ...]]:
    late = [fold_stream(of_tenant(log.connection, place)) for place in touched(log, head)]
    return [to_row(tenant) for tenant in late if tenant is not None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it: `first` is what differed first, `position` of the event that says that tables were swapped."""

    identical: bool
    events: int
    seconds: float
    different: int = 0
    first: Mismatch | None = None
    position: int = 0


def rebuild(path: Path, say: Say, note: Note, processes: int | None = None) -> Rebuilt:
    """Compares, and swaps if something differs; `note` tells of it in the log, within the swap's transaction, and
    gives the position of what it said. UnderWayError, BrokenChainError.
    """
    with _alone(path):
        return _rebuild(path, say, note, processes)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lease = Lease(path.with_name(f"{path.name}-rebuild"))
    try:
        if not lease.take():
            raise UnderWayError("another rebuild of this log is under way")
        yield
    finally:
        lease.close()


def _rebuild(path: Path, say: Say, note: Note, processes: int | None) -> Rebuilt:
    began = time.monotonic()
    found = compare(path, say, processes)
    if found.first is None:
        return Rebuilt(True, found.events, time.monotonic() - began)
    log = SqliteLog(path, [SecurityContextProjector()])
    try:
        position = replace(log, say, lambda: note(log, found))
    finally:
        log.close()
    return Rebuilt(False, found.events, time.monotonic() - began, found.different, found.first, position)
