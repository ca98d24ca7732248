"""A second table of security contexts beside the live one, filled in short transactions and put in its place at once.

The table and its indexes are made empty under names of their own; a swap renames both tables in one transaction, so
that readers see the old rows or the new ones, and statements prepared on other connections are prepared again by
SQLite. What was live is emptied in short transactions, too: dropping a large table takes the write lock for as long as
it has pages.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlite_utils import Database

from tenure.store.connection import statements, writing

LIVE, BESIDE, FORMER = "security_contexts", "security_contexts_beside", "security_contexts_former"
CHUNK = 500
_Noted = TypeVar("_Noted")
_OF_LIVE = re.compile(rf"CREATE (TABLE {LIVE}|INDEX \w+ ON {LIVE})\b")


class SideTable:
    """`schema` is the projection's own."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._execute = database.conn.execute
        self._schema = schema

    def make(self, generation: int) -> None:
        """An empty table beside the live one; what an interrupted run left is taken away first. `generation` is the
        least number that may end its indexes' names.
        """
        self.clear()
        made = [line for line in statements(self._schema) if _OF_LIVE.match(line)]
        while self._execute("SELECT 1 FROM sqlite_master WHERE name LIKE ?", (f"{LIVE}%_{generation}",)).fetchone():
            generation += 1
        with writing(self._database):
            for line in made:
                text = re.sub(rf"CREATE TABLE {LIVE}\b", f"CREATE TABLE {BESIDE}", line)
                text = re.sub(
                    rf"CREATE INDEX ({LIVE}_\w+) ON {LIVE}\b", rf"CREATE INDEX \1_{generation} ON {BESIDE}", text
                )
                self._execute(text)

    def fill(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Puts rows in, in a transaction of their own."""
        with writing(self._database):
            self.put(rows)

    def put(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Puts rows in, within a transaction that is open."""
        for row in rows:
            self._execute(f"INSERT OR REPLACE INTO {BESIDE} VALUES ({', '.join('?' * len(row))})", row)

    def swap(self, catch_up: Callable[[], None], note: Callable[[], _Noted]) -> _Noted:
        """Takes the write lock, catches up to the head, and puts the table in the live one's place; `note` tells of it
        in the same transaction.
        """
        with writing(self._database):
            catch_up()
            self._execute(f"ALTER TABLE {LIVE} RENAME TO {FORMER}")
            self._execute(f"ALTER TABLE {BESIDE} RENAME TO {LIVE}")
            noted = note()
        self.clear()
        return noted

    def clear(self) -> None:
        """Takes away the tables that are not live, in short transactions."""
        for name in (BESIDE, FORMER):
            if not self._execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone():
                continue
            taken = CHUNK
            while taken == CHUNK:
                with writing(self._database):
                    keys = f"SELECT app_key, client_key FROM {name} LIMIT {CHUNK}"
                    taken = self._execute(f"DELETE FROM {name} WHERE (app_key, client_key) IN ({keys})").rowcount
            with writing(self._database):
                self._execute(f"DROP TABLE {name}")
