"""How often the WAL of `decisions.db` may be cut, so that a slow disk does not hold up every check.

After a checkpoint the first commit writes a new WAL header and waits for the disk, whatever `synchronous` says (else a
power cut could leave old pages over new ones); whoever records meanwhile waits with it. On a quick disk that is
nothing. On one whose fsync takes a second it refused two checks of three, coming twice a second. So once checkpoints
are seen to be slow they may take a two-hundredth of the time, and the WAL grows meanwhile, to 256 MB.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUICK_S = 0.1  # below the bound within which a decision has to be recorded
REST = 200  # times as long as the checkpoint took
MOST_BYTES = 256 * 1024 * 1024


class Pace:
    """What one worker's threads know together of the last checkpoint. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests_until = 0.0
        self._under_way = 0

    def due(self, wal_bytes: int) -> bool:
        """Whether it is time for one, with a WAL of this size."""
        return not self._under_way and (wal_bytes > MOST_BYTES or self._clock() >= self._rests_until)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around a checkpoint."""
        began = self._clock()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            took = self._clock() - began
            if took > QUICK_S:
                self._rests_until = began + (REST + 1) * took
