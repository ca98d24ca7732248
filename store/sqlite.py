"""The append-only log in SQLite.

One gapless position for the whole log and one version per stream, both taken under one lock held to the commit
(`BEGIN IMMEDIATE`). A batch of appends is one transaction: each is checked before anything of it is written, so that
one that conflicts leaves the others alone. The chain hash, the spent token and the inline projections are written in
the same transaction. The database itself refuses UPDATE, DELETE and INSERT OR REPLACE; start-up checks that it does.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from tenure.domain.chain import chain_hash
from tenure.domain.events import Event
from tenure.domain.ports import Append, Appended, AppendResult, Conflict, InlineProjector, Spend, Spent, Transaction
from tenure.store.clock import utc_now
from tenure.store.codec import COLUMNS, decode, decode_own, encode, storable
from tenure.store.connection import check_permissions, connect, migrate, refuse_other, schema_differences, writing
from tenure.store.evidence import stored_rows
from tenure.store.folding import by_tenant
from tenure.store.sql_log import SqlLog

_ALL = f"{', '.join(COLUMNS)}, hash"
_INSERT = f"INSERT INTO events ({_ALL}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_SPEND = "INSERT INTO spent_tokens VALUES (?, ?, ?, ?, ?, ?)"
# what an append must know: the head, the stream's version, and what its token was spent on
_BEFORE = (
    "SELECT position, hash, (SELECT coalesce(max(version), 0) FROM events WHERE app_key = ?1 AND client_key = ?2), "
    "fingerprint, body_digest, outcome FROM log_head LEFT JOIN spent_tokens ON fingerprint = ?3 WHERE id = 1"
)


# the first event of a time, and the last: the least position of the 10,000 next to the edge in the order of times, so
# that a clock that was set back hides none
_SINCE = (
    "SELECT min(position) - 1 FROM "
    "(SELECT position FROM events WHERE recorded_at >= ? ORDER BY recorded_at LIMIT 10000)"
)
_UNTIL = (
    "SELECT max(position) FROM "
    "(SELECT position FROM events WHERE recorded_at <= ? ORDER BY recorded_at DESC LIMIT 10000)"
)
_KID = "json_extract(proof, '$.kid')"


def event_query(
    client_key: str | None, kind: str | None, since: str | None, until: str | None, kid: str | None
) -> tuple[str, list[str]]:
    """The statement of a filtered read and its parameters between `after` and `limit`."""
    sql = f"SELECT {_ALL} FROM events WHERE position > ?"
    parameters: list[str] = []
    if since is not None:
        # one bound, not two: the planner seeks by the first and tries the other on every row behind it. The clock may
        # have gone back, so the time itself is asked again below; the pluses keep the planner on the index that fits:
        # it would sort a range of times by position
        sql = f"SELECT {_ALL} FROM events WHERE position > max(?, ({_SINCE}))"
        parameters.append(since)
    for clause, value in (
        ("client_key = ?", client_key),
        ("type = ?", kind),
        (f"{_KID} = ?", kid),
        ("+recorded_at >= ?", since),
        ("+recorded_at <= ?", until),
    ):
        if value is not None:
            sql += f" AND {clause}"
            parameters.append(value)
    return f"{sql} ORDER BY position LIMIT ?", parameters


def open_log(path: Path, projections: Sequence[tuple[str, str]] = ()) -> None:
    """Makes or migrates the file and refuses one that cannot be trusted. `projections`: (name, schema)."""
    check_permissions(path)
    database = connect(path, create=True)
    try:
        migrate(database, "events", *projections)
        refuse_other(schema_differences(database, "events", *projections))
    finally:
        database.close()


class SqliteLog(SqlLog):
    """The log on one connection; one thread at a time. `clock` gives the text that is stored."""

    _kid = _KID

    def __init__(
        self,
        path: Path,
        projectors: Sequence[InlineProjector] = (),
        *,
        clock: Callable[[], str] = utc_now,
        read_only: bool = False,
    ) -> None:
        self._database = connect(path, read_only=read_only)
        self._execute = self._database.conn.execute
        self._projectors = projectors
        self._clock = clock

    @property
    def connection(self) -> Transaction:
        """The connection, for projections read beside the log."""
        connection: Transaction = self._database.conn
        return connection

    @property
    def database(self) -> Database:
        """The file behind sqlite-utils, for whoever works on its schema."""
        return self._database

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    def append_under_lock(self, decide: Callable[[], Sequence[Append]]) -> list[AppendResult]:
        """As `append`, of what `decide` says once the log is held: nobody appends between its reading and the end."""
        with writing(self._database):
            batch = decide()
            for request in batch:
                storable(request)
            return [self._append_one(request) for request in batch]

    def append_within(self, request: Append) -> AppendResult:
        """As `append`, within a transaction that is open and holds the write lock; whoever opened it commits."""
        return self._append_one(request)

    def _append_one(self, request: Append) -> AppendResult:
        spend, stream = request.spend, (request.app_key, request.client_key)
        row = self._execute(_BEFORE, (*stream, spend.fingerprint if spend else None)).fetchone()
        position, digest, version, *spent = row
        if spent[0] is not None:
            return Spent(Spend(*spent))
        if version != request.expected_version:
            return Conflict(version)
        now = self._clock()
        if spend is not None:
            self._execute(_SPEND, (spend.fingerprint, spend.body_digest, spend.outcome, *stream, now))
        if request.draft is None:
            return Appended(None)
        columns = (
            position + 1, version + 1, str(request.draft.type), *stream, now, *encode(request.draft),
            request.draft.token_fingerprint,
        )  # fmt: skip
        return Appended(self._write((*columns, chain_hash(digest, columns))))

    def _write(self, row: tuple[Any, ...]) -> Event:
        self._execute(_INSERT, row)
        self._execute("UPDATE log_head SET position = ?, hash = ? WHERE id = 1", (row[0], row[-1]))
        event = decode_own(row)
        for projector in self._projectors:
            projector.apply(self._database.conn, event)
        return event

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]:
        """The events of a tenant in their order, up to a position."""
        sql = f"SELECT {_ALL} FROM events WHERE app_key = ? AND client_key = ?"
        parameters: list[Any] = [app_key, client_key]
        if until is not None:
            sql += " AND position <= ?"
            parameters.append(until)
        return map(decode, self._execute(sql + " ORDER BY version", parameters))

    def _chosen(
        self, *, client_key: str | None = None, kind: str | None = None, since: str | None = None,
        until: str | None = None, kid: str | None = None, after: int = 0, limit: int = -1,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        sql, parameters = event_query(client_key, kind, since, until, kid)
        return iter(self._execute(sql, (after, *parameters, limit)))

    def by_tenant(self) -> Iterator[Event]:
        """Every event tenant by tenant, each held to the chain, without proof and changes. `folding.by_tenant`."""
        return by_tenant(self.connection)

    def stored_rows(self) -> Iterator[tuple[bytes, ...]]:
        """Every event's columns and hash as the bytes that are stored, by position."""
        return stored_rows(self.connection)

    def snapshot(self) -> None:
        """What is read from here on, until it is closed, is as of one moment."""
        self._execute("BEGIN")

    def schema_problems(self, projections: Sequence[tuple[str, str]] = ()) -> list[str]:
        """What of the schema is not as it was made, in words. `projections`: (name, schema)."""
        return schema_differences(self._database, "events", *projections)

    def damage(self) -> list[str]:
        """Where the file's own structure does not hold, in words; the first few."""
        return [row[0] for row in self._execute("PRAGMA integrity_check(5)") if row[0] != "ok"]

    def position_at(self, time: str) -> int:
        """The last position recorded at or before a stored time; 0 if none."""
        row = self._execute(_UNTIL, (time,)).fetchone()
        return int(row[0] or 0)
