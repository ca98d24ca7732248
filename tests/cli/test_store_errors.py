"""What a command says of a store that it cannot use: which file, why, what to do; and that act and event are one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pysqlite3 import OperationalError

from support.command import tenure, told
from support.store_support import make_log
from tenure.cli.blame import blame
from tenure.settings import StoreSettings
from tenure.store.connection import connect
from tenure.store.decisions import open_decisions
from tenure.store.key_file import KeyFile
from tenure.store.sqlite import SqliteLog
from tenure.store.tokens import ApiTokens

SETTINGS = {"APP_KEY": "com.example.app", "MASTER_KEY": "bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0="}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of three files with a few hundred events."""
    make_log(tmp_path / "events.db", 400)
    KeyFile(tmp_path / "keys.db").close()
    open_decisions(tmp_path / "decisions.db")
    return tmp_path


def test_a_store_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    """Whoever asks in the wrong folder is told which file is missing, and how to name the right one; a folder that is
    missing is wrong use.
    """
    for arguments in (("events",), ("tenant", "list"), ("decisions",), ("log", "verify")):
        refused = tenure(tmp_path, {}, *arguments, status=1)
        assert ".db does not exist; go to the folder where `tenure serve` runs" in refused.stderr
        assert "TENURE_DATABASE_URL" in refused.stderr
    settings = SETTINGS | {"BASE_URL": "https://app.example.com", "DATABASE_URL": "nowhere/events.db"}
    refused = tenure(tmp_path, settings, "serve", status=2)
    assert "make its folder, or set TENURE_DATABASE_URL" in refused.stderr


def test_a_port_in_use_is_told_with_the_option_to_change(tmp_path: Path) -> None:
    """A port that is taken is one line: which one, and the option that names another; no warning comes after it."""
    settings = SETTINGS | {"BASE_URL": "https://app.example.com"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        public = tenure(tmp_path, settings, "serve", "--port", port, status=2)
        internal = tenure(tmp_path, settings, "serve", "--port", "0", "--internal-port", port, status=2)
    for refused, option in ((public, "--port"), (internal, "--internal-port")):
        assert refused.stderr.splitlines()[-1].endswith(f"in use; end what listens there, or give {option} another")


def last_event(folder: Path) -> int:
    """The log's head."""
    log = SqliteLog(folder / "events.db", read_only=True)
    try:
        return log.head()[0]
    finally:
        log.close()


def test_a_busy_file_is_no_broken_store(folder: Path) -> None:
    """A file that another process holds is named, with exit 1 and the word to try again; what belongs together is
    undone: no token, no copy, no export without its event.
    """
    holder = connect(folder / "events.db")
    holder.execute("BEGIN IMMEDIATE")
    for arguments in (
        ("tokens", "create", "backend", "--scope", "sign"),
        ("backup", "copy.db"),
        ("export", "--out", "log.ndjson"),
        ("export",),
    ):
        refused = tenure(folder, SETTINGS, *arguments, status=1)
        assert "events.db is busy" in refused.stderr
        assert "try again" in refused.stderr
        assert refused.stdout == ""
    holder.close()
    assert {path.suffix for path in folder.iterdir() if path.stem in ("copy", "log")} == set()
    tokens = ApiTokens(KeyFile(folder / "keys.db"))
    assert tokens.listing() == []
    tokens.close()
    told(folder, SETTINGS, "tokens", "create", "backend", "--scope", "sign")
    assert last_event(folder) == 401


def test_a_token_is_ended_though_the_event_fails(folder: Path) -> None:
    """Revoking while the log is held ends the token and fails; run again it appends the event."""
    told(folder, SETTINGS, "tokens", "create", "backend", "--scope", "sign")
    holder = connect(folder / "events.db")
    holder.execute("BEGIN IMMEDIATE")
    tenure(folder, SETTINGS, "tokens", "revoke", "backend", status=1)
    holder.close()
    assert told(folder, SETTINGS, "tokens", "list")["revoked_at"]
    assert last_event(folder) == 401
    tenure(folder, SETTINGS, "tokens", "revoke", "backend")
    assert last_event(folder) == 402


@pytest.mark.parametrize("what", ["no database", "a database of something else", "damaged"])
def test_a_decision_log_that_is_none_is_named(folder: Path, what: str) -> None:
    """A decisions.db that is no database, of something else or damaged is named, and that it may be moved away."""
    path = folder / "decisions.db"
    if what == "damaged":
        raw = bytearray(path.read_bytes())
        raw[100:200] = b"\xff" * 100
        path.write_bytes(raw)
    else:
        path.unlink()
        if what == "no database":
            path.write_bytes(b"something else that is long enough to be looked at" * 20)
        else:
            connection = connect(path, create=True)
            connection.execute("CREATE TABLE other (x)")
            connection.close()
    path.chmod(0o600)
    refused = tenure(folder, SETTINGS, "decisions", status=3)
    assert f"decisions.db is {what}" in refused.stderr
    assert "may be moved away" in refused.stderr
    path.unlink()
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    open_decisions(path)
    tenure(folder, SETTINGS, "decisions")


def test_a_file_of_another_account_is_named_to_its_reader(folder: Path) -> None:
    """A file that this account may not read is named, with exit 2."""
    (folder / "decisions.db").chmod(0)
    # root may read everything, until it has given that up
    through = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    assert "decisions.db may not be read" in tenure(folder, SETTINGS, "decisions", status=2, through=through).stderr


def test_what_cannot_be_opened_is_no_reason_to_restore(folder: Path) -> None:
    """An error of opening is told as one of permission, exit 2, never as a broken log."""
    settings = StoreSettings(database_url=str(folder / "events.db"))
    text, status = blame(OperationalError("unable to open database file"), settings)
    assert ("this account" in text, "restore" in text, status) == (True, False, 2)


def test_a_reader_who_has_seen_enough_ends_it_quietly(folder: Path) -> None:
    """`tenure events --json | head -1` writes a line and no complaint."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    command = f"{sys.executable} -m tenure events --json | head -1"
    run = subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=clean, capture_output=True, check=True)
    assert (run.stdout.count(b"\n"), run.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["events", "export", "decisions"])
def test_an_empty_name_is_not_everybody(folder: Path, command: str) -> None:
    """`--tenant ""`, as a script with an unset variable gives it, is wrong use and shows nothing."""
    refused = tenure(folder, SETTINGS, command, "--tenant", "", status=2)
    assert "--tenant is empty" in refused.stderr
    assert refused.stdout == ""
