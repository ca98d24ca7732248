"""The three stores behind one face, for the contract suite: memory, SQLite, PostgreSQL."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pysqlite3

from support.postgres import Cluster
from tenure.domain.chain import GENESIS
from tenure.domain.events import Draft
from tenure.domain.ports import EventLog, InlineProjector
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import SecurityContextProjector, current, schema
from tenure.store.clock import utc_now
from tenure.store.codec import COLUMNS, encode
from tenure.store.memory import MemoryLog
from tenure.store.postgres import log as postgres
from tenure.store.sqlite import SqliteLog, open_log
from tenure.stores import Log

Clock = Callable[[], str]
ROWS = f"SELECT {', '.join(COLUMNS)}, hash FROM events ORDER BY position"


class InMemory:
    """A log in memory; every opening is the same log."""

    name = "memory"

    def __init__(self) -> None:
        self._log = MemoryLog()

    def open(self, clock: Clock = utc_now, projectors: Sequence[InlineProjector] | None = None) -> EventLog:
        """The log, with a clock."""
        self._log._clock = clock
        return self._log

    def rows(self) -> list[tuple[Any, ...]]:
        """What is stored, column by column."""
        return [
            (e.position, e.version, e.type, e.app_key, e.client_key, e.recorded_at,
             *encode(Draft(e.type, e.proof, e.data, e.changed)), e.token_fingerprint, e.hash)
            for e in self._log.read()
        ]  # fmt: skip

    async def context(self, app_key: str, client_key: str) -> Tenant | None:
        """The tenant as the projection has it."""
        return await self._log.get(app_key, client_key)

    def close(self) -> None:
        """Nothing to close."""


class OnDisk:
    """A SQLite file."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.db"
        open_log(self.path, [schema()])
        self._opened: list[SqliteLog] = []

    def open(self, clock: Clock = utc_now, projectors: Sequence[InlineProjector] | None = None) -> Log:
        """The log on a connection of its own."""
        log = SqliteLog(self.path, [SecurityContextProjector()] if projectors is None else projectors, clock=clock)
        self._opened.append(log)
        return log

    def foreign(self, statement: str) -> None:
        """Runs a statement as any other tool would; its error means refused."""
        connection = pysqlite3.connect(str(self.path), isolation_level=None)
        try:
            connection.execute("PRAGMA recursive_triggers=OFF")
            connection.execute(statement)
        finally:
            connection.close()

    def rows(self) -> list[tuple[Any, ...]]:
        """What is stored, column by column."""
        connection = pysqlite3.connect(str(self.path))
        try:
            return list(connection.execute(ROWS))
        finally:
            connection.close()

    async def context(self, app_key: str, client_key: str) -> Tenant | None:
        """The tenant as the projection has it."""
        return _projected(SqliteLog(self.path, read_only=True), app_key, client_key)

    def close(self) -> None:
        """Closes what was opened."""
        for log in self._opened:
            log.close()


class InPostgres:
    """A database of a PostgreSQL server."""

    name = "postgres"

    def __init__(self, cluster: Cluster) -> None:
        self.url = cluster.url(cluster.database())
        postgres.open_log(self.url, [schema("postgres")])
        self._opened: list[postgres.PostgresLog] = []

    def open(self, clock: Clock = utc_now, projectors: Sequence[InlineProjector] | None = None) -> Log:
        """The log on a connection of its own."""
        kept = [SecurityContextProjector()] if projectors is None else projectors
        log = postgres.PostgresLog(self.url, kept, clock=clock)
        self._opened.append(log)
        return log

    def foreign(self, statement: str) -> None:
        """Runs a statement as any other tool would; its error means refused."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def rows(self) -> list[tuple[Any, ...]]:
        """What is stored, column by column."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(ROWS.encode()).fetchall()

    async def context(self, app_key: str, client_key: str) -> Tenant | None:
        """The tenant as the projection has it."""
        return _projected(postgres.PostgresLog(self.url, read_only=True), app_key, client_key)

    def close(self) -> None:
        """Closes what was opened."""
        for log in self._opened:
            log.close()


Store = InMemory | OnDisk | InPostgres


def _projected(log: SqliteLog | postgres.PostgresLog, app_key: str, client_key: str) -> Tenant | None:
    with contextlib.closing(log):
        return current(log.connection, app_key, client_key)


def whole_chain(rows: Sequence[tuple[Any, ...]]) -> tuple[int, str]:
    """Recomputes positions, versions and hashes from stored columns alone; what the head must be."""
    previous, versions = GENESIS, dict[tuple[str, str], int]()
    for number, row in enumerate(rows, 1):
        assert row[0] == number
        versions[row[3], row[4]] = versions.get((row[3], row[4]), 0) + 1
        assert row[1] == versions[row[3], row[4]]
        text = b""
        for piece in (previous, *row[:-1]):
            raw = str(piece).encode()
            text += str(len(raw)).encode() + b":" + raw + b","
        assert row[-1] == hashlib.sha256(text).hexdigest()
        previous = row[-1]
    return len(rows), previous
