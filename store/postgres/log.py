"""The append-only log in PostgreSQL.

One gapless position for the whole log and one version per stream, both taken under the lock on the one row of
`log_head`, held to the commit: the order of positions is the order of commits, whatever the transactions' own numbers.
A batch is one transaction of four statements, however many appends are in it: lock, read, write, commit; the inline
projections add theirs. (psycopg's pipeline would save round trips, but costs three times the processor: it writes to
the socket at every statement all the same.)
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from tenure.domain.chain import chain_hash
from tenure.domain.events import Draft, Event
from tenure.domain.ports import Append, Appended, AppendResult, Conflict, InlineProjector, Spend, Spent, Transaction
from tenure.store.clock import utc_now
from tenure.store.codec import COLUMNS, decode, decode_own, encode, storable
from tenure.store.connection import refuse_other
from tenure.store.postgres.folding import by_tenant
from tenure.store.postgres.migrations import migrate, schema_problems
from tenure.store.postgres.session import Session
from tenure.store.sql_log import SqlLog
from tenure.store.values import values

_ALL = f"{', '.join(COLUMNS)}, hash"
# read after the lock is held, by a statement of its own: its snapshot has all that was committed before
_BEGIN = b"BEGIN; SELECT position, hash FROM log_head WHERE id = 1 FOR UPDATE"
_PAGE = 1000
_KID = "(proof::json ->> 'kid')"
# the clock may have gone back, so the times themselves are asked, too; the sum keeps the planner on the index on times
_WALK_BEGINS = "SELECT coalesce(min(position + 0), 1) FROM events WHERE recorded_at >= ?"


def open_log(url: str, projections: Sequence[tuple[str, str]] = ()) -> None:
    """Makes or migrates the schema and refuses a log that cannot be trusted. `projections`: (name, statements)."""
    session = Session(url, bounded=False)
    try:
        migrate(session, projections)
        refuse_other(schema_problems(session, projections))
    finally:
        session.close()


def _reading(asked: int) -> str:
    return (
        "SELECT a, k, (SELECT max(version) FROM events WHERE app_key = a AND client_key = k), s.* "
        f"FROM ({values(asked, 3, '::text')}) AS asked (a, k, f) "
        "LEFT JOIN LATERAL (SELECT fingerprint, body_digest, outcome FROM spent_tokens WHERE fingerprint = f) s ON true"
    )


def _writing(events: int, spending: int) -> str:
    spend = f"INSERT INTO spent_tokens {values(spending, 6)}" if spending else ""
    append = f"INSERT INTO events ({_ALL}) {values(events, len(COLUMNS) + 1)}" if events else ""
    return f"WITH spending AS ({spend}) {append}" if spend and append else spend or append


def _given(
    client_key: str | None, kind: str | None, since: str | None, until: str | None, kid: str | None
) -> dict[str, Any]:
    return _without_none({
        "client_key = ?": client_key, "type = ?": kind, f"{_KID} = ?": kid, "recorded_at >= ?": since,
        "recorded_at <= ?": until,
    })  # fmt: skip


def _without_none(wanted: dict[str, Any]) -> dict[str, Any]:
    return {clause: value for clause, value in wanted.items() if value is not None}


class _Batch:
    """The state that one transaction reads, and how its own appends have moved it since."""

    def __init__(self, position: int, digest: str) -> None:
        self.position = position
        self.digest = digest
        self.versions: dict[tuple[str, str], int] = {}
        self.spent: dict[str, Spend] = {}
        self.events: list[tuple[Any, ...]] = []
        self.spending: list[tuple[str, ...]] = []

    def settle(self, request: Append, now: str) -> AppendResult:
        """What comes of one append, noted down to be written."""
        spend, stream = request.spend, (request.app_key, request.client_key)
        if spend is not None and spend.fingerprint in self.spent:
            return Spent(self.spent[spend.fingerprint])
        if self.versions[stream] != request.expected_version:
            return Conflict(self.versions[stream])
        if spend is not None:
            self.spent[spend.fingerprint] = spend
            self.spending.append((spend.fingerprint, spend.body_digest, spend.outcome, *stream, now))
        return Appended(self._event(request.draft, stream, now) if request.draft else None)

    def _event(self, draft: Draft, stream: tuple[str, str], now: str) -> Event:
        self.position += 1
        self.versions[stream] += 1
        columns = (
            self.position, self.versions[stream], str(draft.type), *stream, now, *encode(draft),
            draft.token_fingerprint,
        )  # fmt: skip
        self.digest = chain_hash(self.digest, columns)
        self.events.append((*columns, self.digest))
        return decode_own(self.events[-1])


class PostgresLog(SqlLog):
    """The log on one connection; one thread at a time. `clock` gives the text that is stored."""

    _kid = _KID

    def __init__(
        self,
        url: str,
        projectors: Sequence[InlineProjector] = (),
        *,
        clock: Callable[[], str] = utc_now,
        read_only: bool = False,
        bounded: bool = False,
    ) -> None:
        self._url = url
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

    def append_under_lock(self, decide: Callable[[], Sequence[Append]]) -> list[AppendResult]:
        """As `append`, of what `decide` says once the log is held: nobody appends between its reading and the end.
        It has 2 s between two statements; then the server ends the transaction, so that nobody else waits for it.
        """
        with self.session.transaction(_BEGIN) as head:
            state = _Batch(*head)
            batch = decide()
            for request in batch:
                storable(request)
            self._read(state, batch)
            results = [state.settle(request, self._clock()) for request in batch]
            self._write(state)
            for result in results:
                if isinstance(result, Appended) and result.event is not None:
                    for projector in self._projectors:
                        projector.apply(self.session, result.event)
        return results

    def _read(self, state: _Batch, batch: Sequence[Append]) -> None:
        asked = [(one.app_key, one.client_key, one.spend.fingerprint if one.spend else None) for one in batch]
        rows = self._execute(_reading(len(asked)), tuple(chain.from_iterable(asked))) if asked else ()
        for app_key, client_key, version, *spent in rows:
            state.versions[app_key, client_key] = version or 0
            if spent[0] is not None:
                state.spent[spent[0]] = Spend(*spent)

    def _write(self, state: _Batch) -> None:
        if state.events or state.spending:
            sql = _writing(len(state.events), len(state.spending))
            self._execute(sql, tuple(chain.from_iterable((*state.spending, *state.events))))

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]:
        """The events of a tenant in their order, up to a position."""
        given = {"app_key = ?": app_key, "client_key = ?": client_key, "position <= ?": until}
        return map(decode, self._rows(_without_none(given), 0, -1))

    def _chosen(
        self, *, client_key: str | None = None, kind: str | None = None, since: str | None = None,
        until: str | None = None, kid: str | None = None, after: int = 0, limit: int = -1,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        return self._rows(_given(client_key, kind, since, until, kid), after, limit)

    def _rows(self, given: dict[str, Any], after: int, limit: int) -> Iterator[tuple[Any, ...]]:
        # by pages: a client holds a whole result in memory, and the log may be long
        if "recorded_at >= ?" in given:
            after = max(after, self._execute(_WALK_BEGINS, (given["recorded_at >= ?"],)).fetchone()[0] - 1)
        clauses = "".join(f" AND {clause}" for clause in given)
        sql = f"SELECT {_ALL} FROM events WHERE position > ?{clauses} ORDER BY position LIMIT ?"
        while limit:
            size = _PAGE if limit < 0 else min(_PAGE, limit)
            rows = self._execute(sql, (after, *given.values(), size)).fetchall()
            yield from rows
            if len(rows) < size:
                return
            after, limit = rows[-1][0], limit - size if limit > 0 else limit

    def by_tenant(self) -> Iterator[Event]:
        """Every event tenant by tenant, each held to the chain, without proof and changes."""
        return by_tenant(self.session)

    def stored_rows(self) -> Iterator[tuple[bytes, ...]]:
        """Every event's columns and hash as the bytes that are hashed, by position."""
        for row in self._rows({}, 0, -1):
            yield tuple(str(value).encode() for value in row)

    def snapshot(self) -> None:
        """What is read from here on, until it is closed, is as of one moment."""
        self.session.hold()
        self._execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # it holds no lock, so nobody waits for who thinks long between two statements
        self._execute("SET LOCAL idle_in_transaction_session_timeout = 0")

    def schema_problems(self, projections: Sequence[tuple[str, str]] = ()) -> list[str]:
        """What of the schema is not as it was made, in words. `projections`: (name, statements). On a connection of
        its own, because it needs a transaction of its own. UntrustedStoreError if this role cannot find out.
        """
        session = Session(self._url, bounded=False)
        try:
            return schema_problems(session, projections)
        finally:
            session.close()

    def damage(self) -> list[str]:
        """Nothing: the server looks after its own files."""
        return []

    def position_at(self, time: str) -> int:
        """The last position recorded at or before a stored time; 0 if none."""
        row = self._execute("SELECT max(position) FROM events WHERE recorded_at <= ?", (time,)).fetchone()
        return int(row[0] or 0)
