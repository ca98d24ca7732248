"""Makes large logs quickly, and reads or changes stored rows as any other tool would."""

from pathlib import Path
from typing import Any

import pysqlite3

from tenure.domain.chain import GENESIS, chain_hash
from tenure.domain.events import Draft, EventType, Installed, Switched
from tenure.domain.ports import Append
from tenure.projections.security_context import SecurityContextProjector, schema
from tenure.store.codec import COLUMNS, encode
from tenure.store.evidence import export_line
from tenure.store.sqlite import SqliteLog, open_log

APP = "com.example.app"
NAMES = (*COLUMNS, "hash")


def make_log(path: Path, events: int, tenants: int = 100, batch: int = 5000) -> None:
    """A log of so many events with its projection: an install of each tenant, then switches in turn."""
    open_log(path, [schema()])
    log = SqliteLog(path, [SecurityContextProjector()])
    versions = [0] * tenants
    for start in range(0, events, batch):
        requests = []
        for number in range(start, min(start + batch, events)):
            who = number % tenants
            requests.append(Append(APP, f"tenant-{who}", versions[who], _draft(number, versions[who]), None))
            versions[who] += 1
        log.append(requests)
    log.close()


def _draft(number: int, version: int) -> Draft:
    if version == 0:
        data = Installed(f"https://site-{number}.atlassian.net", f"1.{number:016x}.nonce.sealed", f"{number:016x}")
        return Draft(EventType.INSTALLED, {"kind": "rs256", "kid": "k"}, data)
    return Draft(EventType.ENABLED if version % 2 else EventType.DISABLED, {"kind": "hs256"}, Switched())


def columns_of(draft: Draft) -> tuple[str, str, str]:
    """The stored texts proof, changed and data."""
    return encode(draft)


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
