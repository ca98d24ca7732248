"""The lane: each write has its own result after its batch, and nothing waits without end."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.domain_support import install, request
from tenure.domain.ports import Append, Appended, AppendResult, Conflict
from tenure.domain.refusals import OursError, Reason
from tenure.store.lane import Lane
from tenure.store.sqlite import SqliteLog, open_log


def test_each_write_has_its_own_result() -> None:
    """Writes of one moment share batches, in their order, and each gets its own result."""
    batches: list[list[int]] = []
    gate = threading.Event()

    def write(batch: Sequence[int]) -> list[int]:
        gate.wait(10)
        batches.append(list(batch))
        return [number * 2 for number in batch]

    async def run() -> list[int]:
        lane = Lane(write, name="test", batch=4)
        tasks = [asyncio.ensure_future(lane.submit(number)) for number in range(10)]
        await asyncio.sleep(0)
        gate.set()
        found = await asyncio.wait_for(asyncio.gather(*tasks), 10)
        lane.close()
        return found

    assert asyncio.run(run()) == [number * 2 for number in range(10)]
    assert [number for batch in batches for number in batch] == list(range(10))
    assert max(map(len, batches)) == 4


def test_an_error_is_a_store_that_does_not_answer() -> None:
    """Every write of a failed batch is told so without the error's text, and the lane goes on."""

    def write(batch: Sequence[int]) -> list[int]:
        if 0 in batch:
            raise RuntimeError("secret text")
        return list(batch)

    async def run() -> None:
        lane = Lane(write, name="test")
        with pytest.raises(OursError) as caught:
            await asyncio.wait_for(lane.submit(0), 10)
        assert (caught.value.reason, caught.value.detail) == (Reason.STORE_UNAVAILABLE, "RuntimeError")
        assert await asyncio.wait_for(lane.submit(1), 10) == 1
        lane.close()

    asyncio.run(run())


def test_a_full_or_closed_lane_refuses_at_once() -> None:
    """Past its bound, and after its end, a write is refused; what was queued is still written."""
    gate, begun = threading.Event(), threading.Event()

    def write(batch: Sequence[int]) -> list[int]:
        begun.set()
        gate.wait(10)
        return list(batch)

    async def run() -> None:
        lane = Lane(write, name="test", batch=1, bound=2)
        tasks = [asyncio.ensure_future(lane.submit(0))]
        await asyncio.sleep(0)
        await asyncio.to_thread(begun.wait, 10)
        tasks += [asyncio.ensure_future(lane.submit(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(OursError) as caught:
            await lane.submit(3)
        assert caught.value.reason == Reason.STORE_UNAVAILABLE
        gate.set()
        lane.close()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [0, 1, 2]
        with pytest.raises(OursError):
            await lane.submit(4)

    asyncio.run(run())


def test_a_waiter_that_left_disturbs_nobody() -> None:
    """A write whose caller was cancelled does not keep the others of its batch from their results."""
    gate = threading.Event()

    def write(batch: Sequence[int]) -> list[int]:
        gate.wait(10)
        return list(batch)

    async def run() -> None:
        lane = Lane(write, name="test")
        tasks = [asyncio.ensure_future(lane.submit(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.wait_for(asyncio.gather(*tasks[::2]), 10) == [0, 2]
        lane.close()

    asyncio.run(run())


def test_the_log_behind_a_lane_gives_each_its_result(tmp_path: Path) -> None:
    """Appends at once share transactions: one of a stream wins, the others conflict, other streams go on."""
    path = tmp_path / "events.db"
    open_log(path)
    log = SqliteLog(path)

    async def run() -> list[AppendResult]:
        lane: Lane[Append, AppendResult] = Lane(log.append, name="test")
        asked = [request(0, install()) for _ in range(5)] + [
            request(0, install(), client_key=f"c{n}") for n in range(5)
        ]
        found = await asyncio.wait_for(asyncio.gather(*map(lane.submit, asked)), 20)
        lane.close()
        return found

    found = asyncio.run(run())
    assert [type(result) for result in found] == [Appended] + [Conflict] * 4 + [Appended] * 5
    assert log.head()[0] == 6
    log.close()


def test_what_the_disk_does_not_take_is_refused_at_once() -> None:
    """Past the next transaction who yields is refused at once, who can wait is not, until it would be too late; and who
    has waited in vain is not written.
    """
    gate, begun, written = threading.Event(), threading.Event(), list[int]()

    def write(batch: Sequence[int]) -> list[int]:
        begun.set()
        gate.wait(10)
        written.extend(batch)
        return list(batch)

    async def run() -> None:
        lane = Lane(write, name="test", batch=2)
        tasks = [asyncio.ensure_future(lane.submit(0, within=5, yields=True))]
        await asyncio.sleep(0)
        await asyncio.to_thread(begun.wait, 10)
        await asyncio.sleep(0.2)
        tasks += [asyncio.ensure_future(lane.submit(number, within=30, yields=True)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(OursError):
            await lane.submit(3, within=30, yields=True)
        tasks.append(asyncio.ensure_future(lane.submit(4, within=30)))
        with pytest.raises(OursError):
            await lane.submit(5, within=0.1)
        with pytest.raises(OursError) as caught:
            await lane.submit(6, within=1)
        assert caught.value.detail == "not written in time"
        gate.set()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [0, 1, 2, 4]
        assert not lane.refuses(0.5, yields=True), "nothing is under way: it is tried"
        lane.close()

    asyncio.run(run())
    assert written == [0, 1, 2, 4]
