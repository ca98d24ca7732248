"""The slices that decisions lie in: made ahead, let go whole, their counts taken out afterwards.

A slice has the decisions of one verdict and of a span of numbers; both verdicts' are made together. Who records a
decision that has no slice yet makes the next ones in the same transaction, so that none is ever without a place; the
sweeper makes them ahead, so that this hardly happens. It takes no lock that a reader or a writer would wait for.

One that is let go is detached with the head held, which is done in a moment, and that moment notes how far its verdict
went (`let_go`). It stays as a table of its own until what was kept in it is taken out of the counts, some thousand rows
at a time, each with a note of how far: whoever is killed in between leaves the rest to the next. Then it is dropped.
Nobody waits for long: who cannot have `decisions` to himself within 50 ms (a reader is there, or a `pg_dump` for as
long as it runs) leaves it for the next round.
"""

from dataclasses import dataclass

from psycopg.errors import LockNotAvailable

from tenure.store.postgres.session import Session

SUBTRACTED_AT_ONCE = 2000
VERDICTS = ("accepted", "refused")
# its row has: the last number, the first without a slice, the last that is sealed, the transaction's id
BEGIN = (
    b"BEGIN; SELECT number, ends, sealed, pg_current_xact_id()::text, set_config('synchronous_commit', 'off', true) "
    b"FROM decision_head WHERE id = 1 FOR UPDATE"
)
_TABLE = "to_regclass(format('decisions_%s_%s', verdict, first))"
_SIZED = (
    f"SELECT verdict, first, until, pg_total_relation_size({_TABLE})::bigint FROM decision_slices "
    f"WHERE NOT let_go AND {_TABLE} IS NOT NULL ORDER BY first"
)
_LEFT = (
    "SELECT verdict, first, until, subtracted FROM decision_slices "
    f"WHERE let_go AND {_TABLE} IS NOT NULL ORDER BY first, verdict"
)
# what was kept of a table's rows goes out of both tables of counters
_SUBTRACT = (
    "UPDATE {counters} c SET kept = c.kept - g.kept FROM (SELECT {columns}, count(*) AS kept FROM "
    "(SELECT substr(at, 1, 13) AS hour, * FROM {rows}) AS r GROUP BY {columns}) AS g WHERE {same}"
)
_KEYS = {
    "counts": ("hour", "client_key", "kind", "verdict", "reason"),
    "hours": ("hour", "kind", "verdict", "reason"),
}
LET_GO = (
    "INSERT INTO let_go VALUES (?, ?) ON CONFLICT (verdict) DO UPDATE SET until = excluded.until "
    "WHERE excluded.until > let_go.until"
)


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice of a verdict's decisions; `until` is no more of it; `size` is bytes, indexes included."""

    verdict: str
    first: int
    until: int
    size: int = 0

    @property
    def name(self) -> str:
        """The table's."""
        return f"decisions_{self.verdict}_{self.first}"


def make_next(session: Session, ends: int, until: int) -> None:
    """Makes the slices of both verdicts for the numbers from `ends` on and before `until`; the head is held."""
    for verdict in VERDICTS:
        one = Slice(verdict, ends, until)
        session.statement(f"CREATE TABLE {one.name} (LIKE decisions)")
        session.statement(
            f"ALTER TABLE decisions ATTACH PARTITION {one.name} "
            f"FOR VALUES FROM ('{verdict}', {ends}) TO ('{verdict}', {until})"
        )
        session.execute("INSERT INTO decision_slices VALUES (?, ?, ?, false, 0)", (verdict, ends, until))
    session.execute("UPDATE decision_head SET ends = ?", (until,))


def width(session: Session) -> int:
    """How many numbers the newest slice has."""
    row = session.execute("SELECT until - first FROM decision_slices ORDER BY first DESC LIMIT 1").fetchone()
    return int(row[0])


class Slices:
    """The slices of a database, on a session of the sweeper's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._execute = session.execute

    def listing(self) -> list[Slice]:
        """All that decisions lie in, the oldest first; not what somebody else has dropped."""
        return [Slice(*row) for row in self._execute(_SIZED)]

    def last(self, one: Slice) -> int:
        """The number of the last decision in a slice; 0 if there is none."""
        row = self._execute(f"SELECT max(number) FROM {one.name}").fetchone()
        return int(row[0] or 0)

    def head(self) -> tuple[int, int]:
        """The last number given, and the first that no slice is made for."""
        row = self._execute("SELECT number, ends FROM decision_head").fetchone()
        return row[0], row[1]

    def make_ahead(self, numbers: int) -> None:
        """Makes the next slices, of so many numbers, once half of the last ones' are given."""
        number, ends = self.head()
        if number + min(numbers, width(self._session)) // 2 < ends - 1:
            return
        with self._session.transaction(BEGIN) as (_, there, *_):
            if there == ends:
                make_next(self._session, ends, ends + numbers)

    def close(self, one: Slice) -> None:
        """Has the numbers go on behind a slice: the rest of its own are never given."""
        with self._session.transaction(BEGIN) as (number, ends, *_):
            if ends <= one.until:
                make_next(self._session, ends, ends + one.until - one.first)
            if number < one.until - 1:
                self._execute("UPDATE decision_head SET number = ?", (one.until - 1,))

    def let_go(self, one: Slice) -> bool:
        """Takes a slice that gets no more out of the decisions and notes it; False if somebody was in the way."""
        try:
            with self._session.transaction(BEGIN) as (number, *_):
                return number >= one.until - 1 and self._detached(one)
        except LockNotAvailable:
            return False

    def _detached(self, one: Slice) -> bool:
        if not self._still("NOT let_go", one):
            return False
        self._alone()
        self._session.statement(f"ALTER TABLE decisions DETACH PARTITION {one.name}")
        self._execute("UPDATE decision_slices SET let_go = true WHERE verdict = ? AND first = ?",
                      (one.verdict, one.first))  # fmt: skip
        last = self.last(one)
        if last:
            self._execute(LET_GO, (one.verdict, last))
        return True

    def finish(self) -> None:
        """Takes what was kept in slices that were let go out of the counts, and drops them."""
        for *slice_, done in self._execute(_LEFT).fetchall():
            one = Slice(*slice_)
            while (done := self._subtract(one, done)) is not None:
                pass
            self._drop(one)

    def _subtract(self, one: Slice, done: int) -> int | None:
        rows = f"(SELECT * FROM {one.name} WHERE number > {done} ORDER BY number LIMIT {SUBTRACTED_AT_ONCE}) AS few"
        until = self._execute(f"SELECT max(number) FROM {rows}").fetchone()[0]
        if until is None:
            return None
        with self._session.transaction(BEGIN):
            # who came first has done it
            if not self._still("let_go AND subtracted = ?", one, done):
                return None
            subtract(self._session, rows)
            self._execute("UPDATE decision_slices SET subtracted = ? WHERE verdict = ? AND first = ?",
                          (until, one.verdict, one.first))  # fmt: skip
        return int(until)

    def _drop(self, one: Slice) -> None:
        with self._session.transaction(BEGIN):
            if self._still(f"let_go AND subtracted >= (SELECT coalesce(max(number), 0) FROM {one.name})", one):
                self._session.statement(f"DROP TABLE {one.name}")
                self._execute("DELETE FROM decision_slices WHERE verdict = ? AND first = ?", (one.verdict, one.first))

    def _still(self, what: str, one: Slice, *parameters: int) -> bool:
        sql = f"SELECT 1 FROM decision_slices WHERE verdict = ? AND first = ? AND {what}"
        return self._execute(sql, (one.verdict, one.first, *parameters)).fetchone() is not None

    def _alone(self) -> None:
        self._execute("SELECT set_config('lock_timeout', '50ms', true)")
        self._session.statement("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE")


def subtract(session: Session, rows: str) -> None:
    """Takes some rows (an SQL subquery with a name) out of what the counters say is kept."""
    for counters, key in _KEYS.items():
        same = " AND ".join(f"c.{name} = g.{name}" for name in key)
        sql = _SUBTRACT.format(counters=counters, columns=", ".join(key), rows=rows, same=same)
        session.statement(sql)
