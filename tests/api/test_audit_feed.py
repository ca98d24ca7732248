"""Live feeds: how many there may be, that a place is given back, and from where a feed reads on."""

import asyncio
from typing import Any, cast

import pytest

from tenure.api.audit_feed import MOST_FEEDS, Feed
from tenure.api.http import Answer, Call
from tenure.api.questions import Question, QuestionError
from tenure.domain.decisions import Wanted
from tenure.domain.questions import EventFilter
from tenure.projections.archive import Archive


class Room:
    """A reading room that notes from where it is read."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.asked: list[int] = []
        self.enough = asyncio.Event()
        self.events = self.decisions = self

    def head(self) -> tuple[int, str]:
        return self.newest, ""

    def last_number(self) -> int:
        return self.newest

    def page(self, _: Wanted, *, after: int, limit: int, newest_first: bool) -> list[Any]:
        self._ask(after)
        return []

    def _ask(self, after: int) -> None:
        self.asked.append(after)
        if len(self.asked) > 3:
            self.enough.set()

    def read(self, _: EventFilter, after: int, __: int) -> list[Any]:
        self._ask(after)
        return []


def call(query: str = "after=0") -> Call:
    """A call with a query."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"method": "GET", "path": "/audit/events", "query_string": query.encode(), "headers": []}
    return Call(scope, receive)


def feed_of(room: Room) -> Feed:
    """Feeds out of a room."""

    async def read(ask: Any) -> Any:
        return ask(cast(Archive, room))

    return Feed(read)


async def allowed() -> bool:
    """A reader who may go on."""
    return True


async def opened(feed: Feed) -> Answer:
    """One more feed, of which nothing has been read yet."""
    asked = call()
    return await feed.events(asked, Question(asked, frozenset(("after",))), EventFilter(), allowed)


def test_the_limit_holds_and_every_place_comes_back() -> None:
    """Feeds asked for at one moment are no more than the limit; each end gives the place back once, begun or not."""

    async def run() -> None:
        feed = feed_of(Room(0))
        answers = await asyncio.gather(*(opened(feed) for _ in range(MOST_FEEDS + 3)))
        held = [answer.stream for answer in answers if answer.stream is not None]
        assert [answer.status for answer in answers].count(503) == 3
        assert len(held) == MOST_FEEDS
        for number, stream in enumerate(held):
            if number % 2:
                await anext(stream)
            await stream.aclose()
            await stream.aclose()
        again = [await opened(feed) for _ in range(MOST_FEEDS + 1)]
        assert [answer.status for answer in again] == [200] * MOST_FEEDS + [503]

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["events", "decisions"])
def test_a_feed_that_finds_nothing_reads_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed whose filter matches nothing goes through what there was once only."""
    monkeypatch.setattr("tenure.api.audit_feed.POLL_S", 0.001)

    async def run() -> None:
        room = Room(5000)
        feed, asked = feed_of(room), call()
        question = Question(asked, frozenset(("after",)))
        if kind == "events":
            answer = await feed.events(asked, question, EventFilter(), allowed)
        else:
            answer = await feed.decisions(asked, question, Wanted(), allowed)
        stream = answer.stream
        assert stream is not None
        await anext(stream)
        step = asyncio.ensure_future(anext(stream))
        await asyncio.wait_for(room.enough.wait(), 10)
        step.cancel()
        await asyncio.wait((step,))
        await stream.aclose()
        assert room.asked[:4] == [0, 5000, 5000, 5000]

    asyncio.run(run())


@pytest.mark.parametrize("name", ["tenant", "claimed", "identifier", "kid"])
def test_an_empty_filter_is_not_everybody(name: str) -> None:
    """A filter that is there and empty is a 400, because it would mean everybody's."""
    with pytest.raises(QuestionError, match=f"{name} is empty"):
        Question(call(f"{name}="), frozenset((name,)))
