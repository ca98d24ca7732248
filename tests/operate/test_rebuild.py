"""Rebuilding: the projection equals the fold, also under load; what differs is named and replaced while calls go on."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pysqlite3
import pytest

from support.command import told
from support.commands import run
from support.house import House
from support.store_support import make_log, rehash, rows_of, write_rows
from tenure.lease import Lease
from tenure.rebuild import compare, touched
from tenure.simulator.site import Site
from tenure.store.sqlite import SqliteLog


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service of two workers."""
    with House(tmp_path_factory.mktemp("busy"), {}, "--workers", "2") as house:
        yield house


class Traffic:
    """Sites that call and rotate until told to stop; every answer that was not as it should be is kept. `late`: calls
    refused because they could not be recorded within the bound, which a busy machine may do to one at any time.
    """

    def __init__(self, sites: list[Site]) -> None:
        self.wrong: list[str] = []
        self.calls = self.late = 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._play, args=(site,)) for site in sites]
        for thread in self._threads:
            thread.start()

    def _play(self, site: Site) -> None:
        while not self._end.is_set():
            old = site.secret
            self._expect("rotation", site.rotate().status, {204})
            self._expect("webhook by the new secret", site.webhook().status, {200})
            self._expect("webhook by the old secret", site.webhook(secret=old).status, {425})

    def _expect(self, what: str, status: int, right: set[int]) -> None:
        self.calls += 1
        if status == 503:
            self.late += 1
        elif status not in right:
            self.wrong.append(f"{what}: {status}")

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert self.late * 20 <= self.calls


def spoil(path: Path, sql: str) -> None:
    """Changes the live projection behind the service's back."""
    database = pysqlite3.connect(str(path / "events.db"), timeout=10)
    database.execute(sql)
    database.commit()
    database.close()


def indexes(path: Path) -> int:
    """How many indexes the live table has."""
    database = pysqlite3.connect(str(path / "events.db"))
    found = len(database.execute("PRAGMA index_list(security_contexts)").fetchall())
    database.close()
    return found


def test_a_rebuild_under_load_is_identical_and_disturbs_nobody(busy: House) -> None:
    """While two workers take rotations the fold equals the projection each time, and every call is answered rightly."""
    traffic = Traffic([busy.installed() for _ in range(3)])
    try:
        for _ in range(3):
            found = told(busy.folder, busy.settings, "rebuild")
            assert found["identical"]
            assert found["events"] > 6
    finally:
        traffic.stop()
    assert traffic.wrong == []
    assert traffic.calls > 10


def test_a_wrong_projection_is_replaced_under_load(busy: House) -> None:
    """A spoilt row is named with its field and both values, exit status 1; workers' statements survive the swap; the
    service starts anew on the swapped table.
    """
    victim, others = busy.installed(), [busy.installed() for _ in range(3)]
    before = indexes(busy.folder)
    traffic = Traffic(others)
    try:
        assert busy.page(victim).status_code == 200
        spoil(busy.folder, f"UPDATE security_contexts SET installed = 0 WHERE client_key = '{victim.client_key}'")
        assert busy.page(victim).status_code == 401
        found = told(busy.folder, busy.settings, "rebuild", status=1)
        assert (found["identical"], found["different"]) == (False, 1)
        assert found["first"] == {"client_key": victim.client_key, "field": "installed", "live": 0, "folded": 1}
        for _ in range(4):
            assert busy.page(victim).status_code == 200
        time.sleep(0.1)
    finally:
        traffic.stop()
    assert traffic.wrong == []
    assert told(busy.folder, busy.settings, "rebuild")["identical"]
    assert indexes(busy.folder) == before
    assert told(busy.folder, busy.settings, "log", "verify")["ok"]
    (event,) = (event for event in busy.events("") if event.type == "operator.rebuilt")
    assert event.position == found["position"]
    busy.restart()
    assert busy.page(victim).status_code == 200


@pytest.mark.parametrize(
    ("sql", "field"),
    [
        ("DELETE FROM security_contexts WHERE client_key = 'tenant-7'", ""),
        ("UPDATE security_contexts SET secret_fingerprint = 'x' WHERE client_key = 'tenant-7'", "secret_fingerprint"),
        ("UPDATE security_contexts SET client_key = 'tenant-77777' WHERE client_key = 'tenant-7'", ""),
    ],
)
def test_rows_lost_changed_and_invented_are_found_and_put_right(tmp_path: Path, sql: str, field: str) -> None:
    """A missing, a changed and an invented row are each seen; after the swap the projection is the fold."""
    make_log(tmp_path / "events.db", 2000, 50)
    spoil(tmp_path, sql)
    found = run(tmp_path, "rebuild", "--json")
    assert found.status == 1
    assert found.rows[0]["first"]["client_key"] == "tenant-7"
    assert found.rows[0]["first"]["field"] == field
    again = run(tmp_path, "rebuild", "--json")
    assert (again.status, again.rows[0]["identical"]) == (0, True)
    database = pysqlite3.connect(str(tmp_path / "events.db"))
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert not {name for name in tables if name.startswith("security_contexts_")}


def test_on_several_processes_it_is_the_same(tmp_path: Path) -> None:
    """Split over processes every event is gone through once, and the same tenant is found to differ."""
    path = tmp_path / "events.db"
    make_log(path, 40_000, 900)
    assert compare(path, lambda events: None, 2).events == compare(path, lambda events: None, 1).events == 40_000
    spoil(tmp_path, "UPDATE security_contexts SET enabled = 1 - enabled WHERE client_key IN ('tenant-5', 'tenant-600')")
    found = compare(path, lambda events: None, 2)
    assert (found.different, found.first and found.first.client_key) == (2, "tenant-5")
    log = SqliteLog(path, read_only=True)
    assert len(touched(log, 39_990)) == 10
    log.close()


@pytest.mark.parametrize("position", [1, 500, 2000])
def test_a_broken_chain_is_not_rebuilt_from(tmp_path: Path, position: int) -> None:
    """An event that does not follow from the one before ends it with its position; nothing is replaced."""
    path = tmp_path / "events.db"
    make_log(path, 2000, 50)
    rows = rows_of(path)
    changed = list(rows[position - 1])
    changed[5] = "2027-01-01T00:00:00.000000Z"
    rows[position - 1] = tuple(changed)
    write_rows(path, rows)
    found = run(tmp_path, "rebuild", "--json")
    assert found.status == 1
    assert f"position {position}" in found.err
    write_rows(path, [*rehash(rows)[:-1], rows[-1]])
    assert run(tmp_path, "rebuild").status == 1


def test_of_two_at_once_the_later_is_refused(tmp_path: Path) -> None:
    """While another rebuilds, a rebuild ends with 1 and touches nothing; once that has ended or died it goes ahead."""
    make_log(tmp_path / "events.db", 200, 10)
    spoil(tmp_path, "DELETE FROM security_contexts WHERE client_key = 'tenant-7'")
    other = Lease(tmp_path / "events.db-rebuild")
    assert other.take()
    found = run(tmp_path, "rebuild", "--json")
    assert found.status == 1
    assert "under way" in found.err
    other.close()
    assert run(tmp_path, "rebuild", "--json").rows[0]["different"] == 1
    assert run(tmp_path, "rebuild", "--json").rows[0]["identical"]


def test_what_an_interrupted_rebuild_left_is_taken_away(tmp_path: Path) -> None:
    """A half-filled second table of a killed run neither stands in the way nor gets into the live one."""
    make_log(tmp_path / "events.db", 200, 10)
    spoil(tmp_path, "CREATE TABLE security_contexts_beside AS SELECT * FROM security_contexts")
    spoil(tmp_path, "UPDATE security_contexts_beside SET client_key = 'nobody-' || client_key")
    spoil(tmp_path, "UPDATE security_contexts SET enabled = 1 - enabled WHERE client_key = 'tenant-7'")
    assert run(tmp_path, "rebuild", "--json").rows[0]["different"] == 1
    assert run(tmp_path, "rebuild", "--json").rows[0]["identical"]


KILLED = """
import os, signal, sys
from pathlib import Path
from tenure import operators
from tenure.rebuild import rebuild

def note(log, found):
    operators.note_within(log, "com.example.app", "rebuilt", different=found.different)
    os.kill(os.getpid(), signal.SIGKILL)

rebuild(Path(sys.argv[1]), lambda events: None, note, 1)
"""


def test_a_swap_and_its_event_are_one(tmp_path: Path) -> None:
    """Killed (-9) after swap and event, before the commit: neither is there, and the next rebuild does both."""
    path = tmp_path / "events.db"
    make_log(path, 200, 10)
    spoil(tmp_path, "UPDATE security_contexts SET enabled = 1 - enabled WHERE client_key = 'tenant-7'")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    log = SqliteLog(path, read_only=True)
    assert (log.head()[0], list(log.read(kind="operator.rebuilt"))) == (200, [])
    log.close()
    found = run(tmp_path, "rebuild", "--json").rows[0]
    assert (found["different"], found["position"]) == (1, 201)
    assert run(tmp_path, "rebuild", "--json").rows[0]["identical"]
