"""Fair turns: a few at once, and callers one after the other, however many of one are waiting."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FullError(Exception):
    """No place to wait is left, for this caller or for all."""


class Turns:
    """At most `at_once` have their turn; of those who wait, at most `each` are one caller's and `most` all together."""

    def __init__(self, at_once: int, each: int, most: int) -> None:
        self._free = at_once
        self._each = each
        self._most = most
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._count = 0

    @asynccontextmanager
    async def of(self, caller: str) -> AsyncIterator[None]:
        """A turn, or FullError."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, caller: str) -> None:
        queue = self._waiting.get(caller)
        if self._count >= self._most or (queue is not None and len(queue) >= self._each):
            raise FullError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._count += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it was given to one who has just left
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            caller, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting[caller] = queue  # behind all others
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
