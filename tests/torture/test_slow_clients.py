"""Clients that send and read as slowly as they can, and the end of a service that has some.

`TENURE_TORTURE_CLIENTS` says how many (60 in the usual tests, 600 in `make torture`).
"""

import hashlib
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from support.house import House
from support.offered import Offer, every, offer, slowest
from tenure.simulator.site import Site

CLIENTS = int(os.environ.get("TENURE_TORTURE_CLIENTS", "60"))
CLOSED_S = 10.0
BUSY_S = 5.0  # what a busy machine may add
LARGE = 4 * 1024 * 1024
_HEAD = b"POST /installed HTTP/1.1\r\nhost: a\r\n"
KINDS = {
    "head": _HEAD,
    "body": _HEAD + b"authorization: JWT a.b.c\r\ncontent-length: 1000\r\n\r\n{",
    "answer": b"GET /atlassian-connect.json HTTP/1.1\r\nhost: a\r\n\r\n",
}


@dataclass
class Slow:
    """A connection that is in no hurry. `closed` is when the other side ended it, in seconds from its beginning."""

    kind: str
    connection: socket.socket
    began: float
    closed: float = 0.0

    def step(self) -> bool:
        """One byte more, or a look whether anything came; False once it is over."""
        try:
            if self.kind != "answer":
                self.connection.send(b"x")
                if self.connection.recv(65536) == b"":
                    raise ConnectionResetError
            elif not _established(self.connection):
                raise ConnectionResetError
        except BlockingIOError:
            return True
        except OSError:
            self.closed = time.monotonic() - self.began
            return False
        return True


def _established(connection: socket.socket) -> bool:
    # nothing is read of the answer, so the socket's own state is asked: its first byte is TCP_ESTABLISHED (1)
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


def _slow(url: str, kind: str) -> Slow:
    parts = urlsplit(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(KINDS[kind])
    connection.setblocking(False)
    return Slow(kind, connection, time.monotonic())


@contextmanager
def crowd(house: House, count: int) -> Iterator[list[Slow]]:
    """So many slow clients, a third of each kind, each a byte a second."""
    clients = [_slow(house.url, kind) for _ in range(count // 3) for kind in KINDS]
    done = threading.Event()

    def dribble() -> None:
        going = list(clients)
        while going and not done.wait(0.5):
            going = [client for client in going if client.step()]

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield clients
    finally:
        done.set()
        thread.join()
        for client in clients:
            client.connection.close()


@contextmanager
def serving(tmp_path: Path) -> Iterator[House]:
    """A service with a large descriptor, and room for many connections here."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 4096), before[1]))
    (tmp_path / "descriptor.json").write_bytes(b" " * LARGE)
    try:
        with House(tmp_path, {"DESCRIPTOR_FILE": str(tmp_path / "descriptor.json")}) as house:
            yield house
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def checks(house: House, site: Site, seconds: float) -> list[Offer]:
    """Honest page loads, 100 a second."""

    def one(due: float, number: int) -> Offer:
        token = site.page_token("GET", "/page", number=number)
        head = f"x-original-method: GET\r\nx-original-uri: /page\r\nauthorization: JWT {token}\r\n"
        raw = f"GET /forward-auth HTTP/1.1\r\nhost: a\r\n{head}\r\n".encode()
        return Offer(due, "check", house.service.internal_url, raw)

    return every(100, seconds, one)


@pytest.mark.timeout(120)
def test_slow_clients_are_closed_and_hold_nobody_up(tmp_path: Path) -> None:
    """Unfinished heads and bodies and unread answers end within 10 s; meanwhile honest calls are answered as before."""
    with serving(tmp_path) as house:
        site = house.installed()
        calm = offer(checks(house, site, 3))
        with crowd(house, CLIENTS) as clients:
            meanwhile = offer(checks(house, site, 3))
            ends = time.monotonic() + CLOSED_S + BUSY_S
            while not all(client.closed for client in clients) and time.monotonic() < ends:
                time.sleep(0.1)
            longest = {kind: max(c.closed or 99.0 for c in clients if c.kind == kind) for kind in KINDS}
        assert {answered.status for answered in calm + meanwhile} == {200}
        p99, before = slowest(meanwhile, 0.99), slowest(calm, 0.99)
        told = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in longest.items())
        quick = f"p99 of honest checks {p99 * 1e3:.1f} ms, calm {before * 1e3:.1f} ms"
        print(f"told: {len(clients)} slow clients closed after at most {told}; {quick}")
        assert max(longest.values()) < CLOSED_S + BUSY_S
        assert p99 < max(3 * before, 0.5)
        assert httpx.get(f"{house.url}/healthz", trust_env=False).status_code == 200


@pytest.mark.timeout(120)
def test_the_end_waits_for_no_slow_client_and_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM amid writes and slow clients: the service is gone within 10 s, and what it acknowledged is there."""
    acknowledged: set[str] = set()
    ended = threading.Event()

    def write(site: Site) -> None:
        number = 0
        while not ended.is_set():
            kind, number = ("disabled", "enabled")[number % 2], number + 1
            token = site.lifecycle_token(kind, alg="HS256", number=number)
            try:
                status = site.send(kind, site.lifecycle_body(kind), token).status
            except httpx.TransportError:
                continue
            if status == 204:
                acknowledged.add(hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest())

    with serving(tmp_path) as house:
        writers = [threading.Thread(target=write, args=(house.installed(),)) for _ in range(4)]
        with crowd(house, CLIENTS):
            for writer in writers:
                writer.start()
            ends = time.monotonic() + 30
            while len(acknowledged) < 40 and time.monotonic() < ends:
                time.sleep(0.02)
            began = time.monotonic()
            status = house.service.stop()
            took = time.monotonic() - began
            ended.set()
            for writer in writers:
                writer.join()
        with house.log() as log:
            there = {event.token_fingerprint for event in log.read()}
    print(f"told: gone {took:.1f} s after SIGTERM, {len(acknowledged)} writes acknowledged")
    assert len(acknowledged) >= 40
    assert not acknowledged - there, "acknowledged and lost"
    assert status in (0, -signal.SIGTERM), "it had to be killed"
    assert took < 10 + BUSY_S
