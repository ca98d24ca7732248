"""Keeps the decision log within its bounds, from a thread of its own: checkpoints, retention by age and by size, alarm.

Runs in every worker; what two do at once is harmless. Rows go in small transactions, so that no batch waits for long.
Past the quota the oldest refusals go first as long as they are more than a quarter of all rows, then the oldest of
all: accepted decisions always have room. `counts` lose what was kept with the rows, and go whole with their age;
`totals` never go. Space freed is used again, the file does not shrink. Too old is whatever was committed before the
first decision that is not: a time that a wrong clock gave keeps nothing and takes nothing along that is younger. While
the clock is not `believed` nothing goes for its age. How far each verdict's went is noted as it goes (`let_go`), so
that what was removed otherwise is told apart (`store.decision_digest`).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tenure.domain.times import stored_at
from tenure.store.connection import connect, writing
from tenure.store.decision_reads import FAILED_TOKENS_S, DecisionReads
from tenure.store.decisions import DELIVERIES_KEPT_S
from tenure.store.pace import Pace

CHUNK = 500
ALARM = 0.8
CHECKPOINT_EVERY_S = 0.5
SWEEP_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long decisions are kept (days) and how many bytes the file may use."""

    days: int
    quota: int


class Keeper:
    """Sweeps one `decisions.db`. `alarm` is called with bytes used and the quota when 80 % is passed."""

    def __init__(
        self,
        path: Path,
        retention: Retention,
        alarm: Callable[[int, int], None],
        believed: Callable[[], bool] = lambda: True,
        pace: Pace | None = None,
    ) -> None:
        self._path = path
        self._believed = believed
        self._pace = pace or Pace()
        self._wal = Path(f"{path}-wal")
        self._retention = retention
        self._alarm = alarm
        self._alarmed = False
        self._ended = threading.Event()
        self._database = connect(path, synchronous="NORMAL")
        self._execute = self._database.conn.execute
        self._execute("PRAGMA secure_delete=ON")
        self._reads = DecisionReads(self._execute)
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begins to sweep."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and closes the connection."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._database.close()

    def _run(self) -> None:
        swept = 0.0
        while not self._ended.wait(CHECKPOINT_EVERY_S):
            try:
                self._checkpoint()
                if time.monotonic() - swept > SWEEP_EVERY_S:
                    swept = time.monotonic()
                    self.sweep()
            except (OSError, self._database.conn.Error):
                continue  # busy or full: the next round tries again, and what cannot be written is seen by the writer

    def _checkpoint(self) -> None:
        if self._pace.due(self._wal.stat().st_size):
            with self._pace.measured():
                self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def sweep(self) -> None:
        """Removes what is too old, and the oldest while the file is over its quota; raises the alarm at 80 %."""
        now = time.time()
        if self._believed():
            self._forget(now)
            first_kept = self._first_kept(now)
            while not self._ended.is_set() and self._remove("number < ?", first_kept):
                pass
        used, _ = self._reads.size()
        self._sound(used)
        while used > self._retention.quota and not self._ended.is_set():
            if not self._remove_oldest():
                return
            used, _ = self._reads.size()

    def _first_kept(self, now: float) -> int:
        """The number of the first decision that is not too old: of a time between then and now."""
        edge = stored_at(now - self._retention.days * 86400)
        # the plus keeps the planner on the numbers: the first that fits ends the walk
        row = self._execute(
            "SELECT number FROM decisions WHERE +at >= ? AND +at <= ? ORDER BY number LIMIT 1", (edge, stored_at(now))
        ).fetchone()
        if row is not None:
            return int(row[0])
        (last,) = self._execute("SELECT max(number) FROM decisions WHERE at < ?", (edge,)).fetchone()
        return (last or 0) + 1

    def _sound(self, used: int) -> None:
        over = used >= ALARM * self._retention.quota
        if over and not self._alarmed:
            self._alarm(used, self._retention.quota)
        self._alarmed = over

    def _remove_oldest(self) -> int:
        rows = self._execute("SELECT count(*) FROM decisions").fetchone()[0]
        refused = self._execute("SELECT count(*) FROM decisions WHERE verdict = 'refused'").fetchone()[0]
        return self._remove("verdict = 'refused'" if refused * 4 > rows else "1")

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

    def _forget(self, now: float) -> None:
        self._execute("DELETE FROM failed_tokens WHERE at < ?", (now - FAILED_TOKENS_S,))
        self._execute("DELETE FROM deliveries WHERE taken_at < ?", (now - DELIVERIES_KEPT_S,))
        self._execute("DELETE FROM deliveries WHERE taken_at IS NULL AND claimed_until < ?", (now - 3600,))
        for table in ("counts", "hours"):
            edge = stored_at(now - self._retention.days * 86400)[:13]
            self._execute(f"DELETE FROM {table} WHERE hour < ?", (edge,))
