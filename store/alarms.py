"""Alarms in the decision log's store: the items told, those still to be posted, and which tenants are watched.

What a round found is written in one transaction with how far it looked, so that a restart neither repeats an alarm nor
misses one. At most one is open for a tenant; at most 10,000 items are kept, the oldest go.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from tenure.domain.alarms import Alarm, AlarmFilter, Passed, Watch
from tenure.store.connection import connect, writing
from tenure.store.dialect import SQLITE, Dialect
from tenure.store.tally import Execute, Summed

Writing = Callable[[], AbstractContextManager[Execute]]

RAISED = Summed("alarm_totals", ("kind",), ("raised",))
KEPT = 10_000
_SELECT = "SELECT number, item FROM alarms"
_ALARM = TypeAdapter(Alarm)
_WATCHES = TypeAdapter(tuple[Watch, ...])
_PASSED = (
    "SELECT number, read_position FROM decisions WHERE client_key = ? AND client_key <> '' AND verdict = 'accepted'"
)
_LOOKED = (
    "INSERT INTO alarm_watch VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
    "SET number = excluded.number, position = excluded.position, watches = excluded.watches"
)
_PROOFS = "kind IN ('enabled', 'disabled', 'webhook', 'forward-auth')"
_CALLS = "kind NOT IN ('sign', 'audit')"


@dataclass(frozen=True, slots=True)
class Open:
    """An open alarm, and the number of the last decision when it was raised."""

    alarm: Alarm
    began: int


@dataclass(frozen=True, slots=True)
class Looked:
    """How far both logs were looked at, and who is watched."""

    number: int
    position: int
    watches: tuple[Watch, ...]


@dataclass(frozen=True, slots=True)
class Unposted:
    """An item still to be posted, and how often that was tried."""

    alarm: Alarm
    attempts: int


class AlarmReads:
    """Questions about alarms on one connection; one thread at a time."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def page(self, chosen: AlarmFilter | None = None, *, after: int = 0, limit: int = 100) -> list[Alarm]:
        """Items behind a number, oldest first."""
        sql, parameters = _page_sql(chosen or AlarmFilter())
        return [_alarm(row) for row in self._execute(sql, (after, *parameters, limit))]

    def last_number(self) -> int:
        """The number of the newest item; 0 if there is none."""
        return int(self._execute("SELECT max(number) FROM alarms").fetchone()[0] or 0)

    def raised(self) -> list[tuple[str, int]]:
        """How many alarms of each kind were ever raised."""
        return [(kind, count) for kind, count in self._execute("SELECT kind, raised FROM alarm_totals ORDER BY kind")]

    def open_kinds(self) -> list[tuple[str, int]]:
        """How many alarms of each kind are open."""
        rows = self._execute("SELECT kind, count(*) FROM alarms WHERE open = 1 GROUP BY kind ORDER BY kind")
        return [(kind, count) for kind, count in rows]

    def passed(self, client_key: str) -> Passed:
        """The last accepted calls of a tenant, as far as they are kept."""
        last = self._execute(f"{_PASSED} AND {_CALLS} ORDER BY number DESC LIMIT 1", (client_key,)).fetchone()
        if last is None:
            return Passed()
        proof = self._execute(f"{_PASSED} AND {_PROOFS} ORDER BY number DESC LIMIT 1", (client_key,)).fetchone()
        return Passed(last[0], *(proof or (0, 0)))


class AlarmBook(AlarmReads):
    """The writing end, on a connection of its own; one thread at a time."""

    def __init__(self, execute: Execute, dialect: Dialect, writing: Writing, close: Callable[[], None]) -> None:
        super().__init__(execute)
        self._dialect = dialect
        self._writing = writing
        self.close = close

    def looked(self) -> Looked | None:
        """Where the last round ended; None before the first."""
        row = self._execute("SELECT number, position, watches FROM alarm_watch").fetchone()
        return Looked(row[0], row[1], _WATCHES.validate_json(row[2])) if row else None

    def number_at(self, time: str) -> int:
        """The decision before the first one recorded from a stored time on; the last one if there is none."""
        row = self._execute("SELECT number FROM decisions WHERE at >= ? ORDER BY at LIMIT 1", (time,)).fetchone()
        if row is not None:
            return int(row[0]) - 1
        return int(self._execute("SELECT max(number) FROM decisions").fetchone()[0] or 0)

    def open(self) -> list[Open]:
        """Every open alarm."""
        rows = self._execute("SELECT number, item, began FROM alarms WHERE open = 1").fetchall()
        return [Open(_alarm(row[:2]), row[2]) for row in rows]

    def write(self, looked: Looked, items: Sequence[Open], due: float | None) -> list[Alarm]:
        """Keeps the round: how far it looked, the items raised and ended, `due` the Unix time from which they are to
        be posted (None: not at all). The items, numbered.
        """
        with self._writing() as execute:
            told = [self._tell(execute, item, due) for item in items]
            watches = _WATCHES.dump_json(looked.watches).decode()
            execute(_LOOKED, (looked.number, looked.position, watches))
            if told:
                execute("DELETE FROM alarms WHERE open = 0 AND number <= ?", (told[-1].number - KEPT,))
        return told

    def _tell(self, execute: Execute, item: Open, due: float | None) -> Alarm:
        alarm, raised = item.alarm, item.alarm.state == "raised"
        if raised:
            execute(RAISED.adding("VALUES (?, 1)"), (alarm.kind,))
        else:
            execute("UPDATE alarms SET open = 0 WHERE alarm = ?", (alarm.alarm,))
        fields = (alarm.alarm, alarm.state, alarm.kind, alarm.at, alarm.client_key, _text(alarm))
        [(number,)] = execute(
            f"INSERT INTO alarms VALUES ({self._dialect.numbering}, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING number",
            (*fields, item.began, int(raised), due),
        ).fetchall()
        return replace(alarm, number=int(number))

    def unposted(self, now: float, limit: int) -> list[Unposted]:
        """Items whose time to be posted has come, the longest due first."""
        rows = self._execute(
            "SELECT number, item, attempts FROM alarms WHERE due IS NOT NULL AND due <= ? ORDER BY due, number LIMIT ?",
            (now, limit),
        ).fetchall()
        return [Unposted(_alarm(row[:2]), row[2]) for row in rows]

    def posted(self, number: int, again: float | None) -> None:
        """Notes an attempt; `again` is when the next is due, None if there is none."""
        with self._writing() as execute:
            execute("UPDATE alarms SET attempts = attempts + 1, due = ? WHERE number = ?", (again, number))


def sqlite_book(path: Path) -> AlarmBook:
    """The writing end in a `decisions.db`."""
    database = connect(path, synchronous="NORMAL")
    execute = database.conn.execute

    @contextmanager
    def transaction() -> Iterator[Execute]:
        with writing(database):
            yield execute

    return AlarmBook(execute, SQLITE, transaction, database.close)


def _page_sql(chosen: AlarmFilter) -> tuple[str, list[Any]]:
    terms: list[str] = []
    parameters: list[Any] = []
    for term, value in (
        ("client_key = ?", chosen.client_key),
        ("kind = ?", chosen.kind),
        ("state = ?", chosen.state if chosen.state != "open" else None),
        ("at >= ?", chosen.since),
        ("at <= ?", chosen.until),
    ):
        if value is not None:
            terms.append(f" AND {term}")
            parameters.append(value)
    if chosen.state == "open":
        terms.append(" AND open = 1")
    return f"{_SELECT} WHERE number > ?{''.join(terms)} ORDER BY number LIMIT ?", parameters


def _alarm(row: Iterable[Any]) -> Alarm:
    number, text = row
    return _ALARM.validate_python({**orjson.loads(text), "number": number})


def _text(alarm: Alarm) -> str:
    fields = asdict(alarm)
    del fields["number"]
    return orjson.dumps(fields).decode()
