"""How many refusals may be kept as rows: so many at once, then so many a minute, of each reason and of all.

A stranger can be refused any number of times; each is counted, but only what there is room for is kept. The room lies
in the store, so that all workers share it. Accepted decisions need none, and refusals proved to be a tenant's own have
room of their own: a stranger cannot crowd out what its owner will ask about.
"""

from collections.abc import Mapping

BURST, REFILL = 600.0, 120.0  # of one reason, and a minute
BURST_ALL, REFILL_ALL = 2000.0, 600.0
_ALL, _PROVED = "", "proved "


class Room:
    """The room as of one transaction; `stored`: of each reason what was left, and at which Unix seconds."""

    def __init__(self, stored: Mapping[str, tuple[float, float]], now: float) -> None:
        self._stored = stored
        self._now = now
        self._left: dict[str, float] = {}

    def take(self, reason: str, *, proved: bool = False) -> bool:
        """Whether one more refusal of this reason may be kept; `proved`: it is known whose call it was."""
        everybody = _PROVED if proved else _ALL
        one = f"{everybody}{reason or '-'}"
        if self._of(everybody, BURST_ALL, REFILL_ALL) < 1 or self._of(one, BURST, REFILL) < 1:
            return False
        self._left[everybody] -= 1
        self._left[one] -= 1
        return True

    def rows(self) -> list[tuple[str, float, float]]:
        """What is left, to be stored."""
        return [(reason, left, self._now) for reason, left in self._left.items()]

    def _of(self, reason: str, burst: float, refill: float) -> float:
        if reason not in self._left:
            left, since = self._stored.get(reason, (burst, self._now))
            # a clock set back gives no room, and takes none
            self._left[reason] = min(burst, left + max(0.0, self._now - since) / 60 * refill)
        return self._left[reason]
