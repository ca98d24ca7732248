"""Where decisions lie, behind one face: a file, or a database of PostgreSQL."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg
import pysqlite3

from support.postgres import Cluster
from tenure.decision_stores import alarm_book_of, decision_reads_of, decisions_of, digests_of, sweeper_of
from tenure.projections.security_context import schema
from tenure.settings import StoreSettings
from tenure.store.alarms import AlarmBook
from tenure.store.decision_desk import DecisionDesk
from tenure.store.decision_digest import DecisionDigests
from tenure.store.decision_reads import COLUMNS
from tenure.store.decision_writer import DecisionLane, Decisions
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster
from tenure.store.pace import Pace
from tenure.store.postgres import log as postgres
from tenure.store.postgres.decision_service import PostgresDesk
from tenure.store.postgres.decisions import PostgresDecisions
from tenure.store.sweeper import Retention, Sweeper
from tenure.store.vault import Vault
from tenure.store.veil import Veil

DAYS, QUOTA = 3650, 1 << 30
ROW = ("number", *COLUMNS)


class DecisionStore:
    """An empty store of decisions, with the app's own veil."""

    name = ""
    settings: StoreSettings

    def __init__(self, folder: Path) -> None:
        self._vault, beside = (Vault(KeyFile(folder / "keys.db"), GivenMaster(b"k" * 32)) for _ in range(2))
        self.veil, self.ahead = Veil(self._vault, "app"), Veil(beside, "app")
        self._opened: list[Any] = [self._vault, beside]

    def kept(self, made: Any) -> Any:
        """Closed with the store."""
        self._opened.append(made)
        return made

    def open(self, veil: Veil | None = None) -> Decisions:
        """The writing end, on a connection of its own."""
        raise NotImplementedError

    def desk(self) -> DecisionDesk:
        """A worker's both ends; the caller closes it."""
        raise NotImplementedError

    def foreign(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        """Runs a statement (parameters as `?`) as any other tool would."""
        raise NotImplementedError

    def fill(self, rows: list[tuple[Any, ...]]) -> None:
        """Puts rows (`ROW`) there as if they had been recorded."""
        raise NotImplementedError

    def reader(self) -> Decisions:
        """The reading end, on a connection of its own."""
        found: Decisions = self.kept(decision_reads_of(self.settings))
        return found

    def plain(self) -> Decisions:
        """The writing end of a command, without a veil."""
        found: Decisions = self.kept(decisions_of(self.settings))
        return found

    def digests(self) -> DecisionDigests:
        """What counts and digests."""
        found: DecisionDigests = self.kept(digests_of(self.settings))
        return found

    def book(self) -> AlarmBook:
        """The alarms' writing end."""
        found: AlarmBook = self.kept(alarm_book_of(self.settings))
        return found

    def sweeper(
        self, *, days: int = DAYS, quota: int = QUOTA, believed: Callable[[], bool] = lambda: True
    ) -> tuple[Sweeper, list[int]]:
        """A sweeper that is not running, and the alarms it raises."""
        alarms: list[int] = []
        made = sweeper_of(self.settings, Retention(days, quota), lambda used, _: alarms.append(used), believed, Pace())
        return self.kept(made), alarms

    def swept(self, **options: Any) -> list[int]:
        """Sweeps once; the alarms raised."""
        made, alarms = self.sweeper(**options)
        made.sweep()
        return alarms

    def close(self) -> None:
        """Closes what was opened."""
        for one in reversed(self._opened):
            one.close()


class DecisionsOnDisk(DecisionStore):
    """`decisions.db` in a folder."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "decisions.db"
        self.settings = StoreSettings(database_url=str(folder / "events.db"))
        open_decisions(self.path)

    def open(self, veil: Veil | None = None) -> Decisions:
        """`DecisionStore.open`."""
        found: Decisions = self.kept(SqliteDecisions(self.path, veil=veil or self.veil))
        return found

    def desk(self) -> DecisionDesk:
        """`DecisionStore.desk`."""
        reads = SqliteDecisions(self.path, read_only=True)
        return DecisionDesk(DecisionLane(SqliteDecisions(self.path, veil=self.veil), self.ahead), reads, reads.close)

    def foreign(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        """`DecisionStore.foreign`."""
        connection = pysqlite3.connect(str(self.path), isolation_level=None)
        connection.execute(statement, tuple(parameters))
        connection.close()

    def fill(self, rows: list[tuple[Any, ...]]) -> None:
        """`DecisionStore.fill`."""
        connection = pysqlite3.connect(str(self.path))
        marks = ", ".join("?" * len(ROW))
        connection.executemany(f"INSERT INTO decisions ({', '.join(ROW)}) VALUES ({marks})", rows)
        connection.commit()
        connection.close()


class DecisionsInPostgres(DecisionStore):
    """A database of a PostgreSQL server."""

    name = "postgres"

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        super().__init__(folder)
        self.url = cluster.url(cluster.database())
        self.settings = StoreSettings(database_url=self.url)
        postgres.open_log(self.url, [schema("postgres")])

    def open(self, veil: Veil | None = None) -> Decisions:
        """`DecisionStore.open`."""
        found: Decisions = self.kept(PostgresDecisions(self.url, veil=veil or self.veil, bounded=True))
        return found

    def desk(self) -> DecisionDesk:
        """`DecisionStore.desk`."""
        return PostgresDesk(self.url, self.veil, self.ahead)

    def foreign(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        """`DecisionStore.foreign`."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.replace("?", "%s").encode(), tuple(parameters) or None)

    def fill(self, rows: list[tuple[Any, ...]]) -> None:
        """`DecisionStore.fill`."""
        marks = ", ".join(["%s"] * len(ROW))
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO decisions ({', '.join(ROW)}) VALUES ({marks})".encode(), rows)
            cursor.execute("UPDATE decision_head SET number = %s", [max(row[0] for row in rows)])
