"""The decision log and the webhooks already taken, in a file of their own: `decisions.db`.

Written in batches by a lane of its own, `synchronous=NORMAL`: a killed process loses nothing, a power cut may lose the
last moments (lifecycle events are not in here alone; the log has them, fsynced). Bounded: past `KEPT` decisions the
oldest go, so that a stranger's calls cannot fill the disk.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from tenure.domain.decisions import Decision, Delivery, Facts
from tenure.store.connection import check_permissions, connect, migrate

_FACTS = TypeAdapter(Facts)
_EMPTY = ("", None, (), False)

KEPT = 200_000
PRUNE_EVERY = 2_000
DELIVERIES_KEPT_S = 48 * 3600

_COLUMNS = tuple(name for name in Decision.__dataclass_fields__ if name != "facts")
_INSERT = f"INSERT OR IGNORE INTO decisions VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"


def facts_text(facts: Facts) -> str:
    """The facts as stored: JSON, what is empty left out."""
    return orjson.dumps({name: value for name, value in asdict(facts).items() if value not in _EMPTY}).decode()


def facts_of(text: str) -> Facts:
    """The facts of a stored text; names that this code does not know are passed over."""
    return _FACTS.validate_json(text)


def open_decisions(path: Path) -> None:
    """Makes or migrates the file."""
    if path.exists():
        check_permissions(path)
    database = connect(path, create=True, synchronous="NORMAL")
    try:
        migrate(database, "decisions")
    finally:
        database.close()


class SqliteDecisions:
    """The decision log on one connection; one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._database = connect(path, synchronous="NORMAL", read_only=read_only)
        self._execute = self._database.conn.execute
        self._since_prune = 0

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    def record(self, batch: Sequence[Decision | Delivery]) -> list[None]:
        """Stores decisions and taken deliveries in one transaction."""
        self._execute("BEGIN IMMEDIATE")
        try:
            for item in batch:
                if isinstance(item, Decision):
                    columns = (getattr(item, name) for name in _COLUMNS)
                    self._execute(_INSERT, (*columns, facts_text(item.facts)))
                else:
                    self._execute(
                        "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?)",
                        (item.client_key, item.identifier, time.time()),
                    )
            self._prune(len(batch))
            self._execute("COMMIT")
        except BaseException:
            if self._database.conn.in_transaction:
                self._execute("ROLLBACK")
            raise
        return [None] * len(batch)

    def _prune(self, written: int) -> None:
        self._since_prune += written
        if self._since_prune < PRUNE_EVERY:
            return
        self._since_prune = 0
        self._execute(
            "DELETE FROM decisions WHERE decision <= "
            "(SELECT decision FROM decisions ORDER BY decision DESC LIMIT 1 OFFSET ?)",
            (KEPT,),
        )
        self._execute("DELETE FROM deliveries WHERE taken_at < ?", (time.time() - DELIVERIES_KEPT_S,))

    def taken(self, client_key: str, identifier: str) -> bool:
        """Whether the upstream took this webhook before."""
        return (
            self._execute(
                "SELECT 1 FROM deliveries WHERE client_key = ? AND identifier = ?", (client_key, identifier)
            ).fetchone()
            is not None
        )

    def read(
        self, *, client_key: str | None = None, verdict: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The newest decisions, oldest of them first."""
        sql, parameters = f"SELECT {', '.join(_COLUMNS)} FROM decisions WHERE 1", []
        for name, value in (("client_key", client_key), ("verdict", verdict)):
            if value is not None:
                sql += f" AND {name} = ?"
                parameters.append(value)
        rows = self._execute(f"{sql} ORDER BY decision DESC LIMIT ?", (*parameters, limit)).fetchall()
        return [dict(zip(_COLUMNS, row, strict=True)) for row in reversed(rows)]
