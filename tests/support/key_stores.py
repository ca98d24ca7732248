"""Where keys lie, behind one face: a file, or tables in PostgreSQL."""

import contextlib
from pathlib import Path

import psycopg

from support.postgres import Cluster
from tenure.projections.security_context import schema
from tenure.settings import StoreSettings
from tenure.store.key_database import KeyDatabase
from tenure.store.key_file import KeyFile
from tenure.store.postgres.keys import KeyTables
from tenure.store.postgres.log import open_log

KEY_TABLES = ("master_keys", "data_keys", "wrapped_keys", "erasures", "uncleaned", "signed_head", "api_tokens",
              "login_codes", "ended_sessions")  # fmt: skip


class KeysOnDisk:
    """`keys.db` in a folder."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.db"
        self.settings = StoreSettings(database_url=str(folder / "events.db"))
        self._opened: list[KeyDatabase] = []

    def open(self) -> KeyDatabase:
        """A connection of its own; closed with the store."""
        return self._kept(KeyFile(self.path))

    def open_read_only(self) -> KeyDatabase:
        """The same, not to be changed."""
        return self._kept(KeyFile(self.path, read_only=True))

    def _kept(self, made: KeyDatabase) -> KeyDatabase:
        self._opened.append(made)
        return made

    def holds(self, text: bytes) -> bool:
        """Whether the text lies there anywhere."""
        return any(text in path.read_bytes() for path in self.path.parent.glob("keys.db*"))

    def close(self) -> None:
        """Closes what was opened."""
        for one in self._opened:
            one.close()


class KeysInPostgres:
    """A database of a PostgreSQL server."""

    name = "postgres"

    def __init__(self, cluster: Cluster) -> None:
        self.url = cluster.url(cluster.database())
        self.settings = StoreSettings(database_url=self.url)
        open_log(self.url, [schema("postgres")])
        self._opened: list[KeyDatabase] = []

    def open(self) -> KeyDatabase:
        """A connection of its own; closed with the store."""
        return self._kept(KeyTables(self.url))

    def open_read_only(self) -> KeyDatabase:
        """The same, not to be changed."""
        return self._kept(KeyTables(self.url, read_only=True))

    def _kept(self, made: KeyDatabase) -> KeyDatabase:
        self._opened.append(made)
        return made

    def holds(self, text: bytes) -> bool:
        """Whether a row has the text."""
        return any(text in row for row in rows_of(self.url))

    def close(self) -> None:
        """Closes what was opened."""
        for one in self._opened:
            one.close()


KeyStore = KeysOnDisk | KeysInPostgres


def rows_of(url: str) -> list[bytes]:
    """Every row of the keys' tables, binary columns as they are."""
    with psycopg.connect(url) as connection:
        found = [row for name in KEY_TABLES for row in connection.execute(f"SELECT * FROM {name}".encode())]
    return [b" ".join(part if isinstance(part, bytes) else str(part).encode() for part in row) for row in found]


def wraps_of(database: KeyDatabase, key_id: str) -> list[bytes]:
    """The wraps of a data key."""
    return [row[0] for row in database.execute("SELECT wrapped FROM wrapped_keys WHERE key_id = ?", (key_id,))]


def killed(url: str, application: str = "tenure") -> None:
    """Ends every connection of the service to a database, as a failover does."""
    name = url.rpartition("/")[2]
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = %s",
            (name, application),
        )
