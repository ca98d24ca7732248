"""`keys.db`: where keys lie in SQLite, and what is a file's own there: who may read it, and overwriting.

`secure_delete` overwrites what is deleted; after an erasure or a retirement the file is rewritten and its WAL cut to
nothing, because SQLite leaves copies of moved cells in the gaps of its pages.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pysqlite3 import OperationalError

from tenure.store.connection import BUSY_TIMEOUT_MS, check_permissions, connect, migrate, writing

CLEAN_DEADLINE_S = 10.0
CLEAN_WAIT_MS = 100  # a checkpoint that waits for a reader holds the write lock: others get their turn in between


class KeyFile:
    """One connection to a key file, made or migrated; `store.keyring.KeyDatabase`."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.name = str(path)
        self.read_only = read_only
        if read_only:
            self._database = connect(path, read_only=True)
            return
        check_permissions(path)
        self._database = connect(path, create=True)
        self._database.execute("PRAGMA secure_delete=ON")
        migrate(self._database, "keys")

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """A cursor on the statement's rows."""
        return self._database.conn.execute(sql, parameters)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, under the file's write lock."""
        return writing(self._database)

    def data_version(self) -> int:
        """Changes whenever another connection has changed the file."""
        return int(self.execute("PRAGMA data_version").fetchone()[0])

    def overwrite(self) -> bool:
        """Rewrites the file and cuts its WAL to nothing, so that no deleted byte is left; False if others were in the
        way for too long. Nobody waits for it longer than CLEAN_WAIT_MS.
        """
        self.execute(f"PRAGMA busy_timeout={CLEAN_WAIT_MS}")
        try:
            # cut before it is rewritten: while others read, the WAL would only grow by another copy
            return patiently(self._cut) and patiently(self._rewrite) and patiently(self._cut)
        finally:
            self.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")

    def _rewrite(self) -> bool:
        self.execute("VACUUM")
        return True

    def _cut(self) -> bool:
        busy, _, _ = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def patiently(step: Callable[[], Any]) -> bool:
    """Whether the step came through before ten seconds were over; it is tried again while the file is busy."""
    # others read for microseconds at a time: a free moment comes
    ends = time.monotonic() + CLEAN_DEADLINE_S
    while time.monotonic() < ends:
        try:
            if step():
                return True
        except OperationalError:
            pass
        time.sleep(0.05)
    return False
