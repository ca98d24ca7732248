"""An older or lost key store, an erasure cut short or held up: nobody is brought back, nobody else is shut out."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pysqlite3
import pytest

from support.command import tenure, told
from support.house import APP_KEY, House
from support.opened import open_writer_of, opener, readable
from tenure.forgetting import forget
from tenure.settings import StoreSettings
from tenure.store.connection import UntrustedStoreError
from tenure.store.key_file import KeyFile
from tenure.store.keyring import KeyRing
from tenure.store.signed_head import last_signed
from tenure.store.vault import key_id_of
from tenure.unused import sweep


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A service of its own, because its store is taken apart."""
    with House(tmp_path) as opened:
        yield opened


def copy_of(path: Path, target: Path) -> None:
    """A consistent copy of a live file."""
    connection = pysqlite3.connect(str(path), isolation_level=None)
    connection.execute("VACUUM INTO ?", (str(target),))
    connection.close()
    target.chmod(0o600)


def put_back(copy: Path, path: Path) -> None:
    """A copy in place of a file, as an operator restores one."""
    for side in ("-wal", "-shm"):
        Path(f"{path}{side}").unlink(missing_ok=True)
    shutil.copy(copy, path)


def wraps_of(house: House, client_key: str) -> list[bytes]:
    """The wraps of a tenant's key as they lie in keys.db."""
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    key_id = key_id_of(house.known(client_key).secret.sealed)
    found = [row[0] for row in ring.execute("SELECT wrapped FROM wrapped_keys WHERE key_id = ?", (key_id,))]
    ring.close()
    return found


def test_an_older_key_store_brings_no_erased_tenant_back(house: House) -> None:
    """With a keys.db from before an erasure put back, the key is destroyed again before the service is ready."""
    site = house.installed()
    sealed = house.known(site.client_key).secret
    wraps = wraps_of(house, site.client_key)
    copy_of(house.folder / "keys.db", house.folder / "keys.old")
    told(house.folder, house.settings, "erase", site.client_key, "--installed")
    house.service.stop()
    put_back(house.folder / "keys.old", house.folder / "keys.db")
    (house.folder / "keys.old").unlink()
    assert readable(house.folder, wraps[0]) == ["keys.db"]
    house.restart()
    assert readable(house.folder, wraps[0]) == []
    vault = opener(house)
    with pytest.raises(UntrustedStoreError):
        vault.open(APP_KEY, site.client_key, sealed.version, "secret", sealed.sealed)
    vault.close()
    assert house.kinds(site.client_key)[-1] == "erased"
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    assert [mark.key_id for mark in ring.erasures()] == [key_id_of(sealed.sealed)]
    ring.close()
    assert house.page(house.installed()).status_code == 200


def test_a_tenant_whose_key_is_lost_can_be_given_up(house: House) -> None:
    """A keys.db older than a tenant keeps the service from starting; the refusal names the command that gives the
    tenant up; after it everybody else is served, and the tenant may install anew.
    """
    first = house.installed()
    copy_of(house.folder / "keys.db", house.folder / "keys.old")
    lost = house.installed()
    house.service.stop()
    put_back(house.folder / "keys.old", house.folder / "keys.db")
    with pytest.raises(RuntimeError, match="tenure erase TENANT --installed"):
        house.restart()
    told(house.folder, house.settings, "erase", lost.client_key, "--installed")
    house.restart()
    assert house.kinds(lost.client_key)[-1] == "erased"
    assert house.page(house.again(first)).status_code == 200
    assert house.again(lost).install(new_secret=True).status in (204, 401)
    assert told(house.folder, house.settings, "log", "verify")["ok"]


def test_a_key_store_lost_for_good_is_given_up(house: House) -> None:
    """Without any keys.db the service refuses to start until its tenants are given up by name."""
    lost = house.installed()
    house.service.stop()
    for path in house.folder.glob("keys.db*"):
        path.unlink()
    with pytest.raises(RuntimeError, match=r"keys\.db lacks the keys of 1"):
        house.restart()
    tenure(house.folder, house.settings, "erase", lost.client_key, status=1)
    told(house.folder, house.settings, "erase", lost.client_key, "--installed")
    house.restart()
    assert house.page(house.installed()).status_code == 200


KILLED = """
import os, sys
from tenure.store.keyring import KeyRing
KeyRing.clean = lambda self: os.kill(os.getpid(), 9)
sys.argv = ["tenure", *sys.argv[1:]]
from tenure.cli.main import main
main()
"""


def test_an_erasure_killed_before_the_file_was_rewritten_is_finished_at_the_start(house: House) -> None:
    """Killed between the event and the cleaning: the next start overwrites what is left."""
    sites = [house.installed() for _ in range(8)]
    site = sites[3]
    wraps = wraps_of(house, site.client_key)
    given = {f"TENURE_{name}": value for name, value in house.settings.items() if value}
    command = [sys.executable, "-c", KILLED, "erase", site.client_key, "--installed"]
    assert subprocess.run(command, cwd=house.folder, env=given, check=False).returncode == -9
    assert house.kinds(site.client_key)[-1] == "erased"
    assert readable(house.folder, wraps[0]) != []
    house.restart(kill=True)
    assert readable(house.folder, wraps[0]) == []
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    assert not ring.unclean()
    ring.close()


@pytest.mark.timeout(90)
def test_a_reader_of_the_key_store_stops_neither_the_erasure_nor_installs(house: House) -> None:
    """While somebody reads keys.db for long, `erase` says that it is not overwritten yet, also when it is run again;
    installs go on; after it the same command finishes.
    """
    site = house.installed()
    reader = pysqlite3.connect(str(house.folder / "keys.db"), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM data_keys").fetchone()
    answers: list[int] = []
    stop = threading.Event()

    def install() -> None:
        while not stop.is_set():
            answers.append(house.site().install().status)

    installer = threading.Thread(target=install)
    installer.start()
    erased = tenure(house.folder, house.settings, "erase", site.client_key, "--installed", status=1)
    assert "not yet overwritten" in erased.stderr
    stop.set()
    installer.join()
    assert len(answers) > 5
    assert set(answers) == {204}
    assert house.kinds(site.client_key)[-1] == "erased"
    again = tenure(house.folder, house.settings, "erase", site.client_key, "--installed", status=1)
    assert "not yet overwritten" in again.stderr
    reader.execute("ROLLBACK")
    reader.close()
    tenure(house.folder, house.settings, "erase", site.client_key, "--installed")


def test_who_returned_is_passed_over_and_the_others_are_erased(house: House) -> None:
    """A tenant that is no longer due when its turn comes keeps its key; the rest of the batch is erased."""
    gone, back = house.installed(), house.installed()
    assert gone.uninstall().status == back.uninstall().status == 204
    chosen = [house.known(gone.client_key), house.known(back.client_key)]
    assert back.install(new_secret=True).status == 204
    log, ring = open_writer_of(house), KeyRing(KeyFile(house.folder / "keys.db"))
    found = forget(log, ring, chosen, by="tenure", origin="here", why="due", before="9999")
    assert [one.client_key for one in found] == [gone.client_key]
    assert forget(log, ring, chosen, by="tenure", origin="here", why="due", before="2000") == []
    log.close()
    ring.close()
    assert back.enable().status == 204


def test_a_key_that_no_event_uses_is_swept(house: House) -> None:
    """The key of an install that was never appended is gone with its bytes at a start an hour later, not sooner; the
    keys of tenants with events, of erased ones and our own stay.
    """
    site, gone = house.installed(), house.installed()
    told(house.folder, house.settings, "erase", gone.client_key, "--installed")
    house.service.stop()
    vault = opener(house)
    for client_key in ("never-came", "just-now", " our-own", gone.client_key):
        vault.ensure_key(APP_KEY, client_key)
    vault.close()
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    ring.execute("UPDATE data_keys SET created_at = '2026-01-01T00:00:00.000000Z' WHERE client_key <> 'just-now'")
    (wrap,) = ring.execute(
        "SELECT wrapped FROM wrapped_keys WHERE key_id = ?", (ring.key_id(APP_KEY, "never-came"),)
    ).fetchone()
    ring.close()
    assert readable(house.folder, wrap)
    house.restart()
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    kept = [name for name in ("never-came", "just-now", " our-own", gone.client_key, site.client_key)
            if ring.key_id(APP_KEY, name)]  # fmt: skip
    ring.close()
    assert kept == ["just-now", " our-own", gone.client_key, site.client_key]
    assert readable(house.folder, wrap) == []
    assert house.page(site).status_code == 200


def test_no_key_is_swept_while_in_doubt(house: House) -> None:
    """A second start beside a running service sweeps nothing, nor does one on a log that lacks what was signed."""
    vault = opener(house)
    vault.ensure_key(APP_KEY, "never-came")
    vault.close()
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    ring.execute("UPDATE data_keys SET created_at = '2026-01-01T00:00:00.000000Z' WHERE client_key = 'never-came'")
    events, settings = open_writer_of(house), StoreSettings(database_url=str(house.folder / "events.db"))
    ends = time.monotonic() + 20
    while not _signed(house) and time.monotonic() < ends:
        time.sleep(0.05)
    assert sweep(settings, events, ring) == []
    house.service.stop()
    ring.execute("UPDATE signed_head SET position = position + 1")
    assert sweep(settings, events, ring) == []
    ring.execute("UPDATE signed_head SET position = position - 1")
    assert sweep(settings, events, ring) == ["never-came"]
    ring.close()
    events.close()


def _signed(house: House) -> bool:
    last = last_signed(KeyFile(house.folder / "keys.db"))
    return bool(last and last.note)
