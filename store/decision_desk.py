"""The decision log of one worker: decisions go in by a lane, and whoever has a question asks it here."""

from collections.abc import Callable
from typing import Any

from tenure.domain.decisions import Claim, Item
from tenure.store.decision_reads import DecisionReads
from tenure.store.decision_writer import DecisionLane


class DecisionDesk:
    """Both ends, with questions answered at once on the caller's thread: what lies in a file takes microseconds."""

    def __init__(self, lane: DecisionLane, reads: DecisionReads, close: Callable[[], None]) -> None:
        self._lane = lane
        self._reads = reads
        self._close = close

    async def submit(self, item: Item, *, within: float | None = None) -> Claim:
        """`DecisionLane.submit`."""
        return await self._lane.submit(item, within=within)

    def post(self, item: Item) -> None:
        """Written soon; nobody waits."""
        self._lane.post(item)

    def drop(self, kind: str) -> None:
        """Counts a decision that is nowhere."""
        self._lane.drop(kind)

    async def ask(self, question: Callable[[DecisionReads], Any]) -> Any:
        """The answer to a question, as of a commit after it was asked; OursError if the store does not answer."""
        return question(self._reads)

    async def busy(self, client_key: str, identifier: str) -> bool:
        """Whether someone is passing this webhook on just now."""
        return bool(await self.ask(lambda reads: reads.busy(client_key, identifier)))

    async def failures(self, address_mark: str) -> int:
        """How many API tokens from an address opened nothing in the last minute, in all workers."""
        return int(await self.ask(lambda reads: reads.failures(address_mark)))

    def close(self) -> None:
        """Writes what is queued and owed, and closes everything."""
        self._lane.close()
        self._close()
