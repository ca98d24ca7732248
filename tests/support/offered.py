"""Calls offered at a rate of their own, whether or not earlier ones were answered, over kept-open connections."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A call: how many seconds after the start it is due, what it is, where it goes, its bytes and its token's mark."""

    due: float
    label: str
    url: str
    raw: bytes
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an offer: a status, 0 for no answer at all, and the seconds from its sending."""

    label: str
    mark: str
    status: int
    took: float


def every(rate: float, seconds: float, of: Callable[[float, int], Offer]) -> list[Offer]:
    """Offers at even distances."""
    return [of(number / rate, number) for number in range(round(rate * seconds))]


def offer(offers: Iterable[Offer]) -> list[Answered]:
    """Sends all when they are due."""
    return asyncio.run(_offer(sorted(offers, key=lambda one: one.due)))


def slowest(answered: Sequence[Answered], share: float) -> float:
    """The seconds that this share of the answers needed at most."""
    ordered = sorted(one.took for one in answered)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connections:
    """Open connections that nobody uses just now, by address."""

    def __init__(self) -> None:
        self._free: dict[str, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}

    async def send(self, one: Offer) -> int:
        address = urlsplit(one.url)
        free = self._free.setdefault(address.netloc, [])
        reader, writer = free.pop() if free else await asyncio.open_connection(address.hostname, address.port)
        writer.write(one.raw)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        if b"connection: close" in head:
            writer.close()
        else:
            free.append((reader, writer))
        return int(head[9:12])

    def close(self) -> None:
        for free in self._free.values():
            for _, writer in free:
                writer.close()


async def _offer(offers: Sequence[Offer]) -> list[Answered]:
    connections, begins = _Connections(), time.monotonic() + 0.1

    async def send(one: Offer) -> Answered:
        sent, status = time.monotonic(), 0
        try:
            async with asyncio.timeout(WAIT_S):
                status = await connections.send(one)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        return Answered(one.label, one.mark, status, time.monotonic() - sent)

    tasks = []
    for one in offers:
        if (ahead := begins + one.due - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(send(one)))
    try:
        return await asyncio.gather(*tasks)
    finally:
        connections.close()
