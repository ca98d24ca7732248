"""Sites that go on calling while the database is away, and what they were told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from support.house import House
from support.stores import ROWS, whole_chain
from tenure.simulator.site import Site


def ready(house: House) -> int:
    """The status of /readyz."""
    return httpx.get(f"{house.service.internal_url}/readyz", trust_env=False, timeout=15).status_code


def until_200(house: House, site: Site) -> float:
    """Seconds until a check passes again."""
    start = time.monotonic()
    while (status := house.page(site).status_code) != 200:
        assert status == 503
        assert time.monotonic() - start < 20
    return time.monotonic() - start


class Load:
    """Sites that install without end; notes what was acknowledged and how long each answer took."""

    def __init__(self, house: House, threads: int) -> None:
        self._house = house
        self._end = threading.Event()
        self.acknowledged: list[str] = []
        self.other: set[int] = set()
        self.slowest = 0.0
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._end.is_set():
            site = self._house.site()
            start = time.monotonic()
            status = site.install().status
            self.slowest = max(self.slowest, time.monotonic() - start)
            self.acknowledged.append(site.client_key) if status == 204 else self.other.add(status)

    def wait_for(self, more: int) -> None:
        """Until so many more are acknowledged."""
        wanted, start = len(self.acknowledged) + more, time.monotonic()
        while len(self.acknowledged) < wanted:
            assert time.monotonic() - start < 30
            time.sleep(0.01)

    def close(self) -> None:
        """Ends the sites."""
        self._end.set()
        for one in self._running:
            one.result()
        self._pool.shutdown()


def nothing_lost(house: House, load: Load) -> None:
    """Every acknowledged install is an event, the chain is whole, and whatever else was said was 503 within 2 s."""
    assert load.other <= {503}
    assert load.slowest < 2, load.slowest
    with house.log() as log:
        assert {event.client_key for event in log.read(kind="installed")} >= set(load.acknowledged)
        rows = log.connection.execute(ROWS).fetchall()
        assert whole_chain(rows) == log.head()
