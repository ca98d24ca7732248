"""The log and its contexts in memory, kept for no one: the plainest thing that meets the ports, to compare others with.

What the contract suite demands of every store, this one does in a few lines each; it is also quick enough for state
machines of many thousand steps.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Unpack

from tenure.domain.chain import GENESIS, chain_hash
from tenure.domain.events import Event
from tenure.domain.ports import Append, Appended, AppendResult, Chosen, Conflict, Spend, Spent
from tenure.domain.tenant import Tenant, fold_stream
from tenure.store.clock import utc_now
from tenure.store.codec import decode, encode, storable, stored_fields


class MemoryLog:
    """A log as a list. `clock` gives the text that would be stored."""

    def __init__(self, *, clock: Callable[[], str] = utc_now) -> None:
        self._events: list[Event] = []
        self._rows: list[tuple[Any, ...]] = []
        self._spent: dict[str, Spend] = {}
        self._clock = clock

    def close(self) -> None:
        """Nothing to close."""

    def append(self, batch: Sequence[Append]) -> list[AppendResult]:
        """Appends each of the batch or says why not; all of it or, if one breaks, nothing."""
        return self.append_under_lock(lambda: batch)

    def append_under_lock(self, decide: Callable[[], Sequence[Append]]) -> list[AppendResult]:
        """As `append`, of what `decide` says: nobody else is here to append meanwhile."""
        batch = decide()
        for request in batch:
            storable(request)
        count, spent = len(self._events), dict(self._spent)
        try:
            return [self._append_one(request) for request in batch]
        except BaseException:
            self._spent = spent
            del self._events[count:], self._rows[count:]
            raise

    def _append_one(self, request: Append) -> AppendResult:
        if request.spend is not None and request.spend.fingerprint in self._spent:
            return Spent(self._spent[request.spend.fingerprint])
        version = self.version(request.app_key, request.client_key)
        if version != request.expected_version:
            return Conflict(version)
        now, draft = self._clock(), request.draft
        if request.spend is not None:
            self._spent[request.spend.fingerprint] = request.spend
        if draft is None:
            return Appended(None)
        position, digest = self.head()
        columns = (
            position + 1, version + 1, str(draft.type), request.app_key, request.client_key, now, *encode(draft),
            draft.token_fingerprint,
        )  # fmt: skip
        row = (*columns, chain_hash(digest, columns))
        event = decode(row)
        self._rows.append(row)
        self._events.append(event)
        return Appended(event)

    def version(self, app_key: str, client_key: str) -> int:
        """The version of a stream's last event; 0 if it has none."""
        return sum(1 for _ in self.stream(app_key, client_key))

    def spent(self, fingerprint: str) -> Spend | None:
        """What the spent list says of a token."""
        return self._spent.get(fingerprint)

    def head(self) -> tuple[int, str]:
        """Position and hash of the last event; (0, GENESIS) of an empty log."""
        return (self._events[-1].position, self._events[-1].hash) if self._events else (0, GENESIS)

    def hash_at(self, position: int) -> str | None:
        """The hash of the event at a position; None if there is none."""
        return self._events[position - 1].hash if 0 < position <= len(self._events) else None

    def kid_tenants(self, kid: str) -> list[str]:
        """The client keys of every tenant that an event proved by this install key belongs to."""
        return sorted({event.client_key for event in self.read(kid=kid)})

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]:
        """The events of a tenant in their order, up to a position."""
        for event in self._events[:until]:
            if (event.app_key, event.client_key) == (app_key, client_key):
                yield event

    def read(self, **chosen: Unpack[Chosen]) -> Iterator[Event]:
        """Events oldest first, filtered; `since` and `until` as stored times, both included."""
        return self._chosen(**chosen)

    def _chosen(
        self, *, client_key: str | None = None, kind: str | None = None, since: str | None = None,
        until: str | None = None, kid: str | None = None, after: int = 0, limit: int = -1,
    ) -> Iterator[Event]:  # fmt: skip
        for event in self._events[after:]:
            if limit == 0:
                return
            if (
                client_key in (None, event.client_key)
                and kind in (None, event.type)
                and kid in (None, event.proof.get("kid"))
                and (since is None or event.recorded_at >= since)
                and (until is None or event.recorded_at <= until)
            ):
                limit -= 1
                yield event

    def stored(self, **chosen: Unpack[Chosen]) -> Iterator[dict[str, Any]]:
        """As `read`, each event as its stored columns."""
        for event in self._chosen(**chosen):
            yield stored_fields(self._rows[event.position - 1])

    def position_at(self, time: str) -> int:
        """The last position recorded at or before a stored time; 0 if none."""
        return max((event.position for event in self._events if event.recorded_at <= time), default=0)

    async def get(self, app_key: str, client_key: str) -> Tenant | None:
        """`ports.Contexts`: folded anew at every question."""
        return fold_stream(self.stream(app_key, client_key))
