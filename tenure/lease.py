"""Which process does what only one may do."""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from tenure.settings import StoreSettings


class Held(Protocol):
    """Held by at most one process; `take` says whether it is this one now, and is to be asked before each use."""

    def take(self) -> bool: ...

    def close(self) -> None: ...


class Lease:
    """The lock on a file; the system frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Whether this process holds it now."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Frees it."""
        os.close(self._handle)


def lease_of(settings: StoreSettings) -> Held:
    """The lease of a store's housekeeping: in its database, or on a file beside the log."""
    if not settings.on_postgres:
        return Lease(Path(f"{settings.log_path}-lease"))
    from tenure.store.postgres.lease import DatabaseLease  # noqa: PLC0415 (only who uses it needs psycopg)

    return DatabaseLease(settings.database_url)
