"""Rows of one store put into another as they are: positions, versions, times, hashes, to the byte.

Both stores take the same SQL here. Events go on where the target ends, each held to the chain. A table with a key is
gone through in the order of its key, side by side with the target's: what is missing there is added; what is other or
only there is refused, or made as it is in the source. So whatever a run that was cut off has done, the next one finds
and does not do again.
All that is written is written with the target's log held (`Target.append_under_lock`), a batch a transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tenure.domain.chain import GENESIS, chain_hash
from tenure.domain.events import Event
from tenure.domain.ports import Append, AppendResult, Transaction
from tenure.store.codec import STORED, decode
from tenure.store.folding import BrokenChainError
from tenure.store.values import values

BATCH = 500  # the trigger that moves PostgreSQL's head walks past a batch's own earlier moves: more costs more each

Row = tuple[Any, ...]
Say = Callable[[str, int], None]

_EVENTS = f"SELECT {', '.join(STORED)} FROM events WHERE position > ? ORDER BY position LIMIT ?"


class OtherRowsError(Exception):
    """The target holds what the source does not: it is not a part of the source; the message says what."""


class Source(Protocol):
    """A log that is read."""

    @property
    def connection(self) -> Transaction: ...

    def head(self) -> tuple[int, str]: ...

    def hash_at(self, position: int) -> str | None: ...


class Target(Source, Protocol):
    """A log that rows are put into."""

    def append_under_lock(self, decide: Callable[[], Sequence[Append]]) -> list[AppendResult]: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A table, the columns of its key first. `mirrored`: rows that are other or only in the target give way."""

    name: str
    key: tuple[str, ...]
    rest: tuple[str, ...]
    mirrored: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in the order of `Row`."""
        return (*self.key, *self.rest)


SPENT_TOKENS = Table("spent_tokens", ("fingerprint",), ("body_digest", "outcome", "app_key", "client_key", "spent_at"))
INSTALL_KEYS = Table("install_keys", ("host", "kid"), ("pem", "fetched_at"), mirrored=True)


def beyond(source: Source, target: Source) -> str:
    """Why the target's log is no beginning of the source's, in words; empty if it is one."""
    position, digest = target.head()
    last, own = source.head()
    if position == 0 or source.hash_at(position) == digest:
        return ""
    if position > last and (last == 0 or target.hash_at(last) == own):
        return f"it has gone on by itself behind position {last}: it was served, or is"
    return f"it holds another log, of {position} events"


def copy_events(
    source: Source, target: Target, fold: Callable[[Transaction, Sequence[Event]], None], say: Say, own_head: bool
) -> int:
    """Puts the events behind the target's last into it, and what `fold` makes of them into the same transaction; how
    many they were. `own_head`: the target's trigger moves its head. OtherRowsError, BrokenChainError.
    """
    copied, (position, _) = 0, target.head()
    while rows := source.connection.execute(_EVENTS, (position, BATCH)).fetchall():
        target.append_under_lock(partial(_put_events, source, target, rows, fold, own_head))
        copied, position = copied + len(rows), rows[-1][0]
        say("events", position)
    return copied


def _put_events(
    source: Source, target: Target, rows: Sequence[Row], fold: Callable[[Transaction, Sequence[Event]], None],
    own_head: bool,
) -> Sequence[Append]:  # fmt: skip
    position, digest = target.head()
    if rows[0][0] != position + 1 or digest != (source.hash_at(position) if position else GENESIS):
        raise OtherRowsError(f"somebody else writes to it: it is at position {position} now")
    for row in rows:
        position += 1
        if row[0] != position or chain_hash(digest, row[:-1]) != row[-1]:
            raise BrokenChainError(position)
        digest = row[-1]
        if not own_head:
            target.connection.execute(_inserting("events", 1), row)
            target.connection.execute("UPDATE log_head SET position = ?, hash = ? WHERE id = 1", (position, digest))
    if own_head:
        _insert(target.connection, "events", rows)
    fold(target.connection, [decode(row) for row in rows])
    return ()  # nothing is appended beside: only nobody else may meanwhile


Lock = Callable[[Callable[[], Sequence[Append]]], object]


def copy_table(
    table: Table, source: Transaction, target: Transaction, locked: Lock, say: Say,
    wanted: Callable[[Row], bool] = lambda _: True,
) -> int:  # fmt: skip
    """Brings a table to what it is in the source; how many rows were written or taken away. `locked` does something
    within a transaction on `target` that keeps others away. `wanted`: rows for which it is not so are as not in the
    source. OtherRowsError.
    """
    written, seen, after = 0, 0, None
    while True:
        rows = list(_read(source, table, after, None, BATCH))
        until = _key(table, rows[-1]) if len(rows) == BATCH else None
        rows = list(filter(wanted, rows))
        there = {_key(table, row): row for row in _between(target, table, after, until)}
        missing = [row for row in rows if there.get(_key(table, row)) != row]
        other = sorted(there.keys() - {_key(table, row) for row in rows if there.get(_key(table, row)) == row})
        if other and not table.mirrored:
            raise OtherRowsError(f"{table.name} holds {other[0][0]!r} otherwise than the source")
        if missing or other:
            locked(partial(_put_rows, table, target, missing, other))
        written, seen = written + len({*other, *(_key(table, row) for row in missing)}), seen + len(rows)
        say(table.name.replace("_", " "), seen)
        if until is None:
            return written
        after = until


def _put_rows(table: Table, target: Transaction, rows: Sequence[Row], instead: Sequence[Row]) -> Sequence[Append]:
    where = " AND ".join(f"{name} = ?" for name in table.key)
    for key in instead:
        target.execute(f"DELETE FROM {table.name} WHERE {where}", key)
    _insert(target, table.name, rows, table.columns)
    return ()


def _key(table: Table, row: Row) -> Row:
    return row[: len(table.key)]


def _between(connection: Transaction, table: Table, after: Row | None, until: Row | None) -> Iterator[Row]:
    while rows := list(_read(connection, table, after, until, BATCH)):
        yield from rows
        after = _key(table, rows[-1])


def _read(connection: Transaction, table: Table, after: Row | None, until: Row | None, limit: int) -> Iterator[Row]:
    key, marks = ", ".join(table.key), ", ".join("?" * len(table.key))
    bounds = [(sign, edge) for sign, edge in ((">", after), ("<=", until)) if edge is not None]
    where = " AND ".join(f"({key}) {sign} ({marks})" for sign, _ in bounds)
    sql = f"SELECT {', '.join(table.columns)} FROM {table.name}{' WHERE ' + where if where else ''}"
    parameters = [value for _, edge in bounds for value in edge]
    return map(tuple, connection.execute(f"{sql} ORDER BY {key} LIMIT ?", (*parameters, limit)).fetchall())


def _inserting(name: str, rows: int, columns: tuple[str, ...] = STORED) -> str:
    return f"INSERT INTO {name} ({', '.join(columns)}) {values(rows, len(columns))}"


def _insert(connection: Transaction, name: str, rows: Sequence[Row], columns: tuple[str, ...] = STORED) -> None:
    if rows:
        sql = _inserting(name, len(rows), columns)
        connection.execute(sql, tuple(value for row in rows for value in row))
