"""One tenant's life, told forwards: folded once, asked at many positions."""

from collections.abc import Iterable, Sequence

from tenure.domain.events import Event, Installed, Reinstated
from tenure.domain.tenant import Tenant, evolve


class Life:
    """Ask for positions in rising order. `brought` is the fingerprint of the secret each event brought."""

    def __init__(self, history: Iterable[Event]) -> None:
        self._history = list(history)
        self._next = 0
        self._tenant: Tenant | None = None
        self.brought = {
            event.position: event.data.secret_fingerprint
            for event in self._history
            if isinstance(event.data, Installed | Reinstated)
        }

    def at(self, position: int) -> Tenant | None:
        """The tenant as of a position."""
        while self._next < len(self._history) and self._history[self._next].position <= position:
            self._tenant = evolve(self._tenant, self._history[self._next])
            self._next += 1
        return self._tenant

    def again(self) -> "Life":
        """The same life from its beginning."""
        return Life(self._history)

    @property
    def next(self) -> Event | None:
        """The event behind the position asked for last."""
        return self._history[self._next] if self._next < len(self._history) else None

    def behind(self, position: int) -> Sequence[Event]:
        """The events behind a position."""
        return [event for event in self._history if event.position > position]
