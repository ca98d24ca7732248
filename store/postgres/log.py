"""The append-only log in PostgreSQL.

One gapless position for the whole log and one version per stream, both taken under the lock on the one row of
`log_head`, held to the commit: the order of positions is the order of commits, whatever the transactions' own numbers.
A batch is one transaction of two round trips: lock and read, then write and commit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from psycopg.pq import TransactionStatus

from tenure.domain.chain import chain_hash
from tenure.domain.events import Event
from tenure.domain.ports import Append, Appended, AppendResult, Conflict, InlineProjector, Spend, Spent, Transaction
from tenure.store.codec import COLUMNS, decode, encode, storable
from tenure.store.postgres.migrations import check_guards, migrate
from tenure.store.postgres.session import Session
from tenure.store.sqlite import utc_now

_ALL = f"{', '.join(COLUMNS)}, hash"
_INSERT = f"INSERT INTO events ({_ALL}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_VERSIONS = (
    "SELECT a, k, (SELECT max(version) FROM events WHERE app_key = a AND client_key = k) "
    "FROM unnest(?::text[], ?::text[]) AS asked (a, k)"
)
_SPENT = "SELECT fingerprint, body_digest, outcome FROM spent_tokens WHERE fingerprint = ANY(?::text[])"
_LOCK = "SELECT position, hash FROM log_head WHERE id = 1 FOR UPDATE"
_PAGE = 1000


def open_log(url: str, projections: Sequence[tuple[str, str]] = ()) -> None:
    """Makes or migrates the schema and refuses a log that cannot be trusted. `projections`: (name, statements)."""
    session = Session(url, bounded=False)
    try:
        migrate(session, projections)
        check_guards(session)
    finally:
        session.close()


class _Batch:
    """The state that one transaction reads, and how its own appends have moved it since."""

    def __init__(self, position: int, digest: str) -> None:
        self.position = position
        self.digest = digest
        self.versions: dict[tuple[str, str], int] = {}
        self.spent: dict[str, Spend] = {}


class PostgresLog:
    """The log on one connection; one thread at a time. `clock` gives the text that is stored."""

    def __init__(
        self,
        url: str,
        projectors: Sequence[InlineProjector] = (),
        *,
        clock: Callable[[], str] = utc_now,
        read_only: bool = False,
        bounded: bool = False,
    ) -> None:
        self.session = Session(url, bounded=bounded, read_only=read_only)
        self._execute = self.session.execute
        self._projectors = projectors
        self._clock = clock

    @property
    def connection(self) -> Transaction:
        """The connection, for projections read beside the log."""
        return self.session

    def close(self) -> None:
        """Closes the connection."""
        self.session.close()

    def append(self, batch: Sequence[Append]) -> list[AppendResult]:
        """Appends each of the batch or says why not, in one transaction; flushed when it returns."""
        for request in batch:
            storable(request)
        connection = self.session.connection()
        try:
            with connection.pipeline():
                self._execute("BEGIN")
                state = self._lock(batch)
                results = [self._append_one(request, state) for request in batch]
                commit = self._execute("COMMIT")
            if commit.statusmessage != "COMMIT":
                raise RuntimeError("the append was rolled back")
        except BaseException:
            if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                connection.execute("ROLLBACK")
            elif connection.pgconn.transaction_status != TransactionStatus.IDLE:
                self.session.close()
            raise
        return results

    def _lock(self, batch: Sequence[Append]) -> _Batch:
        streams = list({(request.app_key, request.client_key) for request in batch})
        tokens = [request.spend.fingerprint for request in batch if request.spend]
        head = self._execute(_LOCK)
        spent = self._execute(_SPENT, (tokens,)) if tokens else ()
        versions = self._execute(_VERSIONS, ([app for app, _ in streams], [client for _, client in streams]))
        state = _Batch(*head.fetchone())
        state.spent = {row[0]: Spend(*row) for row in spent}
        state.versions = {(app, client): version or 0 for app, client, version in versions}
        return state

    def _append_one(self, request: Append, state: _Batch) -> AppendResult:
        spend, stream = request.spend, (request.app_key, request.client_key)
        if spend is not None and spend.fingerprint in state.spent:
            return Spent(state.spent[spend.fingerprint])
        if state.versions[stream] != request.expected_version:
            return Conflict(state.versions[stream])
        now = self._clock()
        if spend is not None:
            self._execute(
                "INSERT INTO spent_tokens VALUES (?, ?, ?, ?, ?, ?)",
                (spend.fingerprint, spend.body_digest, spend.outcome, *stream, now),
            )
            state.spent[spend.fingerprint] = spend
        return Appended(self._write(request, state, now) if request.draft else None)

    def _write(self, request: Append, state: _Batch, now: str) -> Event:
        draft, stream = request.draft, (request.app_key, request.client_key)
        assert draft is not None  # noqa: S101 (the caller has looked)
        version = state.versions[stream] + 1
        columns = (
            state.position + 1, version, str(draft.type), *stream, now, *encode(draft), draft.token_fingerprint
        )  # fmt: skip
        row = (*columns, chain_hash(state.digest, columns))
        self._execute(_INSERT, row)
        state.position, state.digest, state.versions[stream] = columns[0], row[-1], version
        event = decode(row)
        for projector in self._projectors:
            projector.apply(self.session, event)
        return event

    def version(self, app_key: str, client_key: str) -> int:
        """The version of a stream's last event; 0 if it has none."""
        row = self._execute(
            "SELECT max(version) FROM events WHERE app_key = ? AND client_key = ?", (app_key, client_key)
        ).fetchone()
        return int(row[0] or 0)

    def spent(self, fingerprint: str) -> Spend | None:
        """What the spent list says of a token."""
        row = self._execute(_SPENT, ([fingerprint],)).fetchone()
        return Spend(*row) if row else None

    def head(self) -> tuple[int, str]:
        """Position and hash of the last event; (0, GENESIS) of an empty log."""
        position, digest = self._execute("SELECT position, hash FROM log_head WHERE id = 1").fetchone()
        return position, digest

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]:
        """The events of a tenant in their order, up to a position."""
        return self._paged({"app_key = ?": app_key, "client_key = ?": client_key, "position <= ?": until}, 0, -1)

    def read(
        self,
        *,
        client_key: str | None = None,
        kind: str | None = None,
        since: str | None = None,
        until: str | None = None,
        after: int = 0,
        limit: int = -1,
    ) -> Iterator[Event]:
        """Events oldest first, filtered; `since` and `until` as stored times, both included."""
        return self._paged(
            {"client_key = ?": client_key, "type = ?": kind, "recorded_at >= ?": since, "recorded_at <= ?": until},
            after, limit,
        )  # fmt: skip

    def _paged(self, wanted: dict[str, Any], after: int, limit: int) -> Iterator[Event]:
        # by pages: a client holds a whole result in memory, and the log may be long
        given = {clause: value for clause, value in wanted.items() if value is not None}
        clauses = "".join(f" AND {clause}" for clause in given)
        sql = f"SELECT {_ALL} FROM events WHERE position > ?{clauses} ORDER BY position LIMIT ?"
        while limit:
            size = _PAGE if limit < 0 else min(_PAGE, limit)
            rows = self._execute(sql, (after, *given.values(), size)).fetchall()
            yield from map(decode, rows)
            if len(rows) < size:
                return
            after, limit = rows[-1][0], limit - size if limit > 0 else limit

    def position_at(self, time: str) -> int:
        """The last position recorded at or before a stored time; 0 if none."""
        row = self._execute("SELECT max(position) FROM events WHERE recorded_at <= ?", (time,)).fetchone()
        return int(row[0] or 0)
