"""The live feed: events and decisions as they are committed, as server-sent events (`text/event-stream`).

From `after=` or `Last-Event-ID`, else from the head; `id:` is the position (of a decision: its place in the order of
commits), so that a reader who comes again misses nothing. A line of comment every few seconds keeps proxies from
cutting it and shows a reader who has gone. The token is looked at again all the time: a revoked one ends its feeds.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from tenure.api.formats import STREAM, sse
from tenure.api.http import Answer, Call
from tenure.api.problems import problem
from tenure.api.questions import Question, QuestionError
from tenure.domain.decisions import Wanted
from tenure.domain.questions import EventFilter
from tenure.projections.archive import Archive
from tenure.projections.shown import decision_fields, event_fields

POLL_S = 0.25
HEARTBEAT_S = 5.0
AT_ONCE = 200
MOST_FEEDS = 32

T = TypeVar("T")
Line = tuple[int, str, dict[str, Any]]
Read = Callable[[Callable[[Archive], Any]], Awaitable[Any]]


class Feed:
    """Live feeds of one process; past 32 of them, 503."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._open = 0

    async def events(self, call: Call, question: Question, chosen: EventFilter, allowed: Callable[[], bool]) -> Answer:
        """Events from now on, or from where the reader was."""
        after = _from(call, question)
        if after is None:
            after = (await self._read(lambda archive: archive.events.head()))[0]

        def lines(archive: Archive, last: int) -> list[Line]:
            found = archive.read(chosen, last, AT_ONCE)
            return [(event.position, event.type, event_fields(event)) for event in found]

        return self._answer(lines, after, allowed)

    async def decisions(self, call: Call, question: Question, chosen: Wanted, allowed: Callable[[], bool]) -> Answer:
        """Decisions from now on, or from where the reader was."""
        after = _from(call, question)
        if after is None:
            after = await self._read(lambda archive: archive.decisions.last_number())

        def lines(archive: Archive, last: int) -> list[Line]:
            found = archive.decisions.page(chosen, after=last, limit=AT_ONCE, newest_first=False)
            return [(one.number, one.decision.verdict, decision_fields(one.decision)) for one in found]

        return self._answer(lines, after, allowed)

    def _answer(self, lines: Callable[[Archive, int], list[Line]], after: int, allowed: Callable[[], bool]) -> Answer:
        if self._open >= MOST_FEEDS:
            return problem(503, "Too many feeds are open.", headers=((b"retry-after", b"30"),))
        return Answer(200, headers=((b"content-type", STREAM.encode()),), stream=self._run(lines, after, allowed))

    async def _run(
        self, lines: Callable[[Archive, int], list[Line]], last: int, allowed: Callable[[], bool]
    ) -> AsyncGenerator[bytes, None]:
        self._open += 1
        try:
            yield b": from %d\n\n" % last
            looked = time.monotonic()
            while True:
                found: list[Line] = await self._read(partial(_behind, lines, last))
                if found:
                    last = found[-1][0]
                    yield b"".join(sse(str(number), kind, item) for number, kind, item in found)
                if time.monotonic() - looked > HEARTBEAT_S:
                    looked = time.monotonic()
                    if not allowed():
                        return
                    yield b": here\n\n"
                if len(found) < AT_ONCE:
                    await asyncio.sleep(POLL_S)
        finally:
            self._open -= 1


def _behind(lines: Callable[[Archive, int], list[Line]], last: int, archive: Archive) -> list[Line]:
    return lines(archive, last)


def _from(call: Call, question: Question) -> int | None:
    last = call.one(b"last-event-id")
    if last and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise QuestionError("Last-Event-ID is a position of this log.")
    return int(last) if last else question.number("after")
