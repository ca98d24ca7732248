"""One writer thread for one file: what arrives while a transaction runs shares the next one (group commit).

SQLite's busy handler is unfair under many threads, and an fsync on the event loop would stop every check; so writes
of a process go through one lane. What successive passes of the loop submit is gathered as long as each brings more (at
most 64, or for 2 ms), so that the thread is woken once for all of it, and a batch's results reach the loop in one call:
woken for each, it and the loop would take the interpreter from one another. The queue is bounded: past it, and after
`close`, a write is refused at once (`store_unavailable`), never kept waiting without end.

A disk may be slower than what is asked of it. Who says how long it can wait (`within`) is refused at once if, going by
the last transactions, that will not do, and leaves the queue when the time is over. Who `yields` is refused at once
unless its transaction is the next one or begins in a tenth of a second: it leaves the places to those that must wait.
A lane that `keeps` writes whatever was submitted, also what nobody waits for any more, and refuses nobody beforehand.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tenure.domain.refusals import OursError, Reason

T = TypeVar("T")
R = TypeVar("R")
YIELDING_S = 0.1
GATHERED, GATHER_S = 64, 0.002
# an item, who waits for its result, and whether it is not to be written once nobody waits
_Queued = tuple[T, asyncio.Future[R] | None, bool]


class Lane(Generic[T, R]):
    """Runs `write` (a batch in, a result for each out) on a thread of its own."""

    def __init__(
        self, write: Callable[[Sequence[T]], Sequence[R]], *, name: str, batch: int = 128, bound: int = 4096,
        keeps: bool = False,
    ) -> None:  # fmt: skip
        self._write = write
        self._keeps = keeps
        self._batch = batch
        self._bound = bound
        self._gathered: list[_Queued[T, R]] = []
        self._patience: dict[float, list[asyncio.Future[R]]] = {}
        self._waiting: deque[_Queued[T, R]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._took, self._began = 0.0, 0.0  # the last transaction's seconds, and when the one under way began
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, item: T, *, within: float | None = None, yields: bool = False) -> R:
        """The result of writing `item`, after its transaction's commit. `within`: in so many seconds or not at all,
        but for what the transaction under way has of it already. `yields`: see above.
        """
        if self._closed or len(self._waiting) + len(self._gathered) >= self._bound:
            raise OursError(Reason.STORE_UNAVAILABLE, "the queue of writes is full")
        if within is not None and not self._keeps and self.refuses(within, yields=yields):
            raise OursError(Reason.STORE_UNAVAILABLE, "more writes than the disk takes")
        return await self._queue(item, within)

    def refuses(self, within: float, *, yields: bool = False) -> bool:
        """Whether `submit` would refuse this at once."""
        ahead, began = len(self._waiting) + len(self._gathered), self._began
        if not began and not ahead:
            return False  # nothing is under way: however slow the last one was, this one is tried
        elapsed = time.monotonic() - began if began else 0.0
        took = max(self._took, elapsed)
        before = ahead // self._batch
        begins = (took - elapsed if began else 0.0) + before * took
        return begins + took > within or (yields and before > 0 and begins > YIELDING_S)

    def is_stuck(self, seconds: float) -> bool:
        """Whether the transaction under way takes longer than that already."""
        began = self._began
        return bool(began) and time.monotonic() - began > seconds

    def _queue(self, item: T, within: float | None) -> asyncio.Future[R]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._hand_over, 0, loop.time() + GATHER_S)
        self._gathered.append((item, future, within is not None and not self._keeps))
        if within is not None:
            self._patience.setdefault(within, []).append(future)
        return future

    def _hand_over(self, seen: int, until: float) -> None:
        loop, count = asyncio.get_running_loop(), len(self._gathered)
        if seen < count < GATHERED and loop.time() < until:
            loop.call_soon(self._hand_over, count, until)
            return
        gathered, self._gathered = self._gathered, []
        # one timer for all of a pass: one each would be a good part of what recording a decision costs
        for within, futures in self._patience.items():
            loop.call_later(within, _expire, futures)
        self._patience = {}
        with self._wake:
            self._waiting.extend(gathered)
            self._wake.notify()

    def post(self, item: T, *, spare: bool = False) -> None:
        """Writes `item` too, without anyone waiting for it; not bounded, so for what follows from a write alone.
        `spare`: it may be lost where the queue is full.
        """
        with self._wake:
            if not self._closed and not (spare and len(self._waiting) >= self._bound):
                self._waiting.append((item, None, False))
                self._wake.notify()

    def close(self) -> None:
        """Writes what is queued, then ends the thread; called where `submit` is, on the loop's thread or after it."""
        with self._wake:
            self._waiting.extend(self._gathered)
            self._gathered = []
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if not self._waiting:
                    return
                taken = self._take()
            if taken:
                self._began = began = time.monotonic()
                self._settle(taken)
                self._took, self._began = time.monotonic() - began, 0.0

    def _take(self) -> "list[_Queued[T, R]]":
        taken: list[_Queued[T, R]] = []
        while self._waiting and len(taken) < self._batch:
            queued = self._waiting.popleft()
            _, future, bounded = queued
            if not (bounded and future is not None and future.done()):
                taken.append(queued)
        return taken

    def _settle(self, taken: "list[_Queued[T, R]]") -> None:
        results: Sequence[R] | Exception
        try:
            results = self._write([item for item, _, _ in taken])
            if len(results) != len(taken):
                raise RuntimeError("a batch answered in part")
        except Exception as error:
            results = error
        futures = [future for _, future, _ in taken]
        loop = next((future.get_loop() for future in futures if future is not None), None)
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(_deliver, futures, results)
        except RuntimeError:
            return  # the loop is gone, and with it whoever waited


def _expire(futures: "list[asyncio.Future[R]]") -> None:
    for future in futures:
        if not future.done():
            future.set_exception(OursError(Reason.STORE_UNAVAILABLE, "not written in time"))


def _deliver(futures: list["asyncio.Future[R] | None"], results: Sequence[R] | Exception) -> None:
    for index, future in enumerate(futures):
        if future is None or future.done():
            continue
        if isinstance(results, Exception):
            future.set_exception(OursError(Reason.STORE_UNAVAILABLE, type(results).__name__))
        else:
            future.set_result(results[index])
