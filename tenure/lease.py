"""Which process does what only one may do."""

import fcntl
import os
from pathlib import Path


class Lease:
    """The lock on a file, held by at most one process."""

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
