"""Keeps `decisions.db` within its bounds (`store.sweeper`), and makes its checkpoints.

Rows go in small transactions, so that no batch waits for long. Space freed is used again, the file does not shrink.
"""

from collections.abc import Callable
from pathlib import Path

from tenure.store.connection import connect, writing
from tenure.store.decisions import bytes_of
from tenure.store.dialect import SQLITE
from tenure.store.pace import Pace
from tenure.store.sweeper import CHUNK, DAY_S, Alarm, Retention, Sweeper


class Keeper(Sweeper):
    """Sweeps one `decisions.db`."""

    def __init__(
        self, path: Path, retention: Retention, alarm: Alarm, believed: Callable[[], bool] = lambda: True,
        pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._pace = pace or Pace()
        self._wal = Path(f"{path}-wal")
        self._database = connect(path, synchronous="NORMAL")
        self._database.execute("PRAGMA secure_delete=ON")
        self.errors = (OSError, self._database.conn.Error)
        super().__init__(retention, alarm, believed, self._database.conn.execute, SQLITE)

    def _shut(self) -> None:
        self._database.close()

    def _tend(self) -> None:
        if self._pace.due(self._wal.stat().st_size):
            with self._pace.measured():
                self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _used(self) -> int:
        return bytes_of(self._execute)[0]

    def _remove_old(self, now: float) -> None:
        first_kept = self._first_kept(now, self._retention.days * DAY_S)
        while not self._ended.is_set() and self._remove("number < ?", first_kept):
            pass

    def _remove_oldest(self) -> bool:
        rows = self._execute("SELECT count(*) FROM decisions").fetchone()[0]
        refused = self._execute("SELECT count(*) FROM decisions WHERE verdict = 'refused'").fetchone()[0]
        return bool(self._remove("verdict = 'refused'" if refused * 4 > rows else "true"))

    def _remove(self, where: str, *parameters: int) -> int:
        with writing(self._database):
            chosen = f"number IN (SELECT number FROM decisions WHERE {where} ORDER BY number LIMIT {CHUNK})"
            groups = self._execute(
                "SELECT count(*), substr(at, 1, 13), client_key, kind, verdict, reason FROM decisions "
                f"WHERE {chosen} GROUP BY 2, 3, 4, 5, 6",
                parameters,
            ).fetchall()
            for group in groups:
                self._execute(
                    "UPDATE counts SET kept = kept - ? WHERE hour = ? AND client_key = ? AND kind = ? "
                    "AND verdict = ? AND reason = ?",
                    group,
                )
            self._execute(
                f"INSERT INTO let_go SELECT verdict, max(number) FROM decisions WHERE {chosen} GROUP BY verdict "
                "ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
                parameters,
            )
            return int(self._execute(f"DELETE FROM decisions WHERE {chosen}", parameters).rowcount)
