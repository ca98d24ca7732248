"""One writer thread for one file: what arrives while a transaction runs shares the next one (group commit).

SQLite's busy handler is unfair under many threads, and an fsync on the event loop would stop every check; so writes
of a process go through one lane. What one pass of the loop submits is handed over at once, so that the thread is woken
once for all of it, and a batch's results reach the loop in one call. The queue is bounded: past it, and
after `close`, a write is refused at once (`store_unavailable`), never kept waiting without end.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tenure.domain.refusals import OursError, Reason

T = TypeVar("T")
R = TypeVar("R")


class Lane(Generic[T, R]):
    """Runs `write` (a batch in, a result for each out) on a thread of its own."""

    def __init__(self, write: Callable[[Sequence[T]], Sequence[R]], *, name: str, batch: int = 128, bound: int = 4096):
        self._write = write
        self._batch = batch
        self._bound = bound
        self._gathered: list[tuple[T, asyncio.Future[R] | None]] = []
        self._waiting: deque[tuple[T, asyncio.Future[R] | None]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, item: T) -> R:
        """The result of writing `item`, after its transaction's commit."""
        if self._closed or len(self._waiting) + len(self._gathered) >= self._bound:
            raise OursError(Reason.STORE_UNAVAILABLE, "the queue of writes is full")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append((item, future))
        return await future

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        with self._wake:
            self._waiting.extend(gathered)
            self._wake.notify()

    def post(self, item: T, *, spare: bool = False) -> None:
        """Writes `item` too, without anyone waiting for it; not bounded, so for what follows from a write alone.
        `spare`: it may be lost where the queue is full.
        """
        with self._wake:
            if not self._closed and not (spare and len(self._waiting) >= self._bound):
                self._waiting.append((item, None))
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
                taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            if not taken:
                return
            self._settle(taken)

    def _settle(self, taken: list[tuple[T, "asyncio.Future[R] | None"]]) -> None:
        results: Sequence[R] | Exception
        try:
            results = self._write([item for item, _ in taken])
            if len(results) != len(taken):
                raise RuntimeError("a batch answered in part")
        except Exception as error:
            results = error
        futures = [future for _, future in taken]
        loop = next((future.get_loop() for future in futures if future is not None), None)
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(_deliver, futures, results)
        except RuntimeError:
            return  # the loop is gone, and with it whoever waited


def _deliver(futures: list["asyncio.Future[R] | None"], results: Sequence[R] | Exception) -> None:
    for index, future in enumerate(futures):
        if future is None or future.done():
            continue
        if isinstance(results, Exception):
            future.set_exception(OursError(Reason.STORE_UNAVAILABLE, type(results).__name__))
        else:
            future.set_result(results[index])
