"""Appends from a process of its own; must be importable there."""

from pathlib import Path

from support.domain_support import request
from tenure.domain.ports import Appended, Conflict
from tenure.store.sqlite import SqliteLog


def append_many(path: Path, client_key: str, count: int) -> None:
    """Appends to a stream of its own and to one that is shared, trying again after a conflict."""
    log = SqliteLog(path)
    shared = 0
    for number in range(count):
        assert isinstance(log.append([request(number, client_key=client_key)])[0], Appended)
        while isinstance(found := log.append([request(shared, client_key="shared")])[0], Conflict):
            shared = found.version
        shared += 1
    log.close()
