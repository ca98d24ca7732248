"""A database's side of moving house (`store.decision_copying`), on the connection of its log."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tenure.store.decision_copying import Side
from tenure.store.postgres.session import Session
from tenure.store.postgres.slices import BEGIN, Slice, make_next, width


def postgres_side(session: Session) -> Side:
    """The decisions beside a log."""

    def writing() -> AbstractContextManager[Any]:
        return session.transaction(BEGIN)

    def last() -> int:
        return int(session.execute("SELECT number FROM decision_head").fetchone()[0])

    return Side(session.execute, writing, last, _skipping(session))


def _skipping(session: Session) -> Callable[[int], None]:
    def skip(number: int) -> None:
        numbers = width(session)
        # there is no decision yet, so the slices made ahead are empty, and begin behind the number instead
        for verdict, first in session.execute("SELECT verdict, first FROM decision_slices").fetchall():
            session.statement(f"DROP TABLE {Slice(verdict, first, 0).name}")
        session.execute("DELETE FROM decision_slices")
        session.execute("UPDATE decision_head SET number = ?", (number,))
        make_next(session, number + 1, number + 1 + numbers)

    return skip
