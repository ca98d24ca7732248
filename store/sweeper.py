"""Keeps the decision log within its bounds, from a thread of its own: retention by age and by size, and the alarm.

Runs in every worker; what two do at once is harmless. Too old is whatever was committed before the first decision that
is not: a time that a wrong clock gave keeps nothing and takes nothing along that is younger. While the clock is not
`believed` nothing goes for its age. Past the quota the oldest refusals go first as long as they are more than a
quarter of all, then the oldest of all: accepted decisions always have room. `counts` lose what was kept with the rows,
and go whole with their age; `totals` never go. How far each verdict's went is noted as it goes (`let_go`), so that what
was removed otherwise is told apart (`store.decision_digest`). How rows go is each database's own
(`store.keeper`, `store.postgres.keeper`).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenure.domain.times import stored_at
from tenure.store.decision_batch import DELIVERIES_KEPT_S
from tenure.store.decision_reads import FAILED_TOKENS_S
from tenure.store.dialect import Dialect
from tenure.store.tally import Execute

ALARM = 0.8
TEND_EVERY_S = 0.5
SWEEP_EVERY_S = 10.0
CHUNK = 500
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long decisions are kept (days) and how many bytes they may use."""

    days: int
    quota: int


Alarm = Callable[[int, int], None]


class Sweeper:
    """`alarm` is called with bytes used and the quota when 80 % is passed."""

    errors: tuple[type[Exception], ...] = (OSError,)

    def __init__(
        self, retention: Retention, alarm: Alarm, believed: Callable[[], bool], execute: Execute, dialect: Dialect
    ) -> None:
        self._retention = retention
        self._alarm = alarm
        self._believed = believed
        self._execute = execute
        self._at = dialect.walked
        self._alarmed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begins to sweep."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and closes the connection."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._shut()

    def sweep(self) -> None:
        """Removes what is too old, and the oldest while there is more than the quota; raises the alarm at 80 %."""
        now = time.time()
        if self._believed():
            self._forget(now)
            self._remove_old(now)
        used = self._used()
        self._sound(used)
        while used > self._retention.quota and not self._ended.is_set():
            if not self._remove_oldest():
                return
            used = self._used()

    def _run(self) -> None:
        swept = 0.0
        while not self._ended.wait(TEND_EVERY_S):
            try:
                self._tend()
                if time.monotonic() - swept > SWEEP_EVERY_S:
                    swept = time.monotonic()
                    self.sweep()
            except self.errors:
                continue  # busy, full or away: the next round tries again, and the writer sees what cannot be written

    # -- each database's own

    def _tend(self) -> None:
        """What is due more often than a sweep."""

    def _remove_old(self, now: float) -> None:
        raise NotImplementedError

    def _remove_oldest(self) -> bool:
        """Removes some of the oldest; False if there was nothing to remove."""
        raise NotImplementedError

    def _used(self) -> int:
        raise NotImplementedError

    def _shut(self) -> None:
        raise NotImplementedError

    # -- shared

    def _first_kept(self, now: float, seconds: float) -> int:
        """The number of the first decision that is not too old: of a time between so long ago and now."""
        edge, at = stored_at(now - seconds), self._at
        # kept off the index on times, the planner walks the numbers: the first that fits ends the walk
        row = self._execute(
            f"SELECT number FROM decisions WHERE {at} >= ? AND {at} <= ? ORDER BY number LIMIT 1",
            (edge, stored_at(now)),
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

    def _forget(self, now: float) -> None:
        self._execute("DELETE FROM failed_tokens WHERE at < ?", (now - FAILED_TOKENS_S,))
        self._execute("DELETE FROM deliveries WHERE taken_at < ?", (now - DELIVERIES_KEPT_S,))
        self._execute("DELETE FROM deliveries WHERE taken_at IS NULL AND claimed_until < ?", (now - 3600,))
        edge = stored_at(now - self._retention.days * DAY_S)[:13]
        for table in ("counts", "hours"):
            self._execute(f"DELETE FROM {table} WHERE hour < ?", (edge,))
