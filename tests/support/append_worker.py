"""Appends from a process of its own; must be importable there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.domain_support import request
from tenure.domain.ports import Appended, Conflict, EventLog
from tenure.projections.security_context import SecurityContextProjector, schema
from tenure.store.postgres.log import PostgresLog, open_log
from tenure.store.sqlite import SqliteLog


def append_many(path: Path, client_key: str, count: int) -> None:
    """Appends to a stream of its own and to one that is shared, trying again after a conflict."""
    _append_many(SqliteLog(path), client_key, count)


def _append_many(log: EventLog, client_key: str, count: int) -> None:
    shared = 0
    for number in range(count):
        assert isinstance(log.append([request(number, client_key=client_key)])[0], Appended)
        while isinstance(found := log.append([request(shared, client_key="shared")])[0], Conflict):
            shared = found.version
        shared += 1
    log.close()


def append_from_threads(url: str, name: str, connections: int, count: int) -> None:
    """As `append_many` into PostgreSQL, from several connections at once."""
    with ThreadPoolExecutor(connections) as pool:
        running = [pool.submit(_append_many, PostgresLog(url, [SecurityContextProjector()]), f"{name}-{number}", count)
                   for number in range(connections)]  # fmt: skip
        for one in running:
            one.result()


def open_postgres(url: str) -> None:
    """Makes the schema."""
    open_log(url, [schema("postgres")])
