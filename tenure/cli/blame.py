"""Which of the store's files an error of SQLite's is about, and what to do: its own message names none."""

import os
from collections.abc import Iterable
from pathlib import Path

from pysqlite3 import DatabaseError

from tenure.ballast import ballast_of
from tenure.settings import StoreSettings
from tenure.store.connection import connect
from tenure.stores import damage, sentence_of

_NOT_ALLOWED = "42501"
_BEGINS = b"SQLite format 3\0"
_HOLDS = {"events": "log_head", "keys": "data_keys", "decisions": "decisions"}
_REMEDY = {
    "events": "restore a backup, or set TENURE_DATABASE_URL",
    "keys": "restore its own backup",
    "decisions": "it may be moved away: a new one is made at the next start, and log verify names what is missing",
}


def blame(error: Exception, settings: StoreSettings) -> tuple[str, int]:
    """A sentence that names the file, and the exit status: 1 busy or the disk, 2 not ours to read, 3 not sound."""
    if not isinstance(error, DatabaseError):
        said = sentence_of(error)
        if getattr(error, "sqlstate", None) == _NOT_ALLOWED:
            return f"the role of TENURE_DATABASE_URL may not do that ({said}); run it as the owner of the tables", 2
        if isinstance(error, damage()):
            return f"the database of TENURE_DATABASE_URL is not a sound Tenure log ({said}); restore a backup", 3
        return f"PostgreSQL did not answer as it should ({said}); try again", 1
    paths = {name: settings.beside(name) if name != "events" else settings.log_path for name in _HOLDS}
    there = {name: path for name, path in paths.items() if path.exists()}
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"{_those(_busy(path) for path in there.values())} is busy ({text}); try again in a moment", 1
    if "unable to open" in text or "readonly" in text or "authorization" in text:
        named = _those(_closed(path) for path in there.values())
        return f"{named} may not be read or written by this account ({text}); run as the account the service has", 2
    if "disk I/O error" in text or "is full" in text:
        # no word of damage: a backup put back onto such a disk helps nobody
        where = settings.log_path.absolute().parent
        spare = ballast_of(settings)
        room = f" (deleting {spare} gives some: it is there for that)" if spare.exists() else ""
        return f"the disk below {where} cannot be read or written ({text}); look at it and its room{room}, try again", 1
    for name, path in there.items():
        wrong = _wrong(path, _HOLDS[name])
        if wrong:
            return f"{path} {wrong} ({text}); {_REMEDY[name]}", 3
    return f"the store is not a sound Tenure log ({text}); {_REMEDY['events']}", 3


def _those(found: Iterable[str]) -> str:
    return " or ".join(filter(None, found)) or "a file of the store"


def _closed(path: Path) -> str:
    beside = [Path(f"{path}{end}") for end in ("", "-wal", "-shm")]
    return next((str(one) for one in beside if one.exists() and not os.access(one, os.R_OK | os.W_OK)), "")


def _busy(path: Path) -> str:
    try:
        database = connect(path)
        try:
            database.execute("PRAGMA busy_timeout=0")
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        finally:
            database.close()
    except DatabaseError as error:
        return str(path) if "locked" in str(error) or "busy" in str(error) else ""
    except OSError:
        return ""
    return ""


def _wrong(path: Path, table: str) -> str:
    try:
        with path.open("rb") as file:
            if file.read(len(_BEGINS)) not in (_BEGINS, b""):
                return "is no database"
        database = connect(path, read_only=True)
        try:
            if table not in database.table_names():
                return "is a database of something else"
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            return "" if found == "ok" else "is damaged"
        finally:
            database.close()
    except DatabaseError:
        return "is damaged"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
