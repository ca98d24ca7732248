"""Keeps the decisions of a database within their bounds (`store.sweeper`): by whole slices, one sweeper at a time.

A slice has room for about a sixteenth of the quota. It is let go when all in it is too old, or for want of room. What
else is older than DECISIONS_DAYS by a thirtieth of them goes row by row: few in a log whose slices last for longer than
that, none in one whose slices do not. The quota is held to the slices' sizes, indexes included.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import Error

from tenure.domain.times import stored_at
from tenure.store.decision_batch import DELIVERIES_KEPT_S
from tenure.store.decision_reads import FAILED_TOKENS_S
from tenure.store.dialect import POSTGRES
from tenure.store.postgres.session import Session
from tenure.store.postgres.slices import BEGIN, LET_GO, VERDICTS, Slices, subtract
from tenure.store.sweeper import CHUNK, DAY_S, Alarm, Retention, Sweeper

OF_DAYS, OF_QUOTA = 30, 16
ROW_BYTES = 1024
WIDTHS = 1000, 10_000_000
_ONE_AT_A_TIME = "SELECT pg_try_advisory_lock(hashtextextended('tenure decisions of ' || current_schema(), 0))"
_OVER = "SELECT pg_advisory_unlock(hashtextextended('tenure decisions of ' || current_schema(), 0))"
_EXPIRED = {
    "failed_tokens": "at < ?",
    "deliveries": "(taken_at < ? OR (taken_at IS NULL AND claimed_until < ?))",
    "counts": "hour < ?",
    "hours": "hour < ?",
}
_EXPIRED_AT_ONCE = 2000


class PostgresKeeper(Sweeper):
    """Sweeps the decisions of one database."""

    errors = (OSError, Error)

    def __init__(
        self, url: str, retention: Retention, alarm: Alarm, believed: Callable[[], bool] = lambda: True
    ) -> None:
        self._session = Session(url)
        self._slices = Slices(self._session)
        super().__init__(retention, alarm, believed, self._session.execute, POSTGRES)
        least, most = WIDTHS
        self._width = max(least, min(most, retention.quota // OF_QUOTA // ROW_BYTES))

    def sweep(self) -> None:
        """`Sweeper.sweep`, unless another process does just now."""
        with self._one_at_a_time() as ours:
            if ours:
                self._slices.make_ahead(self._width)
                self._slices.finish()
                super().sweep()
                self._slices.finish()

    @contextmanager
    def _one_at_a_time(self) -> Iterator[bool]:
        # the server frees the lock of a connection that is lost
        ours = bool(self._execute(_ONE_AT_A_TIME).fetchone()[0])
        try:
            yield ours
        finally:
            if ours:
                self._execute(_OVER)

    def _shut(self) -> None:
        self._session.close()

    def _used(self) -> int:
        return sum(one.size for one in self._slices.listing())

    def _remove_old(self, now: float) -> None:
        days, (number, _) = self._retention.days * DAY_S, self._slices.head()
        first_kept = self._first_kept(now, days)
        for one in self._slices.listing():
            if one.until - 1 <= number and (one.until <= first_kept or not self._slices.last(one)):
                self._slices.let_go(one)
        overdue = self._first_kept(now, days + days / OF_DAYS)
        while not self._ended.is_set() and self._remove(overdue):
            pass

    def _remove(self, first_kept: int) -> int:
        rows = f"(SELECT * FROM decisions WHERE number < {first_kept} ORDER BY number LIMIT {CHUNK}) AS few"
        if self._execute(f"SELECT 1 FROM {rows} LIMIT 1").fetchone() is None:
            return 0
        with self._session.transaction(BEGIN):
            subtract(self._session, rows)
            gone = self._execute(
                f"DELETE FROM decisions d USING {rows} WHERE d.number = few.number AND d.verdict = few.verdict "
                "RETURNING d.verdict, d.number"
            ).fetchall()
            for verdict in VERDICTS:
                if numbers := [number for of, number in gone if of == verdict]:
                    self._execute(LET_GO, (verdict, max(numbers)))
        return len(gone)

    def _remove_oldest(self) -> bool:
        slices = self._slices.listing()
        refused = sum(one.size for one in slices if one.verdict == "refused")
        first = "refused" if refused * 4 > sum(one.size for one in slices) else ""
        # the slices of one verdict before the other's, or both by their age; what has no decision is no help
        for one in sorted(slices, key=lambda one: (bool(first) and one.verdict != first, one.first)):
            if self._slices.last(one):
                self._slices.close(one)
                return self._slices.let_go(one)
        return False

    def _forget(self, now: float) -> None:
        hour = stored_at(now - self._retention.days * DAY_S)[:13]
        given: dict[str, tuple[object, ...]] = {
            "failed_tokens": (now - FAILED_TOKENS_S,), "deliveries": (now - DELIVERIES_KEPT_S, now - 3600),
            "counts": (hour,), "hours": (hour,),
        }  # fmt: skip
        for table, where in _EXPIRED.items():
            some = f"SELECT ctid FROM {table} WHERE {where} LIMIT {_EXPIRED_AT_ONCE}"
            while self._execute(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1", given[table]).fetchone():
                with self._session.transaction(BEGIN):
                    self._execute(f"DELETE FROM {table} WHERE ctid IN ({some})", given[table])
