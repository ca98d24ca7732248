"""Install keys that were fetched, by host and kid, kept across restarts beside the log.

Whoever can write there must not be able to add a key, because an install key speaks for every tenant. So what is
kept is the PEM text and, on a line of its own behind it, an HMAC of host, kid and PEM under a key of the vault; a row
whose HMAC does not hold is as none: the host is asked, and its answer takes the row's place.
"""

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tenure.store.clock import utc_now
from tenure.store.connection import connect, writing
from tenure.store.lane import Lane
from tenure.store.vault import Sealing

OWN = " install keys"  # no client key can be this


class Kept(Protocol):
    """Where rows are kept."""

    async def get(self, host: str, kid: str) -> str | None: ...

    async def put(self, host: str, kid: str, pem: str) -> None: ...


class VouchedKeys:
    """Install keys, each with its HMAC. One thread at a time."""

    def __init__(self, kept: Kept, vault: Sealing, app_key: str) -> None:
        self._kept = kept
        self._vault = vault
        self._app_key = app_key
        vault.ensure_key(app_key, OWN)

    async def get(self, host: str, kid: str) -> str | None:
        """The PEM text that host gave for the kid; None if there is none that was kept by us."""
        pem, _, mac = (await self._kept.get(host, kid) or "").rstrip("\n").rpartition("\n")
        return pem if pem and hmac.compare_digest(mac.encode(), self._mac(host, kid, pem).encode()) else None

    async def put(self, host: str, kid: str, pem: str) -> None:
        """Keeps a key in place of whatever was kept."""
        pem = pem.rstrip("\n")
        await self._kept.put(host, kid, f"{pem}\n{self._mac(host, kid, pem)}\n")

    def _mac(self, host: str, kid: str, pem: str) -> str:
        return self._vault.mac(self._app_key, OWN, "install key", host, kid, pem)


class SqliteInstallKeys:
    """Reads on one connection; writes on one of their own, off the event loop, several in a transaction."""

    def __init__(self, path: Path) -> None:
        self._reader, self._writer = connect(path), connect(path)
        self._lane: Lane[tuple[str, str, str], None] = Lane(self._put, name="install keys")

    def close(self) -> None:
        """Writes what is queued and closes the connections."""
        self._lane.close()
        self._reader.close()
        self._writer.close()

    async def get(self, host: str, kid: str) -> str | None:
        """The PEM text that host gave for the kid."""
        row = self._reader.conn.execute(
            "SELECT pem FROM install_keys WHERE host = ? AND kid = ?", (host, kid)
        ).fetchone()
        return row[0] if row else None

    async def put(self, host: str, kid: str, pem: str) -> None:
        """Keeps a key; that it could not be kept only costs asking again."""
        await self._lane.submit((host, kid, pem))

    def _put(self, batch: Sequence[tuple[str, str, str]]) -> list[None]:
        with writing(self._writer):
            self._writer.conn.executemany(
                "INSERT OR REPLACE INTO install_keys VALUES (?, ?, ?, ?)", [(*row, utc_now()) for row in batch]
            )
        return [None] * len(batch)
