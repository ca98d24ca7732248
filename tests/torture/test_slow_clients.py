"""Clients that send and read as slowly as they can, and the end of a service that has some.

`TENURE_TORTURE_CLIENTS` says how many (60 in the usual tests, 600 in `make torture`).
"""

import hashlib
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.dawdlers import dawdlers
from support.house import House
from support.offered import Offer, every, offer, slowest
from tenure.simulator.site import Site

CLIENTS = int(os.environ.get("TENURE_TORTURE_CLIENTS", "60"))
CLOSED_S = 10.0
BUSY_S = 5.0  # what a busy machine may add
LARGE = 4 * 1024 * 1024


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
        with dawdlers(house.url, CLIENTS) as clients:
            meanwhile = offer(checks(house, site, 3))
            longest = clients.closed(within=CLOSED_S + BUSY_S)
        assert {answered.status for answered in calm + meanwhile} == {200}
        p99, before = slowest(meanwhile, 0.99), slowest(calm, 0.99)
        told = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in longest.items())
        quick = f"p99 of honest checks {p99 * 1e3:.1f} ms, {p99 / before:.1f} times the calm {before * 1e3:.1f} ms"
        print(f"told: {clients.count} slow clients closed after at most {told}; {quick}")
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
        with dawdlers(house.url, CLIENTS):
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
