"""Where keys lie in PostgreSQL: tables of their own beside the log, under a lock of their own.

Whoever writes holds an advisory lock to the commit, so that a key made, a master that comes or goes and a key destroyed
come one after the other, as they do in a file. It is not the log's lock: an append waits for none of it. A transaction
that has not ended within its bound, a commit that waits for a standby included, is given up: OursError.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Error

from tenure.store.postgres.session import Session

BOUND_S = 1.5
PATIENCE_S = 30.0  # of commands and housekeeping, where nobody waits for an answer
_VACUUM_MS = 60_000

_BEGIN = b"BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('tenure keys of ' || current_schema(), 0))"
_THERE = "SELECT to_regclass('master_keys') IS NOT NULL"
# a table that is not ours to vacuum is passed over by the server with a warning
_OURS = (
    "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class "
    "WHERE oid IN (to_regclass('data_keys'), to_regclass('wrapped_keys'))"
)


class KeyTables:
    """One connection to the keys of a database; `store.keyring.KeyDatabase`. `bounded`: of a worker, which waits for
    nothing longer than `BOUND_S`.
    """

    name = "the database"

    def __init__(self, url: str, *, read_only: bool = False, bounded: bool = False) -> None:
        self.read_only = read_only
        self.session = Session(url, bounded=bounded, read_only=read_only)
        self._bound = BOUND_S if bounded else PATIENCE_S
        self._asked = 0

    def is_there(self) -> bool:
        """Whether the database has the tables."""
        return bool(self.execute(_THERE).fetchone()[0])

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """A cursor on the statement's rows."""
        return self.session.execute(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, under the lock of all keys."""
        with self.session.within(self._bound), self.session.transaction(_BEGIN):
            yield

    def data_version(self) -> int:
        """Another number each time: nobody tells whether something was changed, so it has to be looked at."""
        self._asked += 1
        return self._asked

    def overwrite(self) -> bool:
        """Has the space of deleted rows freed (VACUUM), where this role may; where it may not, the server does it by
        itself. What was written before stays in the server's WAL, standbys and backups. False if it did not work now.
        """
        if not self.execute(_OURS).fetchone()[0]:
            return True
        try:
            self.execute(f"SET statement_timeout = {_VACUUM_MS}")
            for table in ("wrapped_keys", "data_keys"):
                self.session.statement(f"VACUUM {table}")
        except Error:
            return False
        finally:
            self.execute("RESET statement_timeout")
        return True

    def close(self) -> None:
        """Closes the connection."""
        self.session.close()
