"""The load generator: a process of its own, raw bytes over kept connections on uvloop, one request in flight on each.

Why not wrk: every webhook needs an identifier of its own and every install its own token and body, which costs wrk a
Lua call a request; and a Python project's bench should need no compiler. This one sends bytes made beforehand and
looks at a status line, about 12 microseconds of work a request: it says how busy it was, so that a run in which it was
the bottleneck can be seen (`busy` near 1).

Spoken to in lines of JSON: {"port", "requests", "connections", "seconds" or "count", "expect"} on standard input, one
answer a line. `requests` names a pickled list of (head, tail): head + a fresh 36-digit identifier + tail is one
request; with "count" the list is used up in order and no request is sent twice, also not by the next command.
"""

import asyncio
import json
import pickle
import resource
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

Pair = tuple[bytes, bytes]


class Run:
    """One command: hands out requests and counts answers."""

    def __init__(self, requests: list[Pair], start: int, count: int | None, seconds: float, expect: bytes) -> None:
        self._requests = requests
        self.next = start
        self._left = count
        self._end = time.perf_counter() + seconds
        self.expect = expect
        self.done = self.failed = 0
        self.times: list[float] = []
        self.statuses: dict[str, int] = {}

    def request(self) -> bytes | None:
        """The next request, or None when it is over."""
        if self._left is not None:
            if self._left == 0:
                return None
            self._left -= 1
        elif time.perf_counter() >= self._end:
            return None
        number = self.next
        self.next += 1
        head, tail = self._requests[number % len(self._requests)]
        return b"%b%036d%b" % (head, number, tail) if tail else head

    def answered(self, line: bytes, took: float) -> None:
        """Counts one answer by its status line."""
        self.done += 1
        self.times.append(took)
        if not line.startswith(self.expect):
            self.failed += 1
            status = line[9:12].decode("latin-1")
            self.statuses[status] = self.statuses.get(status, 0) + 1


class Caller(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last is whole."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: Any = transport
        self._send()

    def _send(self) -> None:
        request = self._run.request()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not whole(self._buffer):
            return
        answer, self._buffer = self._buffer, b""
        self._run.answered(answer, time.perf_counter() - self._sent)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


def whole(answer: bytes) -> bool:
    """Whether all of an answer is there: 204, or a content-length, or chunks to their end."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    if head.startswith(b"HTTP/1.1 204"):
        return True
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        return len(body) >= int(lower[at + 15 :].split(b"\r\n", 1)[0])
    return body.endswith(b"0\r\n\r\n")


async def perform(command: dict[str, Any], requests: list[Pair], start: int) -> tuple[dict[str, Any], int]:
    """Runs one command; the answer, and where the next one starts in the list."""
    run = Run(requests, start, command.get("count"), command.get("seconds", 3600.0), b"HTTP/1.1 %d" % command["expect"])
    loop = asyncio.get_running_loop()
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    callers = [
        (await loop.create_connection(lambda: Caller(run), "127.0.0.1", command["port"]))[1]
        for _ in range(command["connections"])
    ]
    await asyncio.gather(*(caller.over for caller in callers))
    seconds, ended = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    busy = (ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime) / seconds
    times = sorted(run.times) or [0.0]
    answer = {
        "rate": run.done / seconds, "done": run.done, "failed": run.failed, "statuses": run.statuses, "busy": busy,
        "p50_ms": times[len(times) // 2] * 1e3, "p99_ms": times[len(times) * 99 // 100] * 1e3,
    }  # fmt: skip
    return answer, run.next


def main() -> None:
    """Carries out commands until standard input ends."""
    lists: dict[str, list[Pair]] = {}
    used: dict[tuple[str, int], int] = {}
    for line in sys.stdin:
        command = json.loads(line)
        name = command["requests"]
        if name not in lists:
            lists[name] = pickle.loads(Path(name).read_bytes())
        key = (name, command["port"])
        answer, used[key] = uvloop.run(perform(command, lists[name], used.get(key, 0)))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
