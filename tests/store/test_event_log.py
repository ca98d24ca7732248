"""The append-only log in a SQLite file: what the file refuses, whose it is, and two processes on it."""

import multiprocessing
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysqlite3
import pytest

from support.append_worker import append_many
from support.domain_support import APP, install, request
from support.stores import whole_chain
from tenure.domain.chain import GENESIS
from tenure.domain.events import Event, EventType
from tenure.domain.ports import Append, Appended, Spend
from tenure.store.connection import UntrustedStoreError
from tenure.store.sqlite import SqliteLog, open_log

COLUMNS = "position, version, type, app_key, client_key, recorded_at, proof, changed, data, token_fingerprint"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new, empty log file."""
    file = tmp_path / "events.db"
    open_log(file)
    return file


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    """The log on that file."""
    opened = SqliteLog(path)
    yield opened
    opened.close()


def foreign(path: Path) -> Any:
    """A connection as any other tool would open it."""
    connection = pysqlite3.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA recursive_triggers=OFF")
    return connection


def appended(log: SqliteLog, asked: Append) -> Event:
    """The event of an append that must succeed."""
    found = log.append([asked])[0]
    assert isinstance(found, Appended)
    assert found.event is not None
    return found.event


def assert_chain_is_whole(path: Path, events: int) -> None:
    """Recomputes positions, versions and hashes from the stored columns alone."""
    connection = foreign(path)
    rows = connection.execute(f"SELECT {COLUMNS}, hash FROM events ORDER BY position").fetchall()
    count, last = whole_chain(rows)
    assert count == events
    assert connection.execute("SELECT position, hash FROM log_head").fetchall() == [(events, last)]
    connection.close()


def test_a_batch_that_fails_writes_nothing(path: Path) -> None:
    """If one of a batch breaks, the whole transaction is as if it had not been, and the log goes on."""

    class Broken:
        def apply(self, transaction: object, event: Event) -> None:
            if event.type == "disabled":
                raise RuntimeError("no")

    log = SqliteLog(path, [Broken()])
    with pytest.raises(RuntimeError):
        log.append([request(0, install(), spend=Spend("token", "body")), request(1, EventType.DISABLED)])
    assert (log.head(), log.spent("token")) == ((0, GENESIS), None)
    appended(log, request(0, install()))
    log.close()
    assert_chain_is_whole(path, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'x'",
        "UPDATE events SET hash = 'x' WHERE position = 1",
        "UPDATE OR REPLACE events SET position = 2 WHERE position = 1",
        "UPDATE OR IGNORE events SET version = 9",
        "DELETE FROM events",
        "DELETE FROM events WHERE position = 2",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 1",
        "REPLACE INTO events SELECT 1, 9, type, app_key, 'x', recorded_at, '', '', '', '', '' FROM events LIMIT 1",
        "REPLACE INTO events SELECT 3, 1, type, app_key, client_key, '', '', '', '', '', '' FROM events LIMIT 1",
        "INSERT INTO events SELECT 9, 9, type, app_key, client_key, '', '', '', '', '', '' FROM events LIMIT 1",
        "UPDATE spent_tokens SET body_digest = 'x'",
        "DELETE FROM spent_tokens",
        "INSERT OR REPLACE INTO spent_tokens SELECT fingerprint, 'x', '', '', '', '' FROM spent_tokens",
    ],
)
def test_the_file_refuses_changes_of_any_tool(log: SqliteLog, path: Path, statement: str) -> None:
    """UPDATE, DELETE and INSERT OR REPLACE fail on a foreign connection too, with recursive triggers off."""
    log.append([request(0, install(), spend=Spend("token", "body")), request(1)])
    connection = foreign(path)
    with pytest.raises(pysqlite3.DatabaseError):
        connection.execute(statement)
    connection.close()
    assert log.spent("token") == Spend("token", "body")
    assert_chain_is_whole(path, 2)


@pytest.mark.parametrize("table", ["events", "spent_tokens"])
@pytest.mark.parametrize("guard", ["update", "delete", "replace"])
def test_a_log_without_a_trigger_is_not_trusted(path: Path, table: str, guard: str) -> None:
    """Each of the triggers is missed at the next start, by name."""
    connection = foreign(path)
    connection.execute(f"DROP TRIGGER {table}_no_{guard}")
    connection.close()
    with pytest.raises(UntrustedStoreError, match=f"{table}_no_{guard}"):
        open_log(path)


def test_the_files_are_the_owners_alone(tmp_path: Path) -> None:
    """Log, write-ahead log and shared memory are 0600, whatever the umask."""
    before = os.umask(0)
    try:
        file = tmp_path / "events.db"
        open_log(file)
        log = SqliteLog(file)
        log.append([request(0, install())])
        modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()}
        log.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["events.db", "events.db-wal", "events.db-shm"], 0o600)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_log_open_to_others_is_not_trusted(path: Path, mode: int) -> None:
    """A file that others may read or write refuses the start, and says how to mend it."""
    path.chmod(mode)
    with pytest.raises(UntrustedStoreError, match="chmod 600"):
        open_log(path)


def test_opening_again_changes_nothing(path: Path) -> None:
    """A second start finds everything in place."""
    log = SqliteLog(path)
    appended(log, request(0, install()))
    log.close()
    open_log(path)
    assert_chain_is_whole(path, 1)


def test_a_log_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Only a start makes the file; reading a missing one is an error."""
    with pytest.raises(FileNotFoundError):
        SqliteLog(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(log: SqliteLog, path: Path) -> None:
    """A log opened read-only sees commits and refuses appends."""
    appended(log, request(0, install()))
    reader = SqliteLog(path, read_only=True)
    assert reader.head()[0] == 1
    with pytest.raises(pysqlite3.OperationalError):
        reader.append([request(1)])
    reader.close()


def test_two_processes_append_to_one_chain(path: Path) -> None:
    """Two processes appending at once leave gapless positions and versions and a whole chain."""
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=append_many, args=(path, name, 25)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert_chain_is_whole(path, 100)
    log = SqliteLog(path)
    assert [event.version for event in log.stream(APP, "shared")] == list(range(1, 51))
    log.close()
