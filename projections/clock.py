"""Whether the clock may be believed before what cannot be undone: erasing who is due, removing decisions that are old.

A clock that jumps ahead makes everything old at once. The log knows better: its events bear the times of the clock they
were recorded under, in the order of their positions. A gap of over seven days within the last seven days is a jump, or
a service that stood still; which of the two cannot be told, so that both wait. Waiting ends by itself once the log has
gone on for seven days, or, in a service that nobody calls, once it has run for seven days by the clock that only counts
(monotonic) and the other has kept step with it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from tenure.domain.events import Event
from tenure.domain.times import stored_at

DAY_S = 86400.0
WAIT_S = 7 * DAY_S
OUT_OF_STEP_S = 3600.0


class Events(Protocol):
    """What is asked of the log."""

    def position_at(self, time: str) -> int: ...

    def read(self, *, after: int = ..., limit: int = ...) -> Iterator[Event]: ...


class ClockWatch:
    """Holds a clock to a log. May be asked from several threads if nobody else uses the log's connection."""

    def __init__(
        self, events: Events, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._events = events
        self._clock = clock
        self._steady = steady
        self._since = steady()
        self._last = (clock(), self._since)
        self._guard = threading.Lock()

    def problem(self) -> str:
        """Why the clock is not to be believed, in words; empty if it is."""
        with self._guard:
            now, steady = self._clock(), self._steady()
            if abs((now - self._last[0]) - (steady - self._last[1])) > OUT_OF_STEP_S:
                self._since = steady
            self._last = (now, steady)
            gap, ends = self._gap(now)
            if gap <= WAIT_S or steady - self._since >= WAIT_S:
                return ""
        return (
            f"the clock says {stored_at(now)[:19]}Z, but nothing was recorded for the {gap / DAY_S:.0f} days before "
            f"{stored_at(ends)[:19]}Z"
        )

    def _gap(self, now: float) -> tuple[float, float]:
        """Seconds from the last event before the last seven days to what came next (an event, or now); its time."""
        position = self._events.position_at(stored_at(now - WAIT_S))
        if not position:
            return 0.0, now
        before, *then = (_seconds(event) for event in self._events.read(after=position - 1, limit=2))
        # an event that bears a time to come was recorded under a clock that has been set back since
        ends = min([now, *then])
        return ends - before, ends


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event.recorded_at).timestamp()
