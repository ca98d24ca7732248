"""What a log does in the same words on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Unpack

from tenure.domain.events import Event
from tenure.domain.ports import Append, AppendResult, Chosen, Spend
from tenure.store.codec import decode, stored_fields


class SqlLog:
    """The base of both: each gives its connection's `_execute`, how it finds an install key, and its own rest."""

    _execute: Callable[..., Any]
    _kid: str

    def append(self, batch: Sequence[Append]) -> list[AppendResult]:
        """Appends each of the batch or says why not, in one transaction; on the disk when it returns."""
        return self.append_under_lock(lambda: batch)

    def append_under_lock(self, decide: Callable[[], Sequence[Append]]) -> list[AppendResult]:
        """As `append`, of what `decide` says once the log is held: nobody appends between its reading and the end."""
        raise NotImplementedError

    def version(self, app_key: str, client_key: str) -> int:
        """The version of a stream's last event; 0 if it has none."""
        row = self._execute(
            "SELECT max(version) FROM events WHERE app_key = ? AND client_key = ?", (app_key, client_key)
        ).fetchone()
        return int(row[0] or 0)

    def spent(self, fingerprint: str) -> Spend | None:
        """What the spent list says of a token."""
        row = self._execute(
            "SELECT fingerprint, body_digest, outcome FROM spent_tokens WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        return Spend(*row) if row else None

    def head(self) -> tuple[int, str]:
        """Position and hash of the last event; (0, GENESIS) of an empty log."""
        position, digest = self._execute("SELECT position, hash FROM log_head WHERE id = 1").fetchone()
        return position, digest

    def hash_at(self, position: int) -> str | None:
        """The hash of the event at a position; None if there is none."""
        row = self._execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
        return row[0] if row else None

    def kid_tenants(self, kid: str) -> list[str]:
        """The client keys of every tenant that an event proved by this install key belongs to."""
        sql = f"SELECT DISTINCT client_key FROM events WHERE {self._kid} = ? ORDER BY client_key"
        return [row[0] for row in self._execute(sql, (kid,))]

    def read(self, **chosen: Unpack[Chosen]) -> Iterator[Event]:
        """Events oldest first, filtered; each filter by an index."""
        return map(decode, self._chosen(**chosen))

    def stored(self, **chosen: Unpack[Chosen]) -> Iterator[dict[str, Any]]:
        """As `read`, each event as its stored columns and nothing but them, so that its hash can be made again."""
        return map(stored_fields, self._chosen(**chosen))

    def _chosen(self, **chosen: Unpack[Chosen]) -> Iterator[tuple[Any, ...]]:
        raise NotImplementedError
