"""What only one process of a service may do, where many machines share a database: whoever holds the lock on it."""

import contextlib
from typing import Any

from psycopg import Connection, Error

from tenure.store.postgres.session import Session

_TAKE = "SELECT pg_try_advisory_lock(hashtextextended('tenure lease of ' || current_schema(), 0))"


class DatabaseLease:
    """An advisory lock of a connection of its own: given up when that dies, which is looked at each time."""

    def __init__(self, url: str) -> None:
        self.session = Session(url)
        self._holding: Connection[Any] | None = None

    def take(self) -> bool:
        """Whether this process holds it now."""
        held, self._holding = self._holding, None
        with contextlib.suppress(Error, OSError):
            connection = self.session.connection()
            if connection is held:
                connection.execute("SELECT 1")  # the lock is held as long as the connection answers
                self._holding = held
            elif (self.session.execute(_TAKE).fetchone() or (False,))[0]:
                self._holding = connection
        return self._holding is not None

    def close(self) -> None:
        """Frees it."""
        self._holding = None
        self.session.close()
