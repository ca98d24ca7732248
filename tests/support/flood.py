"""Very many forged calls, over kept-open connections, as fast as one process can send them."""

import asyncio
from collections import Counter
from itertools import cycle
from urllib.parse import urlsplit


def request(path: str, token: str | None, method: str = "POST", body: bytes = b"{}") -> bytes:
    """One call's bytes."""
    authorization = f"authorization: JWT {token}\r\n" if token is not None else ""
    head = f"{method} {path} HTTP/1.1\r\nhost: a\r\n{authorization}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def flood(url: str, requests: list[bytes], count: int, connections: int = 32) -> Counter[int]:
    """Sends `count` calls, the requests in turn, and counts the statuses answered."""
    return asyncio.run(_flood(url, requests, count, connections))


async def _flood(url: str, requests: list[bytes], count: int, connections: int) -> Counter[int]:
    statuses: Counter[int] = Counter()
    numbers = iter(range(count))
    turn = cycle(requests)

    async def one_connection() -> None:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in numbers:
            writer.write(next(turn))
            head = await reader.readuntil(b"\r\n\r\n")
            statuses[int(head[9:12])] += 1
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
        writer.close()

    await asyncio.gather(*(one_connection() for _ in range(connections)))
    return statuses
