"""What is asked of the decisions in PostgreSQL in words of its own: their digests, and the alarms' writing end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tenure.store.alarms import AlarmBook
from tenure.store.decision_digest import PERSONAL_COLUMN, DecisionDigests
from tenure.store.dialect import POSTGRES
from tenure.store.postgres.decisions import bare
from tenure.store.postgres.session import Session
from tenure.store.postgres.slices import BEGIN
from tenure.store.tally import Execute

_PAGE = 1000
_COLUMNS = (
    "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('decisions') AND attnum > 0 "
    "AND NOT attisdropped ORDER BY attnum"
)


class PostgresDigests(DecisionDigests):
    """Reads the decisions of a database."""

    def __init__(self, url: str) -> None:
        session = Session(url, bounded=False, read_only=True)
        super().__init__(session.execute, session.close)

    def columns(self) -> tuple[str, ...]:
        """`DecisionDigests.columns`."""
        return tuple(row[0] for row in self._execute(_COLUMNS) if row[0] != PERSONAL_COLUMN)

    def _rows(self, after: int, until: int, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        sql = (
            f"SELECT verdict = 'refused', number, {', '.join(columns)} FROM decisions "
            f"WHERE number > ? AND number <= ? ORDER BY number LIMIT {_PAGE}"
        )
        places = [2 + place for place, name in enumerate(columns) if name == "facts"]
        # by pages: a client holds a whole result in memory
        while rows := self._execute(sql, (after, until)).fetchall():
            for row in rows:
                yield tuple(bare(piece) if place in places else piece for place, piece in enumerate(row))
            after = rows[-1][1]

    def _last_given(self) -> int:
        return int(self._execute("SELECT number FROM decision_head").fetchone()[0])


def postgres_book(url: str) -> AlarmBook:
    """The alarms' writing end in a database."""
    session = Session(url)

    @contextmanager
    def transaction() -> Iterator[Execute]:
        with session.transaction(BEGIN):
            yield session.execute

    return AlarmBook(session.execute, POSTGRES, transaction, session.close)
