"""Install keys that were fetched, by host and kid, kept across restarts in the log's file."""

from asyncio import to_thread
from pathlib import Path

from tenure.store.connection import connect
from tenure.store.sqlite import utc_now


class SqliteInstallKeys:
    """Reads on one connection; writes on one of their own, off the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = connect(path)

    def close(self) -> None:
        """Closes the reading connection."""
        self._database.close()

    async def get(self, host: str, kid: str) -> str | None:
        """The PEM text that host gave for the kid."""
        row = self._database.conn.execute(
            "SELECT pem FROM install_keys WHERE host = ? AND kid = ?", (host, kid)
        ).fetchone()
        return row[0] if row else None

    async def put(self, host: str, kid: str, pem: str) -> None:
        """Keeps a key; that it could not be kept only costs asking again."""
        await to_thread(self._put, host, kid, pem)

    def _put(self, host: str, kid: str, pem: str) -> None:
        database = connect(self._path)
        try:
            database.conn.execute("INSERT OR IGNORE INTO install_keys VALUES (?, ?, ?, ?)", (host, kid, pem, utc_now()))
        finally:
            database.close()
