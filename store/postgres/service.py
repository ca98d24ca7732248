"""What the service asks PostgreSQL, off the event loop: reads and appends in lanes of one thread and one connection.

What arrives while a statement runs shares the next one, so that 32 calls at once are one round trip, not 32: measured
on one process, that is three checks where a pooled connection for each makes two. Nothing is remembered between
statements: each answer was read after its question came. Whoever waits longer than `BOUND_S` is answered
`store_unavailable`, and the connection that kept them waiting is dropped.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from tenure.domain.ports import Append, AppendResult, InlineProjector, Spend, Transaction
from tenure.domain.refusals import OursError, Reason
from tenure.domain.tenant import Tenant
from tenure.store.clock import utc_now
from tenure.store.lane import Lane
from tenure.store.postgres.log import PostgresLog
from tenure.store.postgres.session import Session

BOUND_S = 1.5  # and a quarter of a second to record the refusal: 503 within 2 s
T = TypeVar("T")
R = TypeVar("R")

ContextsOf = Callable[[Transaction, Sequence[tuple[str, str]]], Sequence[Tenant | None]]


class _TooLate:
    """The answer of what was not begun; none of its own: None may be one."""


_TOO_LATE = _TooLate()


class Bounded(Generic[T, R]):
    """A lane on a session; nobody waits in it for longer than `BOUND_S`, and nothing is begun for who has left."""

    def __init__(self, session: Session, work: Callable[[Sequence[T]], Sequence[R]], name: str) -> None:
        self._session = session
        self._work = work
        self._lane: Lane[tuple[T, float], R | _TooLate] = Lane(self._in_time, name=name)

    async def submit(self, item: T, *, yields: bool = False) -> R:
        """The result, or OursError (`store_unavailable`). `yields`: `store.lane`."""
        asked, patience = (item, time.monotonic() + BOUND_S), 2 * BOUND_S if yields else None
        try:
            async with asyncio.timeout(BOUND_S):
                found = await self._lane.submit(asked, within=patience, yields=yields)
        except TimeoutError:
            self._session.abort()
            found = _TOO_LATE
        if isinstance(found, _TooLate):
            raise OursError(Reason.STORE_UNAVAILABLE, "the database did not answer in time")
        return found

    def refuses(self, *, yields: bool) -> bool:
        """Whether `submit` would refuse at once."""
        return yields and self._lane.refuses(2 * BOUND_S, yields=True)

    def _in_time(self, batch: Sequence[tuple[T, float]]) -> list[R | _TooLate]:
        now = time.monotonic()
        results = iter(self._work(wanted) if (wanted := [item for item, ends in batch if ends > now]) else ())
        return [next(results) if ends > now else _TOO_LATE for _, ends in batch]

    def close(self) -> None:
        """Ends the thread and its connection."""
        self._lane.close()
        self._session.close()


class PostgresEvents:
    """The log of one worker: `ports.Contexts`, `ports.SpentTokens`, `ports.AsyncLog`."""

    def __init__(self, url: str, contexts_of: ContextsOf, projectors: Sequence[InlineProjector]) -> None:
        self.contexts, self.key_store = self, PostgresInstallKeys(self)
        contexts, reader = Session(url), PostgresLog(url, bounded=True)
        writer = PostgresLog(url, projectors, bounded=True)
        self._contexts: Bounded[tuple[str, str], Tenant | None] = Bounded(
            contexts, lambda asked: contexts_of(contexts, asked), "contexts"
        )
        self._appends: Bounded[Append, AppendResult] = Bounded(writer.session, writer.append, "log")
        self._reads: Bounded[Callable[[PostgresLog], Any], Any] = Bounded(
            reader.session, lambda asked: [_answered(question, reader) for question in asked], "reads"
        )

    async def get(self, app_key: str, client_key: str) -> Tenant | None:
        """The tenant as of a commit after the call."""
        return await self._contexts.submit((app_key, client_key))

    async def append(self, request: Append, *, within: float = BOUND_S, yields: bool = False) -> AppendResult:
        """Flushed and in force when it returns; however long it may take, not longer than `BOUND_S`."""
        return await self._appends.submit(request, yields=yields)

    def refuses(self, within: float = BOUND_S, *, yields: bool = False) -> bool:
        """`ports.AsyncLog`."""
        return self._appends.refuses(yields=yields)

    async def spent(self, fingerprint: str) -> Spend | None:
        """What the spent list says of a token."""
        found: Spend | None = await self.ask(lambda log: log.spent(fingerprint))
        return found

    async def ask(self, question: Callable[[PostgresLog], Any]) -> Any:
        """Any other read, made on the reading thread; what it raises becomes OursError."""
        answer = await self._reads.submit(question)
        if isinstance(answer, Exception):
            raise OursError(Reason.STORE_UNAVAILABLE, type(answer).__name__) from answer
        return answer

    def close(self) -> None:
        """Writes what is queued and closes the connections."""
        for lane in (self._appends, self._reads, self._contexts):
            lane.close()


class PostgresInstallKeys:
    """Install keys that any process fetched, by host and kid."""

    def __init__(self, store: PostgresEvents) -> None:
        self._store = store

    async def get(self, host: str, kid: str) -> str | None:
        """The PEM text that host gave for the kid."""
        sql = "SELECT pem FROM install_keys WHERE host = ? AND kid = ?"
        row = await self._store.ask(lambda log: log.connection.execute(sql, (host, kid)).fetchone())
        return row[0] if row else None

    async def put(self, host: str, kid: str, pem: str) -> None:
        """Keeps a key in place of one that is no key; that it could not be kept only costs asking again."""
        # a standby that is away must not keep the lane's other questions waiting for this
        sql = (
            "INSERT INTO install_keys SELECT ?, ?, ?, ? FROM set_config('synchronous_commit', 'off', true) "
            "ON CONFLICT (host, kid) DO UPDATE SET pem = excluded.pem, fetched_at = excluded.fetched_at"
        )
        await self._store.ask(lambda log: bool(log.connection.execute(sql, (host, kid, pem, utc_now()))))


def _answered(question: Callable[[PostgresLog], Any], log: PostgresLog) -> Any:
    # one question that fails leaves the others of its batch alone
    try:
        return question(log)
    except Exception as error:
        return error
