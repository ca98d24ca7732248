"""The master key replaced: under load, after kill -9, the old one useless after `retire`, the log untouched."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from support.command import tenure, told
from support.house import House
from support.postgres import Cluster
from tenure.projections.security_context import schema
from tenure.store.connection import UntrustedStoreError
from tenure.store.key_file import KeyFile
from tenure.store.keyring import KeyRing
from tenure.store.masters import (
    GivenMaster,
    MasterKey,
    WrongMasterError,
    deposit,
    from_file,
    new_deposit_box,
    new_master_key,
    withdraw,
)
from tenure.store.rotation import Rotation
from tenure.store.sqlite import SqliteLog, open_log
from tenure.store.vault import CACHED_KEYS, Vault

OLD, NEW, THIRD = (GivenMaster(letter * 32) for letter in (b"o", b"n", b"t"))


def rotate(ring: KeyRing, new: MasterKey) -> None:
    """A whole rotation."""
    rotation = Rotation(ring)
    rotation.begin(new)
    while rotation.rewrap_some(new):
        pass
    rotation.finish(new)


def test_the_old_master_is_useless_after_retirement(tmp_path: Path) -> None:
    """After `retire` the old key starts nothing, makes no key, and no wrap of it is in the file or its WAL."""
    old = Vault(KeyFile(tmp_path / "keys.db"), OLD)
    for number in range(300):
        old.ensure_key("app", f"t{number}")
    ring = KeyRing(KeyFile(tmp_path / "keys.db"), OLD)
    wraps = [row[0] for row in ring.execute("SELECT wrapped FROM wrapped_keys WHERE master_id = ?", (OLD.id,))]
    rotate(ring, NEW)
    current = KeyRing(KeyFile(tmp_path / "keys.db"), NEW)
    Rotation(current).retire()
    assert current.clean()
    with pytest.raises(UntrustedStoreError):
        Vault(KeyFile(tmp_path / "keys.db"), OLD)
    with pytest.raises(UntrustedStoreError):
        old.ensure_key("app", "stranded")
    assert not current.key_id("app", "stranded")
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(wraps) == 300
    assert not [wrap for wrap in wraps if wrap[1:] in everything]


def test_an_erased_tenants_wraps_are_nowhere(tmp_path: Path) -> None:
    """However the pages of keys.db were split and merged before, no byte of a destroyed wrap is left after `clean`."""
    ring = KeyRing(KeyFile(tmp_path / "keys.db"), OLD)
    for number in range(1500):
        ring.ensure("app", f"t{number}")
    gone = []
    for number in range(0, 1500, 3):
        key_id = ring.key_id("app", f"t{number}")
        gone += [row[0] for row in ring.execute("SELECT wrapped FROM wrapped_keys WHERE key_id = ?", (key_id,))]
        ring.erase("app", f"t{number}", "by", "origin", "")
    assert ring.clean()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(gone) == 500
    assert not [wrap for wrap in gone if wrap[1:] in everything]
    ring.close()


def test_a_deposit_opens_for_its_owner_alone() -> None:
    """What is left in a box opens with its private half, at its own place."""
    box, other = new_deposit_box(), new_deposit_box()
    left = deposit(box.public, b"key", b"place")
    assert withdraw(box.private, left, b"place") == b"key"
    for private, text, place in (
        (other.private, left, b"place"),
        (box.private, left, b"elsewhere"),
        (box.private, left[:-1], b"place"),
        (box.private, b"", b"place"),
    ):
        with pytest.raises(WrongMasterError):
            withdraw(private, text, place)


def test_the_pinned_key_stays_however_many_are_used(tmp_path: Path) -> None:
    """The key that unknown tenants are checked against is never the one that gives way."""
    vault = Vault(KeyFile(tmp_path / "keys.db"), OLD)
    vault.ensure_key("app", " ")
    vault.pin("app", " ")
    vault.seal("app", " ", 1, "secret", b"x")
    vault.ring.execute("PRAGMA synchronous=OFF")
    for number in range(CACHED_KEYS + 10):
        vault.ensure_key("app", str(number))
        vault.fingerprint("app", str(number), b"x")
    assert len(vault._keys) == CACHED_KEYS
    assert ("app", " ") in vault._keys
    vault.close()


def test_a_retirement_that_was_interrupted_is_finished_by_running_it_again(tmp_path: Path) -> None:
    """Killed before the old wraps were overwritten: the same command overwrites them and is done; once more there is
    nothing to retire. It was noted before it was done.
    """
    given = {"APP_KEY": "com.example.app", "MASTER_KEY_FILE": str(tmp_path / "old.key")}
    tenure(tmp_path, {}, "keys", "create", "old.key")
    open_log(tmp_path / "events.db", [schema()])
    ring = KeyRing(KeyFile(tmp_path / "keys.db"), from_file(tmp_path / "old.key"))
    for number in range(50):
        ring.ensure("com.example.app", f"t{number}")
    wraps = [row[0] for row in ring.execute("SELECT wrapped FROM wrapped_keys")]
    ring.close()
    tenure(tmp_path, given, "keys", "rotate", "--to", "new.key")
    given["MASTER_KEY_FILE"] = str(tmp_path / "new.key")
    current = KeyRing(KeyFile(tmp_path / "keys.db"), from_file(tmp_path / "new.key"))
    assert Rotation(current).retire() is not None
    assert current.unclean()
    current.close()
    assert told(tmp_path, given, "keys", "retire")["destroyed"] == 0
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*"))
    assert not [wrap for wrap in wraps if wrap[1:] in everything]
    tenure(tmp_path, given, "keys", "retire", status=1)


def test_a_worker_left_on_a_retired_master_is_not_ready(tmp_path: Path) -> None:
    """After `retire` a service that still runs under the old key says so in /readyz."""
    with _house(tmp_path) as house:
        given = {name: value for name, value in house.settings.items() if value}
        ready = f"{house.service.internal_url}/readyz"
        tenure(tmp_path, given, "keys", "rotate", "--to", "new.key")
        assert httpx.get(ready, trust_env=False, timeout=30).status_code == 200
        given["MASTER_KEY_FILE"] = str(tmp_path / "new.key")
        tenure(tmp_path, given, "keys", "retire")
        answer = httpx.get(ready, trust_env=False, timeout=30)
        assert answer.status_code == 503
        assert "master key" in answer.text
        house.settings["MASTER_KEY_FILE"] = str(tmp_path / "new.key")
        house.restart()
        assert httpx.get(f"{house.service.internal_url}/readyz", trust_env=False, timeout=30).status_code == 200


@pytest.mark.parametrize(
    "command", [("log", "verify"), ("doctor", "--offline"), ("keys", "retire"), ("sign", "a", "GET", "/")]
)
def test_a_first_master_is_admitted_by_serve_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    """No other command takes its master key for the first one of an empty key store."""
    open_log(tmp_path / "events.db", [schema()])
    KeyFile(tmp_path / "keys.db").close()
    given = {"APP_KEY": "a", "BASE_URL": "https://a.example.com", "MASTER_KEY": new_master_key()}
    tenure(tmp_path, given, *command, status=None)
    ring = KeyRing(KeyFile(tmp_path / "keys.db"))
    assert ring.masters() == {}
    ring.close()


def test_no_note_is_taken_without_an_app_key(tmp_path: Path) -> None:
    """An operator's act on an empty log needs TENURE_APP_KEY; on any other it is the log's own."""
    assert "TENURE_APP_KEY" in tenure(tmp_path, {}, "tokens", "create", "x", "--scope", "sign", status=2).stderr
    tenure(tmp_path, {"APP_KEY": "com.example.app"}, "tokens", "create", "y", "--scope", "sign")
    tenure(tmp_path, {}, "tokens", "revoke", "y")
    log = SqliteLog(tmp_path / "events.db", read_only=True)
    assert [(event.type, event.app_key) for event in log.read()] == [
        ("operator.tokens.created", "com.example.app"), ("operator.tokens.revoked", "com.example.app")
    ]  # fmt: skip
    log.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["files", "postgres"])
def test_rotation_under_load_loses_nobody(tmp_path: Path, place: str, request: pytest.FixtureRequest) -> None:
    """While sites install and call, the key is rotated by a command killed in the middle and run again; after restart
    and retirement every tenant works, the old key starts nothing and the log is what it was.
    """
    cluster: Cluster | None = request.getfixturevalue("cluster") if place == "postgres" else None
    with _house(tmp_path, cluster.url(cluster.database()) if cluster else "") as house:
        first = [house.installed() for _ in range(4)]
        made, stop = [], threading.Event()

        def load() -> None:
            while not stop.is_set():
                made.append(house.installed())
                assert house.page(made[-1]).status_code == 200

        loader = threading.Thread(target=load)
        loader.start()
        environment = {f"TENURE_{name}": value for name, value in house.settings.items() if value}
        killed = subprocess.Popen(
            [sys.executable, "-m", "tenure", "keys", "rotate", "--to", "new.key"],
            cwd=tmp_path, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while killed.poll() is None and not (tmp_path / "new.key").exists():
            pass
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        given = {name: value for name, value in house.settings.items() if value}
        tenure(tmp_path, given, "keys", "rotate", "--to", "new.key")
        before = len(made)
        while len(made) < before + 2:
            assert loader.is_alive()
        stop.set()
        loader.join()
        head = house.head()
        old = house.settings["MASTER_KEY_FILE"]
        house.settings["MASTER_KEY_FILE"] = str(tmp_path / "new.key")
        house.restart()
        given["MASTER_KEY_FILE"] = house.settings["MASTER_KEY_FILE"]
        assert told(tmp_path, given, "keys", "retire")["destroyed"] > 4
        tenure(tmp_path, given, "keys", "retire", status=1)
        assert all(house.page(site).status_code == 200 for site in (*first, *made))
        found = told(tmp_path, given, "log", "verify")
        assert found["ok"], found
        with house.log() as log:
            assert log.hash_at(head[0]) == head[1]
            kinds = [event.type for event in log.read(client_key="")]
        assert {"operator.keys_rotated", "operator.keys_retired"} <= set(kinds)
        house.settings["MASTER_KEY_FILE"] = old
        with pytest.raises(RuntimeError, match="master key"):
            house.restart()


def _house(folder: Path, url: str = "") -> House:
    tenure(folder, {}, "keys", "create", "old.key")
    assert from_file(folder / "old.key").id
    given = {"MASTER_KEY": "", "MASTER_KEY_FILE": str(folder / "old.key"), "DATABASE_URL": url}
    return House(folder, given, "--workers", "2")
