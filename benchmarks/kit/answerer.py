"""The least an HTTP server can be: answers every request the same, as the app behind Tenure or as a key host.

`python -m kit.answerer [FILE]`: without a file 204 on kept connections, with one 200 and its bytes, then close.
Prints its port.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop


class Answerer(asyncio.Protocol):
    """Reads a head and as many bytes of body as it announces, then answers."""

    def __init__(self, answer: bytes, close: bool) -> None:
        self._answer = answer
        self._close = close
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        if at >= 0 and len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        self._transport.write(self._answer)
        if self._close:
            self._transport.close()


def given(arguments: list[str]) -> tuple[bytes, bool]:
    """The answer, and whether the connection ends with it."""
    if not arguments:
        return b"HTTP/1.1 204 No Content\r\n\r\n", False
    body = Path(arguments[0]).read_bytes()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body), True


async def serve(answer: bytes, close: bool) -> None:
    """Listens until it is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answerer(answer, close), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*given(sys.argv[1:])))
