"""Clients that send and read as slowly as they can, in a process of their own: what they cost is then not measured as
if the service had cost it, and the moment each was closed is not read late.
"""

import multiprocessing
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final
from urllib.parse import urlsplit

BYTE_S: Final = 0.5  # so long until the next byte
GIVEN_UP: Final = 99.0
_HEAD = b"POST /installed HTTP/1.1\r\nhost: a\r\n"
KINDS: Final = {
    "head": _HEAD,
    "body": _HEAD + b"authorization: JWT a.b.c\r\ncontent-length: 1000\r\n\r\n{",
    "answer": b"GET /atlassian-connect.json HTTP/1.1\r\nhost: a\r\n\r\n",
}
_OVER: Final = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


@dataclass
class _Slow:
    """A connection that is in no hurry. `closed`: when the other side ended it, in seconds from its beginning."""

    kind: str
    connection: socket.socket
    began: float
    closed: float = 0.0


class Dawdlers:
    """So many of them, seen from here."""

    def __init__(self, count: int, told: Connection) -> None:
        self.count = count
        self._told = told

    def closed(self, within: float) -> dict[str, float]:
        """Of each kind, the seconds after which the last was closed; 99 where one was not."""
        return dict(self._told.recv()) if self._told.poll(within) else dict.fromkeys(KINDS, GIVEN_UP)


@contextmanager
def dawdlers(url: str, count: int) -> Iterator[Dawdlers]:
    """Slow clients, a third of each kind, connected when the block begins."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    child = spawning.Process(target=_dawdle, args=(url, count // 3, there), daemon=True)
    child.start()
    try:
        assert here.poll(60), "the slow clients did not connect"
        here.recv()
        yield Dawdlers(count // 3 * len(KINDS), here)
    finally:
        child.kill()
        child.join()


def _dawdle(url: str, each: int, told: Connection) -> None:
    clients = [_slow(url, kind) for _ in range(each) for kind in KINDS]
    told.send("connected")
    going = {client.connection.fileno(): client for client in clients}
    watched = select.epoll()
    for number, client in going.items():
        # an answer is not read, so that there is something to read says nothing
        watched.register(number, _OVER | (0 if client.kind == "answer" else select.EPOLLIN))
    due = time.monotonic() + BYTE_S
    while going:
        for number, seen in watched.poll(max(0.0, due - time.monotonic())):
            if seen & _OVER or _ended(going[number].connection):
                client = going.pop(number)
                client.closed = time.monotonic() - client.began
                watched.unregister(number)
        if time.monotonic() >= due:
            due += BYTE_S
            for client in going.values():
                _send_a_byte(client)
    told.send({kind: max(client.closed for client in clients if client.kind == kind) for kind in KINDS})


def _slow(url: str, kind: str) -> _Slow:
    parts = urlsplit(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(KINDS[kind])
    connection.setblocking(False)
    return _Slow(kind, connection, time.monotonic())


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send_a_byte(client: _Slow) -> None:
    if client.kind == "answer":
        return
    try:
        client.connection.send(b"x")
    except OSError:
        return  # its end is seen where ends are looked for
