"""How many refusals may be kept as rows: so many at once, then so many a minute, of each reason and of all.

A stranger can be refused any number of times; each is counted, but only what there is room for is kept. The room lies
in the file, so that all workers share it. Accepted decisions need none, and refusals proved to be a tenant's own have
room of their own: a stranger cannot crowd out what its owner will ask about.
"""

from tenure.store.tally import Execute

BURST, REFILL = 600.0, 120.0  # of one reason, and a minute
BURST_ALL, REFILL_ALL = 2000.0, 600.0
_ALL, _PROVED = "", "proved "


class Room:
    """The room as of one transaction."""

    def __init__(self, execute: Execute, now: float) -> None:
        self._execute = execute
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

    def write(self) -> None:
        """Keeps what is left."""
        for reason, left in self._left.items():
            self._execute("INSERT OR REPLACE INTO room VALUES (?, ?, ?)", (reason, left, self._now))

    def _of(self, reason: str, burst: float, refill: float) -> float:
        if reason not in self._left:
            row = self._execute("SELECT room, at FROM room WHERE reason = ?", (reason,)).fetchone()
            left, since = row or (burst, self._now)
            # a clock set back gives no room, and takes none
            self._left[reason] = min(burst, left + max(0.0, self._now - since) / 60 * refill)
        return self._left[reason]
