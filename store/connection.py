"""How a SQLite file is opened: the settings that make a 2xx mean fsynced, and the checks that refuse to start.

WAL, `synchronous=FULL` for what must not be lost (NORMAL for the decision log: it survives a killed process and may
lose the last moments of a power cut), `busy_timeout`, `trusted_schema=OFF`. SQLite before 3.51.3 has a WAL-reset bug
that can lose commits with two connections; `pysqlite3` bundles a sound one. Files are 0600 from their first byte.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pysqlite3
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

SOUND_SQLITE = (3, 51, 3)
BUSY_TIMEOUT_MS = 4000
# a rebuild swaps a table in under a new name, which SQLite writes in quotes, with indexes numbered anew
_QUOTED = re.compile(r'"(\w+)"')
_RENAMED = re.compile(r"_\d+$")
_SIDE = ("_beside", "_former")


class UntrustedStoreError(Exception):
    """The store cannot be trusted as it is; the message says what is wrong and what to do. Exit status 3."""


def connect(path: Path, *, synchronous: str = "FULL", create: bool = False, read_only: bool = False) -> Database:
    """An open file behind sqlite-utils, transactions begun by hand."""
    if pysqlite3.sqlite_version_info < SOUND_SQLITE:
        raise UntrustedStoreError(f"SQLite {pysqlite3.sqlite_version} loses commits; install pysqlite3 0.6.1 or later")
    if create and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    connection = pysqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )
    database = Database(connection)
    if not read_only:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA synchronous={synchronous}")
        if synchronous == "NORMAL":
            # checkpoints of decisions.db are the service's own (`store.pace`), not of whoever commits next
            database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("PRAGMA trusted_schema=OFF")
    return database


def schema_differences(database: Database, name: str, *more: tuple[str, str]) -> list[str]:
    """Every table, index, trigger and view that is not as the schema makes it: gone, changed, or not of ours."""
    model = Database(pysqlite3.connect(":memory:", isolation_level=None))
    try:
        migrate(model, name, *more)
        wanted, there = _shape(model), _shape(database)
    finally:
        model.close()
    names = sorted(key for key in wanted.keys() | there.keys() if wanted.get(key) != there.get(key))
    how = {(True, False): "gone", (False, True): "not of ours", (True, True): "changed"}
    return [f"{kind} {title} is {how[key in wanted, key in there]}" for key in names for kind, title in [key]]


def _shape(database: Database) -> dict[tuple[str, str], tuple[str, str]]:
    # what SQLite keeps for itself (sequences, statistics of ANALYZE), what notes the migrations, and what a rebuild has
    # under way or left behind (nobody reads it) is not ours
    rows = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for kind, name, table, sql in rows:
        if kind != "trigger" and (name.startswith(("sqlite_", "_sqlite_migrations")) or table.endswith(_SIDE)):
            continue
        plain = _RENAMED.sub("", name) if kind == "index" else name
        # a second one of the same plain name keeps its own, and is not of ours
        key = (kind, name if (kind, plain) in found else plain)
        found[key] = (table, _QUOTED.sub(r"\1", sql).replace(f" {name} ON ", f" {key[1]} ON "))
    return found


@contextmanager
def writing(database: Database) -> Iterator[None]:
    """A transaction that holds the write lock from its beginning: all within is committed, or nothing."""
    connection = database.conn
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # some errors have ended it already
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def schema_of(name: str) -> str:
    """The statements of `store/schema/<name>.sql`."""
    return files("tenure.store").joinpath(f"schema/{name}.sql").read_text()


def migrate(database: Database, name: str, *more: tuple[str, str]) -> None:
    """Brings the file to its schema; safe to run from many processes at once, each waits for the first."""
    steps = ((f"{name}_1", schema_of(name)), *more)
    migrations = Migrations("tenure")
    for step, text in steps:
        migrations(name=step, transactional=False)(_applier(text))
    if not migrations.pending(database):
        return
    with writing(database):
        migrations.apply(database)


def _applier(text: str) -> Any:
    split = statements(text)

    def apply(database: Database) -> None:
        # executescript would commit the transaction first
        for statement in split:
            database.execute(statement)

    return apply


def refuse_other(wrong: Sequence[str]) -> None:
    """UntrustedStoreError if the log's tables, indexes or triggers are not those it was made with: one trigger gone
    (some tools drop them silently when they rebuild a table) or one more, and rows may be other than was written.
    """
    if wrong:
        named = "; ".join([*wrong[:5], *([f"and {len(wrong) - 5} more"] if len(wrong) > 5 else [])])
        raise UntrustedStoreError(f"{named}: the log may be changed, too; restore a backup")


def statements(text: str) -> list[str]:
    """The single statements of an SQL text, without its comments."""
    found, pending = [], ""
    for line in text.splitlines():
        if line.startswith("--"):
            continue
        pending += line + "\n"
        if pysqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found


def check_permissions(path: Path) -> None:
    """Refuses a file that others than its owner may read or write."""
    if path.exists() and not path.is_file():
        raise UntrustedStoreError(f"{path} is not a file; set TENURE_DATABASE_URL to one")
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if name.exists() and name.stat().st_mode & 0o077:
            raise UntrustedStoreError(f"{name} is open to others than its owner; run: chmod 600 {name}")
