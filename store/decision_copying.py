"""What of the decisions moves house with the log: the webhooks already taken, so that none is passed on twice.

Decisions, counters and alarms stay behind. The log has vouched for the decisions that were counted, so the new store
notes them as let go, and its numbers go on behind the last one that was ever given: what it records itself is never
taken for one of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.store.connection import connect, writing
from tenure.store.copying import OtherRowsError, Say, Table, copy_table
from tenure.store.decisions import open_decisions
from tenure.store.tally import Execute

DELIVERIES = Table("deliveries", ("client_key", "identifier"), ("taken_at", "claimed_until", "decision"), mirrored=True)
_LET_GO = (
    "INSERT INTO let_go VALUES (?, ?) ON CONFLICT (verdict) DO UPDATE SET until = excluded.until "
    "WHERE excluded.until > let_go.until"
)


@dataclass(frozen=True, slots=True)
class Side:
    """One store of decisions. `last`: the last number that was given; `skip`: has the numbers go on behind one."""

    execute: Execute
    writing: Callable[[], AbstractContextManager[Any]]
    last: Callable[[], int]
    skip: Callable[[int], None]


def copy_deliveries(source: Side, target: Side, say: Say) -> int:
    """Brings the webhooks taken to what they are in the source; how many were written or taken away."""

    def locked(put: Callable[[], Sequence[object]]) -> None:
        with target.writing():
            put()

    return copy_table(DELIVERIES, _Connection(source.execute), _Connection(target.execute), locked, say)


def go_on_behind(target: Side, number: int) -> None:
    """Notes that decisions up to a number were let go, and has the target's own begin behind it. OtherRowsError if it
    holds decisions already.
    """
    if target.execute("SELECT max(number) FROM decisions").fetchone()[0] is not None:
        raise OtherRowsError("it holds decisions of its own")
    if number <= target.last():
        return
    with target.writing():
        target.skip(number)
        for verdict in ("accepted", "refused"):
            target.execute(_LET_GO, (verdict, number))
        target.execute("UPDATE decision_head SET sealed = ?", (number,))


@dataclass(frozen=True, slots=True)
class _Connection:
    execute: Execute


@contextmanager
def sqlite_side(path: Path, *, make: bool) -> Iterator[Side | None]:
    """A `decisions.db`; None if it is not there and is not to be made."""
    if make:
        open_decisions(path)
    elif not path.is_file():
        yield None
        return
    database = connect(path, synchronous="NORMAL")
    execute = database.conn.execute

    def last() -> int:
        row = execute("SELECT seq FROM sqlite_sequence WHERE name = 'decisions'").fetchone()
        return int(row[0]) if row else 0

    def skip(number: int) -> None:
        execute("DELETE FROM sqlite_sequence WHERE name = 'decisions'")
        execute("INSERT INTO sqlite_sequence VALUES ('decisions', ?)", (number,))

    try:
        yield Side(execute, lambda: writing(database), last, skip)
    finally:
        database.close()
