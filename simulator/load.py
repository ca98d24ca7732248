"""Calls at a given rate from many sites: how many were accepted and how long the answers took.

The calls are due at fixed times, whether or not earlier ones have been answered, and a call's time counts from when it
was due: a service (or this sender) that falls behind shows in the percentiles, not in a lower rate.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import httpx

from tenure.simulator.site import Sent

Send = Callable[[], Sent]
THREADS = 64


@dataclass(slots=True)
class Tally:
    """What has come back so far. `times` in seconds, `failed` are calls without an answer."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failed: int = 0
    times: list[float] = field(default_factory=list)
    lasted: float = 0.0

    @property
    def accepted(self) -> int:
        """Answers of 2xx."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def refused(self) -> int:
        """Every other answer."""
        return sum(self.statuses.values()) - self.accepted

    def percentile(self, share: float) -> float:
        """The time in milliseconds that this share of the answers needed at most; 0 without answers."""
        ordered = sorted(self.times)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2) if ordered else 0.0


def drive(
    sends: Sequence[Send], rate: float, seconds: float, watch: Callable[[Tally], None] = lambda tally: None
) -> Tally:
    """Sends `rate` calls a second for `seconds`, taking turns; `watch` sees the tally about once a second."""
    tally, lock = Tally(), Lock()
    start = time.monotonic()

    def one(send: Send, due: float) -> None:
        try:
            status = send().status
        except httpx.HTTPError:
            status = 0
        took = time.monotonic() - due
        with lock:
            tally.sent += 1
            if status:
                tally.statuses[status] += 1
                tally.times.append(took)
            else:
                tally.failed += 1

    with ThreadPoolExecutor(min(THREADS, max(4, int(rate)))) as pool:
        turns, shown = itertools.cycle(sends), start
        for number in range(max(1, round(rate * seconds))):
            due = start + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            pool.submit(one, next(turns), due)
            if time.monotonic() - shown >= 1:
                shown = time.monotonic()
                with lock:
                    watch(tally)
    tally.lasted = time.monotonic() - start
    return tally
