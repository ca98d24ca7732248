"""Moving house: the log in another store, to the byte, however often the copying was cut off."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.command import tenure, told
from support.decided import decision, entries
from support.domain_support import APP, install, request
from support.hostile import HOSTILE, STRANGE
from support.house import House
from support.key_stores import KEY_TABLES, KeysInPostgres, rows_of
from support.postgres import Cluster, free_port
from support.stores import InPostgres, OnDisk, whole_chain
from tenure.domain.events import Cause, Changed, Draft, EventType, Installed, Switched
from tenure.domain.ports import Append, Spend
from tenure.housekeeping import Housekeeping
from tenure.projections.security_context import schema
from tenure.settings import Settings
from tenure.store.key_copying import copy_keys
from tenure.store.key_file import KeyFile
from tenure.store.keyring import KeyRing
from tenure.store.masters import GivenMaster
from tenure.store.postgres import log as postgres
from tenure.store.postgres.decisions import PostgresDecisions
from tenure.store.rotation import Rotation
from tenure.store.sqlite import SqliteLog

ROWS = {"spent_tokens": "fingerprint", "install_keys": "host, kid", "security_contexts": "app_key, client_key"}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[OnDisk]:
    """A SQLite log `events.db`."""
    made = OnDisk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def url(cluster: Cluster) -> str:
    """An empty database."""
    return cluster.url(cluster.database())


def copy(folder: Path, url: str, *more: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`tenure copy` of the folder's log."""
    return tenure(folder, {}, "copy", "sqlite:events.db", url, *more, status=status)


def fill(source: OnDisk, tenants: int) -> None:
    """Two events each of so many tenants, with spent tokens, some of them without an event."""
    log = source.open()
    for first in range(0, tenants, 250):
        batch = []
        for number in range(first, min(first + 250, tenants)):
            key = f"client-{number}"
            batch += [
                request(0, install(f"{number}"), client_key=key, spend=Spend(f"{number:064}", "b" * 64)),
                request(1, client_key=key),
                request(2, None, client_key=key, spend=Spend(f"x{number:063}", "c" * 64, "signature_bad")),
            ]
        log.append(batch)


def table(store: OnDisk | str, name: str) -> list[tuple[Any, ...]]:
    """All rows of a table, in the order of its key."""
    sql = f"SELECT * FROM {name} ORDER BY {ROWS[name]}"
    if isinstance(store, str):
        with psycopg.connect(store) as connection:
            return connection.execute(sql.encode()).fetchall()
    with closing(SqliteLog(store.path, read_only=True)) as log:
        return [tuple(row) for row in log.connection.execute(sql)]


def position(url: str) -> int:
    """Where the copy in a database has come to."""
    try:
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT position FROM log_head").fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return found[0] if found else 0


def events(url: str) -> list[tuple[Any, ...]]:
    """Every stored column of a database's events."""
    store = InPostgres.__new__(InPostgres)
    store.url = url
    return store.rows()


def is_same(source: OnDisk, url: str) -> bool:
    """Whether a database holds what the file does: events, tokens, keys and contexts, to the byte."""
    return events(url) == source.rows() and all(table(source, name) == table(url, name) for name in ROWS)


def test_a_service_moves_to_postgres_and_back(cluster: Cluster, tmp_path: Path, url: str) -> None:
    """After the copy the same sites are let in, a token spent before stays spent, no key is asked for again, and both
    logs verify with one head; the way back into a file is the same.
    """
    with House(tmp_path) as house:
        site, gone = house.installed(), house.installed()
        sent = site.install()
        assert gone.uninstall().status == 204
        house.service.stop()
        found = told(tmp_path, house.settings, "copy", "sqlite:events.db", url)
        assert (found["source"]["ok"], found["target"]["ok"]) == (True, True), found
        assert found["source"]["hash"] == found["target"]["hash"] == found["hash"]
        assert house.head() == (found["position"], found["hash"])
        assert house.events("")[-1].type == "operator.copied"
        assert is_same(OnDisk(tmp_path), url)
        house.settings["DATABASE_URL"] = url
        asked = house.keys.requests.copy()
        for path in tmp_path.glob("keys.db*"):
            path.unlink()
        house.restart()
        again = house.again(site)
        head = house.head()
        assert again.send("installed", sent.body, sent.token).status == 204
        assert house.head() == head
        assert house.page(again).status_code == 200
        assert house.page(house.again(gone)).status_code == 401
        assert house.keys.requests == asked
        house.service.stop()
        back = told(tmp_path, house.settings, "copy", url, "sqlite:back.db")
        assert (back["source"]["ok"], back["target"]["ok"], back["position"]) == (True, True, head[0] + 1)
        (tmp_path / "decisions.db").rename(tmp_path / "back.decisions.db")
        house.settings["DATABASE_URL"] = "back.db"
        house.restart()
        assert house.page(house.again(site)).status_code == 200
        assert [path.name for path in tmp_path.glob("*keys.db")] == ["back.keys.db"]


def test_hostile_text_is_copied_as_it_is(source: OnDisk, tmp_path: Path, url: str) -> None:
    """Markup, quotes, turned and combined characters, backslashes and line ends of every field arrive to the byte."""
    texts = [HOSTILE, STRANGE, "'; DROP TABLE events; --", "\\u0000 \\x00 %s $1 ? ?1", "a\r\n\t\x01\x7f\x85\u2028b",
             "\U0001f600\ufeff\ufffd", "e\u0301 \u00e9", " "]  # fmt: skip
    log = source.open()
    for number, text in enumerate(texts):
        data = Installed(f"https://x.atlassian.net/{text}", text, text, installation_id=text, product_type=text)
        draft = Draft(EventType.INSTALLED, {"kind": text, "kid": text}, data, Changed(Cause.FIRST, (text,)), text * 2)
        log.append([Append(APP, f"{text}{number}", 0, draft, Spend(text * 2, text, text))])
        log.append([Append(APP, f"{text}{number}", 1, Draft(text, {"kind": text}, Switched()), None)])
        log.connection.execute("INSERT INTO install_keys VALUES (?, ?, ?, ?)", (text, text, text, text))
    found = json.loads(copy(tmp_path, url, "--json").stdout)
    assert is_same(source, url)
    rows = {"events": 2 * len(texts) + 1, "spent_tokens": len(texts), "install_keys": len(texts)}
    assert found["written"] == rows | {"keys": 0, "webhooks_taken": 0}
    assert whole_chain(events(url)) == (found["position"], found["hash"])


def test_keys_that_changed_between_two_runs_are_as_in_the_source(source: OnDisk, tmp_path: Path, url: str) -> None:
    """An install key that was fetched anew is replaced, one that is gone is taken away, whatever was copied before."""
    fill(source, 1)
    log = source.open()
    for kid in ("changed", "gone", "kept"):
        log.connection.execute("INSERT INTO install_keys VALUES ('https://keys', ?, 'old', 'then')", (kid,))
    copy(tmp_path, url)
    log.append([request(0, install("late"), client_key="late")])
    log.connection.execute("DELETE FROM install_keys WHERE kid = 'gone'")
    log.connection.execute("UPDATE install_keys SET pem = 'new' WHERE kid = 'changed'")
    found = json.loads(copy(tmp_path, url, "--json").stdout)
    rows = {"events": 2, "spent_tokens": 0, "install_keys": 2}
    assert found["written"] == rows | {"keys": 0, "webhooks_taken": 0}
    assert is_same(source, url)


@pytest.mark.timeout(300)
def test_a_copy_that_is_killed_goes_on_where_it_stopped(source: OnDisk, tmp_path: Path, url: str) -> None:
    """Killed by -9 at several points, the half copy is a beginning of the source and is not served; run again, it ends
    with the same bytes, and once more has nothing to do.
    """
    fill(source, int(os.environ.get("TENURE_TORTURE_TENANTS", "1500")))
    last = source.open().head()[0]
    for part in (0, 0.4, 0.8):
        _killed(tmp_path, url, lambda at, wanted=part * last: at > wanted)  # type: ignore[misc]
        at = position(url)
        assert events(url) == source.rows()[:at]
    settings = {"DATABASE_URL": url, "APP_KEY": APP}
    assert "not finished" in tenure(tmp_path, settings, "log", "verify", status=1).stdout
    refused = tenure(tmp_path, settings, "reinstate", "client-1", "--secret", "1", "--reason", "x", status=None)
    assert refused.returncode != 0
    ended = json.loads(copy(tmp_path, url, "--json").stdout)
    assert 0 < ended["written"]["events"] <= last - at + 1
    assert is_same(source, url)
    assert (ended["source"]["ok"], ended["target"]["ok"]) == (True, True)
    again = json.loads(copy(tmp_path, url, "--json").stdout)
    assert set(again["written"].values()) == {0}
    assert again["position"] == ended["position"]


def _killed(folder: Path, url: str, when: Callable[[int], bool]) -> None:
    """Runs the copy and kills it as soon as what it has copied is enough."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    child = subprocess.Popen(
        [sys.executable, "-m", "tenure", "copy", "events.db", url], cwd=folder, env=clean, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        while not when(position(url)):
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < ends
            time.sleep(0.002)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


def test_a_half_copy_is_not_served(tmp_path: Path, url: str) -> None:
    """While the source is served everything is copied but nothing ended: exit 1, the target refuses the start with 3;
    when the source has stopped, the next run ends it.
    """
    with House(tmp_path) as house:
        house.installed()
        _wait_for_housekeeping(tmp_path)
        refused = tenure(tmp_path, house.settings, "copy", "events.db", url, status=1)
        assert "is served" in refused.stderr
        assert position(url) == house.head()[0]
        moved = house.settings | {"DATABASE_URL": url}
        start = tenure(tmp_path, moved, "serve", "--port", "0", "--internal-port", "0", status=3)
        assert "not finished" in start.stderr
        late = house.installed()
        house.service.stop()
        assert told(tmp_path, house.settings, "copy", "events.db", url)["target"]["ok"]
        house.settings = moved
        house.restart()
        assert house.page(house.again(late)).status_code == 200


def _wait_for_housekeeping(folder: Path) -> None:
    from tenure.lease import Lease  # noqa: PLC0415

    ends = time.monotonic() + 30
    while True:
        lease = Lease(folder / "events.db-lease")
        taken = lease.take()
        lease.close()
        if not taken:
            return
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_log_whose_keys_still_lie_in_a_file_gets_them(cluster: Cluster, tmp_path: Path, url: str) -> None:
    """As the how-to says: the log copied out, the keys put beside it, both copied into a new database."""
    new = cluster.url(cluster.database())
    with House(tmp_path, {"DATABASE_URL": url}) as house:
        site = house.installed()
        house.service.stop()
        with closing(house.key_database()) as there, closing(KeyFile(tmp_path / "keys.db")) as file:
            copy_keys(there, file, lambda what, count: None)
        with psycopg.connect(url, autocommit=True) as owner:
            for name in KEY_TABLES:
                owner.execute(f"DROP TABLE {name}".encode())
            owner.execute("DELETE FROM tenure_migrations WHERE name = 'keys_1'")
        tenure(tmp_path, house.settings, "copy", url, "sqlite:moved.db", status=1)
        (tmp_path / "keys.db").rename(tmp_path / "moved.keys.db")
        assert told(tmp_path, house.settings, "copy", "sqlite:moved.db", new)["written"]["keys"] > 5
        house.settings["DATABASE_URL"] = new
        house.restart()
        assert house.page(house.again(site)).status_code == 200


def test_a_target_with_keys_but_no_log_is_refused(source: OnDisk, cluster: Cluster, tmp_path: Path) -> None:
    """Keys without a log are another's, or what is left of one that was lost: 1, and nothing is written."""
    fill(source, 1)
    store = KeysInPostgres(cluster)
    KeyRing(store.open(), GivenMaster(b"m" * 32)).ensure("app", "a")
    before = rows_of(store.url)
    refused = copy(tmp_path, store.url, status=1)
    assert "keys but no log" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert (position(store.url), rows_of(store.url)) == (0, before)
    store.close()


def test_a_source_in_the_middle_of_a_rotation_is_refused(source: OnDisk, tmp_path: Path, url: str) -> None:
    """Until the rotation is finished nothing is copied; then it is."""
    fill(source, 1)
    ring = KeyRing(KeyFile(tmp_path / "keys.db"), GivenMaster(b"m" * 32))
    rotation, new = Rotation(ring), GivenMaster(b"n" * 32)
    rotation.begin(new)
    assert "keys rotate" in copy(tmp_path, url, status=1).stderr
    assert position(url) == 0
    rotation.finish(new)
    assert json.loads(copy(tmp_path, url, "--json").stdout)["written"]["keys"] == 2
    ring.close()


def test_a_target_with_a_life_of_its_own_is_refused(source: OnDisk, cluster: Cluster, tmp_path: Path) -> None:
    """Another log, a copy that was served since, and a spent token too many: 1, and nothing is written."""
    fill(source, 3)
    other, served, more = InPostgres(cluster), cluster.url(cluster.database()), cluster.url(cluster.database())
    other.open().append([request(0, install("other"), client_key="other")])
    copy(tmp_path, served)
    copy(tmp_path, more)
    with closing(InPostgres.__new__(InPostgres)) as copied:
        copied.url, copied._opened = served, []
        copied.open().append([request(0, install("new"), client_key="new")])
    source.open().append([request(0, install("late"), client_key="late")])
    with psycopg.connect(more, autocommit=True) as owner:
        owner.execute("INSERT INTO spent_tokens VALUES ('y', '', '', '', '', '')")
    before = source.rows()
    for target, word in ((other.url, "another log"), (served, "another log"), (more, "spent_tokens holds 'y'")):
        rows = events(target)
        assert word in copy(tmp_path, target, status=1).stderr
        assert word.startswith("spent") or events(target) == rows
    assert source.rows()[: len(before)] == before
    other.close()


def test_a_target_that_has_only_gone_on_is_refused(source: OnDisk, tmp_path: Path, url: str) -> None:
    """A finished copy that was served has events behind the source's last: said so, and left as it is."""
    fill(source, 2)
    copy(tmp_path, url)
    with closing(InPostgres.__new__(InPostgres)) as copied:
        copied.url, copied._opened = url, []
        copied.open().append([request(0, install("new"), client_key="new")])
    assert "gone on by itself" in copy(tmp_path, url, status=1).stderr


def test_a_source_that_is_not_whole_is_copied_up_to_there(source: OnDisk, tmp_path: Path, url: str) -> None:
    """At an event that does not follow from the one before the copy stops and names it; the target stays unfinished."""
    fill(source, 2)
    source.foreign("DROP TRIGGER events_no_update")
    source.foreign("UPDATE events SET type = 'x' WHERE position = 3")
    refused = copy(tmp_path, url, status=1)
    assert "position 3" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert position(url) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("events.db", "mysql://me:hunter2@h/x"), 2, "TO: "),
        (("events.db", "sqlite:events.db"), 2, "same store"),
        (("nowhere.db", "x.db"), 2, "nowhere.db cannot be opened"),
        (("events.db", "postgresql://me:hunter2@127.0.0.1:{port}/x"), 2, "cannot be opened"),
        (("events.db", "no/such/folder/x.db"), 2, "cannot be opened"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    source: OnDisk, tmp_path: Path, arguments: tuple[str, str], status: int, said: str
) -> None:
    """A store that is none, not there or the same: 2, one line, no password, nothing made."""
    fill(source, 1)
    given = [one.format(port=free_port()) for one in arguments]
    ran = tenure(tmp_path, {}, "copy", *given, status=status)
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "hunter2" not in ran.stderr
    assert not (tmp_path / "x.db").exists()


def test_webhooks_taken_move_along_and_are_not_passed_on_again(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that the old place took is a duplicate in the new one, there and back. Decisions stay behind: they were
    counted, and the new place's own begin behind them, so that nothing is told as tampering.
    """
    monkeypatch.chdir(tmp_path)
    with House(tmp_path) as house:
        site = house.installed()
        sent = site.webhook(identifier="wh-1")
        assert sent.status == 200
        house.service.stop()
        _count_decisions(house, "events.db")
        found = told(tmp_path, house.settings, "copy", "events.db", url)
        assert (found["written"]["webhooks_taken"], found["target"]["ok"]) == (1, True)
        house.settings["DATABASE_URL"] = url
        house.restart()
        site = house.again(site)
        again = site.webhook(identifier="wh-1")
        assert (again.status, len(house.receiver.received)) == (204, 1)
        assert site.webhook(identifier="wh-2").status == 200
        with house.decisions() as decisions:
            assert decisions.page(newest_first=False)[0].number > 3
        house.service.stop()
        _count_decisions(house, url)
        assert told(tmp_path, house.settings, "log", "verify")["ok"]
        back = told(tmp_path, house.settings, "copy", url, "sqlite:back.db")
        assert (back["source"]["ok"], back["target"]["ok"]) == (True, True), back
        assert back["written"]["webhooks_taken"] == 2


def test_a_target_with_decisions_of_its_own_is_refused(source: OnDisk, tmp_path: Path, url: str) -> None:
    """Decisions of another life would be taken for those that the log has counted."""
    fill(source, 1)
    postgres.open_log(url, [schema("postgres")])
    with closing(PostgresDecisions(url)) as decisions:
        decisions.record(entries(decision(1)))
    assert "decisions of its own" in copy(tmp_path, url, status=1).stderr


def _count_decisions(house: House, url: str) -> None:
    """Housekeeping counts the decisions, two hours later."""
    given = {name.lower(): value for name, value in house.settings.items() if value}
    place = url if "://" in url else str(house.folder / url)
    late = Housekeeping(Settings.model_validate({**given, "database_url": place}), clock=lambda: time.time() + 7200)
    late.tick()
    late.stop()
