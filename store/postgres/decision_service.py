"""The decision log of one worker in PostgreSQL: nobody waits for it without end, and nothing is asked on the loop.

Who waits for a decision to be recorded gives up by himself (`api.recorder`). What a statement or a COMMIT waits for is
ended by whoever comes next, once it has waited for longer than any answer may take: a server that was cut off with its
sockets open does not hold up what comes after.
"""

import threading
from collections.abc import Callable
from typing import Any

from tenure.domain.decisions import Claim, Item
from tenure.store.decision_desk import DecisionDesk
from tenure.store.decision_reads import DecisionReads
from tenure.store.decision_writer import DecisionLane
from tenure.store.postgres.decisions import PostgresDecisions
from tenure.store.postgres.service import BOUND_S, Questions
from tenure.store.veil import Veil


class PostgresLane(DecisionLane):
    """A lane that is not stuck for longer than `BOUND_S`."""

    def __init__(self, decisions: PostgresDecisions, ahead: Veil) -> None:
        super().__init__(decisions, ahead)
        self._session = decisions.session

    async def submit(self, item: Item, *, within: float | None = None) -> Claim:
        """`DecisionLane.submit`."""
        self._unstick()
        return await super().submit(item, within=within)

    def post(self, item: Item) -> None:
        """`DecisionLane.post`."""
        self._unstick()
        super().post(item)

    def close(self) -> None:
        """`DecisionLane.close`; each thing that is waited for gets its time, and no more."""
        closed = threading.Event()
        threading.Thread(target=self._watch, args=(closed,), daemon=True).start()
        super().close()
        closed.set()

    def _watch(self, closed: threading.Event) -> None:
        while not closed.wait(BOUND_S):
            self._session.abort()

    def _unstick(self) -> None:
        if self._lane.is_stuck(BOUND_S):
            self._session.abort()


class PostgresDesk(DecisionDesk):
    """Questions go by a thread and a connection of their own."""

    def __init__(self, url: str, veil: Veil, ahead: Veil) -> None:
        reads = PostgresDecisions(url, read_only=True, bounded=True)
        self._questions: Questions[DecisionReads] = Questions(reads.session, reads, "questions")
        lane = PostgresLane(PostgresDecisions(url, veil=veil, bounded=True), ahead)
        super().__init__(lane, reads, self._questions.close)

    async def ask(self, question: Callable[[DecisionReads], Any]) -> Any:
        """`DecisionDesk.ask`."""
        return await self._questions.ask(question)
