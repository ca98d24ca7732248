"""The live feed: events, decisions and alarms as they are committed, as server-sent events (`text/event-stream`).

From `after=` or `Last-Event-ID`, else from the head; `id:` is the position (of a decision: its place in the order of
commits), so that a reader who comes again misses nothing. A line of comment every few seconds keeps proxies from
cutting it and shows a reader who has gone. The token is looked at again all the time: a revoked one ends its feeds.
With `format=cloudevents`, or `Accept: application/cloudevents+json`, `data:` is a CloudEvent (JSON format).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from tenure.api.formats import STREAM, sse
from tenure.api.http import Answer, Call
from tenure.api.problems import problem
from tenure.api.questions import Question, QuestionError, as_cloud_events
from tenure.domain.alarms import AlarmFilter
from tenure.domain.decisions import Wanted
from tenure.domain.questions import EventFilter
from tenure.projections.archive import Archive
from tenure.projections.shown import alarm_fields, cloud_event, decision_fields, event_fields

POLL_S = 0.25
HEARTBEAT_S = 5.0
AT_ONCE = 200
MOST_FEEDS = 32

T = TypeVar("T")
Line = tuple[int, str, dict[str, Any]]
Lines = Callable[[Archive, int], tuple[list[Line], int]]
Allowed = Callable[[], Awaitable[bool]]
Read = Callable[[Callable[[Archive], Any]], Awaitable[Any]]


class Feed:
    """Live feeds of one process; past 32 of them, 503."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._open = 0

    async def events(self, call: Call, question: Question, chosen: EventFilter, allowed: Allowed) -> Answer:
        """Events from now on, or from where the reader was."""
        after = _from(call, question)
        if after is None:
            after = (await self._read(lambda archive: archive.events.head()))[0]

        def lines(archive: Archive, last: int) -> tuple[list[Line], int]:
            head, _ = archive.events.head()
            found = archive.read(chosen, last, AT_ONCE)
            return _read_on([(event.position, event.type, event_fields(event)) for event in found], last, head)

        return self._answer(_formed(call, question, lines), after, allowed)

    async def decisions(self, call: Call, question: Question, chosen: Wanted, allowed: Allowed) -> Answer:
        """Decisions from now on, or from where the reader was."""
        after = _from(call, question)
        if after is None:
            after = await self._read(lambda archive: archive.decisions.last_number())

        def lines(archive: Archive, last: int) -> tuple[list[Line], int]:
            newest = archive.decisions.last_number()
            found = archive.decisions.page(chosen, after=last, limit=AT_ONCE, newest_first=False)
            shown = [(one.number, one.decision.verdict, decision_fields(one.decision)) for one in found]
            return _read_on(shown, last, newest)

        return self._answer(_formed(call, question, lines), after, allowed)

    async def alarms(self, call: Call, question: Question, chosen: AlarmFilter, allowed: Allowed) -> Answer:
        """Alarms raised and ended from now on, or from where the reader was."""
        after = _from(call, question)
        if after is None:
            after = await self._read(lambda archive: archive.decisions.alarms.last_number())

        def lines(archive: Archive, last: int) -> tuple[list[Line], int]:
            newest = archive.decisions.alarms.last_number()
            found = archive.decisions.alarms.page(chosen, after=last, limit=AT_ONCE)
            return _read_on([(one.number, one.state, alarm_fields(one)) for one in found], last, newest)

        return self._answer(_formed(call, question, lines), after, allowed)

    def _answer(self, lines: Lines, after: int, allowed: Allowed) -> Answer:
        if self._open >= MOST_FEEDS:
            return problem(503, "Too many feeds are open.", headers=((b"retry-after", b"30"),))
        self._open += 1
        stream = _Held(self._run(lines, after, allowed), self._release)
        return Answer(200, headers=((b"content-type", STREAM.encode()),), stream=stream)

    def _release(self) -> None:
        self._open -= 1

    async def _run(self, lines: Lines, last: int, allowed: Allowed) -> AsyncGenerator[bytes, None]:
        yield b": from %d\n\n" % last
        looked = time.monotonic()
        while True:
            found, last = await self._read(partial(_behind, lines, last))
            if found:
                yield b"".join(sse(str(number), kind, item) for number, kind, item in found)
            if time.monotonic() - looked > HEARTBEAT_S:
                looked = time.monotonic()
                if not await allowed():
                    return
                yield b": here\n\n"
            if len(found) < AT_ONCE:
                await asyncio.sleep(POLL_S)


class _Held(AsyncGenerator[bytes, None]):
    """A stream that holds a place until it ends or is closed, also if it was never begun (a generator that was not has
    no end of its own).
    """

    def __init__(self, inner: AsyncGenerator[bytes, None], release: Callable[[], None]) -> None:
        self._inner = inner
        self._release: Callable[[], None] | None = release

    async def asend(self, value: None) -> bytes:
        try:
            return await self._inner.asend(value)
        except BaseException:
            self._end()
            raise

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None) -> bytes:
        self._end()
        return await self._inner.athrow(typ, val, tb)

    async def aclose(self) -> None:
        self._end()
        await self._inner.aclose()

    def _end(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None


def _formed(call: Call, question: Question, lines: Lines) -> Lines:
    if not as_cloud_events(call, question):
        return lines

    def clouded(archive: Archive, last: int) -> tuple[list[Line], int]:
        found, reached = lines(archive, last)
        return [(number, kind, cloud_event(item)) for number, kind, item in found], reached

    return clouded


def _behind(lines: Lines, last: int, archive: Archive) -> tuple[list[Line], int]:
    return lines(archive, last)


def _read_on(found: list[Line], last: int, newest: int) -> tuple[list[Line], int]:
    """What was found, and from where to read on: if that was all, from the newest that was there before it was read,
    so that nothing is gone through twice in search of what matches.
    """
    reached = found[-1][0] if found else last
    return found, reached if len(found) == AT_ONCE else max(reached, newest)


def _from(call: Call, question: Question) -> int | None:
    last = call.one(b"last-event-id")
    if last and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise QuestionError("Last-Event-ID is a position of this log.")
    return int(last) if last else question.number("after")
