"""Documents held to the code: every stored field is in the inventory, and the page for outsiders works as it stands."""

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pysqlite3
import pytest

from support.store_support import make_log, rehash, rows_of, write_rows
from tenure.domain.events import Erased, Installed, Operated, Reinstated, Switched
from tenure.projections.security_context import schema
from tenure.store.backup import copy_log
from tenure.store.connection import UntrustedStoreError, connect
from tenure.store.decisions import open_decisions
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster
from tenure.store.postgres.migrations import schema_of
from tenure.store.signed_head import HeadSigner, last_signed
from tenure.store.sqlite import SqliteLog, open_log

DOCS = Path(__file__).parents[2] / "docs"
INVENTORY = (DOCS / "reference" / "data-inventory.md").read_text()


def stored_fields(path: Path) -> list[str]:
    """`table.column` of every table of ours in a file."""
    connection = pysqlite3.connect(str(path))
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    own = [name for name in tables if not name.startswith(("sqlite_", "_sqlite"))]
    found = [f"{name}.{row[1]}" for name in own for row in connection.execute(f"PRAGMA table_info({name})")]
    connection.close()
    return found


def database_fields() -> list[str]:
    """The same of the decisions' tables in PostgreSQL, as their schema writes them."""
    tables = re.findall(r"CREATE TABLE (\w+) \(\n(.*?)\n\)", schema_of("decisions"), re.DOTALL)
    columns = [(name, line.split()[0]) for name, body in tables for line in body.splitlines()]
    return [f"{name}.{column}" for name, column in columns if column.islower()]


def test_every_stored_field_is_in_the_inventory(tmp_path: Path) -> None:
    """A column that the inventory does not name, or one it names that is gone, fails."""
    open_log(tmp_path / "events.db", [schema()])
    KeyFile(tmp_path / "keys.db").close()
    open_decisions(tmp_path / "decisions.db")
    stored = [field for name in ("events", "keys", "decisions") for field in stored_fields(tmp_path / f"{name}.db")]
    assert len(stored) > 60
    assert [field for field in stored if f"`{field}`" not in INVENTORY] == []
    stored += [field for field in database_fields() if field not in stored]
    tables = {field.partition(".")[0] for field in stored}
    named = [piece for piece in INVENTORY.split("`")[1::2] if piece.partition(".")[0] in tables and "." in piece]
    assert [piece for piece in named if piece not in (*stored, "events.db", "decisions.db")] == []


@pytest.mark.parametrize("kind", [Installed, Switched, Erased, Reinstated, Operated])
def test_every_member_of_an_event_is_in_the_inventory(kind: type) -> None:
    """A member of an event's data that the inventory does not name fails."""
    assert [field.name for field in fields(kind) if f"`{field.name}`" not in INVENTORY] == []


def outsider(folder: Path, log: str) -> subprocess.CompletedProcess[str]:
    """Runs the script of docs/how-to/check-a-head.md, as it is printed there."""
    page = (DOCS / "how-to" / "check-a-head.md").read_text()
    (folder / "check.py").write_text(page.split("```python\n")[1].split("```")[0])
    command = [sys.executable, "check.py", log, "head.txt", "log.pub"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_an_outsider_checks_a_head_with_a_few_lines(tmp_path: Path) -> None:
    """The printed script accepts a true copy, and refuses one changed, cut or written anew."""
    make_log(tmp_path / "events.db", 50, tenants=5)
    signer = HeadSigner(KeyFile(tmp_path / "keys.db"), GivenMaster(bytes(32)), "com.example.app")
    log = SqliteLog(tmp_path / "events.db")
    (tmp_path / "head.txt").write_text(signer.sign(log).note)
    log.close()
    signer.close()
    last = last_signed(KeyFile(tmp_path / "keys.db"))
    assert last is not None
    (tmp_path / "log.pub").write_text(last.verifier.text() + "\n")
    assert copy_log(tmp_path / "events.db", tmp_path / "copy.db").events == 50
    fine = outsider(tmp_path, "copy.db")
    assert (fine.returncode, fine.stdout) == (0, "the log is what it was at position 50\n"), fine.stderr
    rows = rows_of(tmp_path / "copy.db")
    changed = [*rows[:20], (*rows[20][:5], "2020-01-01T00:00:00.000000Z", *rows[20][6:]), *rows[21:]]
    for wrong, said in ((changed, "position 21"), (rows[:40], "not the one"), (rehash(changed), "not the one")):
        write_rows(tmp_path / "copy.db", wrong)
        run = outsider(tmp_path, "copy.db")
        assert run.returncode == 1
        assert said in run.stderr
    note = (tmp_path / "head.txt").read_text()
    (tmp_path / "head.txt").write_text(note.replace("\n50\n", "\n49\n"))
    assert outsider(tmp_path, "copy.db").returncode == 1


def test_a_backup_is_whole_private_and_never_over_a_file(tmp_path: Path) -> None:
    """A copy is 0600 with its triggers, and opens as a log; an existing file stays; a log not intact is not copied."""
    make_log(tmp_path / "events.db", 20, tenants=2)
    copy_log(tmp_path / "events.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    open_log(tmp_path / "copy.db", [schema()])
    with pytest.raises(FileExistsError):
        copy_log(tmp_path / "events.db", tmp_path / "copy.db")
    rows = rows_of(tmp_path / "events.db")
    write_rows(tmp_path / "events.db", [*rows[:9], *rows[10:]])
    with pytest.raises(UntrustedStoreError, match="position 10"):
        copy_log(tmp_path / "events.db", tmp_path / "other.db")
    assert sorted(path.name for path in tmp_path.glob("*other*")) == []


@pytest.mark.parametrize("name", ["events.db", "events.db-wal", "keys.db", "keys.db-shm", "decisions.db"])
def test_looser_files_are_refused(tmp_path: Path, name: str) -> None:
    """A file of the store that others may read is named, with the command that closes it."""
    openers: dict[str, Callable[[Path], object]] = {
        "events.db": open_log, "keys.db": KeyFile, "decisions.db": open_decisions,
    }  # fmt: skip
    open_log(tmp_path / "events.db")
    open_decisions(tmp_path / "decisions.db")
    KeyFile(tmp_path / "keys.db").close()
    (tmp_path / name).touch()
    (tmp_path / name).chmod(0o644)
    store = name.split("-", maxsplit=1)[0]
    with pytest.raises(UntrustedStoreError, match="chmod 600"):
        openers[store](tmp_path / store)


def test_a_copy_of_the_log_holds_no_key(tmp_path: Path) -> None:
    """A backup has the log's tables and none of the key store's."""
    make_log(tmp_path / "events.db", 5, tenants=1)
    copy_log(tmp_path / "events.db", tmp_path / "copy.db")
    database = connect(tmp_path / "copy.db", read_only=True)
    assert not {"data_keys", "wrapped_keys", "master_keys"} & set(database.table_names())
    database.close()
    assert base64.b64encode(bytes(32)) not in (tmp_path / "copy.db").read_bytes()
