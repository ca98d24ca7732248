"""Makes large logs quickly, and reads or changes stored rows as any other tool would."""

from pathlib import Path
from typing import Any

import pysqlite3

from tenure.domain.chain import GENESIS, chain_hash
from tenure.domain.events import Draft, EventType, Installed, Switched
from tenure.projections.fold import fold
from tenure.projections.security_context import schema, to_row
from tenure.store.codec import COLUMNS, decode, encode
from tenure.store.connection import schema_of, statements
from tenure.store.evidence import export_line
from tenure.store.sqlite import open_log

APP = "com.example.app"
NAMES = (*COLUMNS, "hash")


def make_log(path: Path, events: int, tenants: int = 100) -> None:
    """A log of so many events with its projection: an install of each tenant, then switches in turn. Written at once
    and past the triggers, which stand again afterwards.
    """
    open_log(path, [schema()])
    versions, made, previous = [0] * tenants, [], GENESIS
    for number in range(events):
        who = number % tenants
        draft = _draft(number, versions[who])
        versions[who] += 1
        time = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z"
        head = (number + 1, versions[who], str(draft.type), APP, f"tenant-{who}", time)
        columns = (*head, *encode(draft), "")
        previous = chain_hash(previous, columns)
        made.append((*columns, previous))
    triggers = [line for line in statements(schema_of("events")) if line.startswith("CREATE TRIGGER")]
    write_rows(path, made)
    connection = pysqlite3.connect(str(path), isolation_level=None)
    connection.execute("BEGIN")
    for tenant in fold(map(decode, made)).values():
        connection.execute(f"INSERT INTO security_contexts VALUES ({', '.join('?' * 25)})", to_row(tenant))
    for trigger in triggers:
        connection.execute(trigger.rstrip(";"))
    connection.execute("COMMIT")
    connection.close()


def _draft(number: int, version: int) -> Draft:
    if version == 0:
        data = Installed(f"https://site-{number}.atlassian.net", f"1.{number:016x}.nonce.sealed", f"{number:016x}")
        return Draft(EventType.INSTALLED, {"kind": "rs256", "kid": "k"}, data)
    return Draft(EventType.ENABLED if version % 2 else EventType.DISABLED, {"kind": "hs256"}, Switched())


def foreign(path: Path) -> Any:
    """A connection as any other tool's, for a log whose triggers were taken away."""
    connection = pysqlite3.connect(str(path), isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """Every stored row, columns then hash."""
    connection = pysqlite3.connect(str(path))
    found = connection.execute(f"SELECT {', '.join(NAMES)} FROM events ORDER BY position").fetchall()
    connection.close()
    return list(found)


def rehash(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows with positions and hashes made anew, as a forger would."""
    made, previous = [], GENESIS
    for position, row in enumerate(rows, 1):
        columns = (position, *row[1:-1])
        previous = chain_hash(previous, columns)
        made.append((*columns, previous))
    return made


def write_rows(path: Path, rows: list[tuple[Any, ...]], head: bool = True) -> None:
    """Puts rows in place of the stored ones, and the head if told."""
    connection = foreign(path)
    connection.execute("BEGIN")
    connection.execute("DELETE FROM events")
    connection.executemany(f"INSERT INTO events ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})", rows)
    if head and rows:
        connection.execute("UPDATE log_head SET position = ?, hash = ?", (rows[-1][0], rows[-1][-1]))
    connection.execute("COMMIT")
    connection.close()


def write_export(path: Path, rows: list[tuple[Any, ...]]) -> None:
    """The rows as an export."""
    path.write_bytes(b"".join(map(export_line, rows)))
