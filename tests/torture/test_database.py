"""The database goes away under load: crashes, stops, a promotion, a synchronous standby that dies.

`TENURE_TORTURE_RESTARTS` says how many crashes (2 in the usual tests, 20 in `make torture`).
"""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from support.command import tenure
from support.house import House
from support.outage import Load, nothing_lost, ready, until_200
from support.postgres import Cluster

CRASHES = int(os.environ.get("TENURE_TORTURE_RESTARTS", "2"))


@pytest.mark.timeout(900)
def test_a_crash_of_the_database_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Crashes under load: what was answered 204 stays, the outage is 503 within 2 s, and within 2 s of the database the
    service returns.
    """
    back = []
    with Cluster() as cluster, House(tmp_path, {"DATABASE_URL": cluster.url()}) as house:
        site, load = house.installed(), Load(house, 4)
        try:
            for _ in range(CRASHES):
                load.wait_for(10)
                cluster.stop("immediate")
                assert house.page(site).status_code == 503
                cluster.start()
                back.append(until_200(house, site))
                assert back[-1] < 2
                load.wait_for(5)
        finally:
            load.close()
        nothing_lost(house, load)
    print(
        f"{CRASHES} crashes, {len(load.acknowledged)} acknowledged, none lost; slowest answer {load.slowest:.2f} s, "
        f"back after at most {max(back):.2f} s"
    )


def test_a_server_that_stops_for_five_seconds_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Stopped with its sockets open under load: every answer within 2 s, 503 where it was not done; 2 s after it goes
    on the service does, and nothing acknowledged is missing.
    """
    with Cluster() as cluster, House(tmp_path, {"DATABASE_URL": cluster.url()}, "--workers", "2") as house:
        site, load = house.installed(), Load(house, 4)
        try:
            load.wait_for(10)
            cluster.signal(signal.SIGSTOP)
            ends = time.monotonic() + 5
            while time.monotonic() < ends:
                began = time.monotonic()
                assert house.page(site).status_code == 503
                assert time.monotonic() - began < 2
            cluster.signal(signal.SIGCONT)
            assert until_200(house, site) < 2
            load.wait_for(5)
        finally:
            cluster.signal(signal.SIGCONT)
            load.close()
        assert load.other == {503}
        nothing_lost(house, load)


def test_a_promoted_standby_takes_over_under_load(tmp_path: Path) -> None:
    """With both hosts in the URL the service finds the promoted standby by itself within 2 s, with all that was
    acknowledged, and goes on there.
    """
    with Cluster() as first, Cluster(standby_of=first) as second:
        first.replicate_to_standby()
        with House(tmp_path, {"DATABASE_URL": first.url("postgres", second)}) as house:
            site, load = house.installed(), Load(house, 4)
            try:
                load.wait_for(10)
                first.stop("immediate")
                assert house.page(site).status_code == 503
                second.promote()
                assert until_200(house, site) < 2
                load.wait_for(5)
            finally:
                load.close()
            nothing_lost(house, load)
            assert site.uninstall().status == 204
            assert house.page(site).status_code == 401
            assert house.kinds(site.client_key) == ["installed", "enabled", "uninstalled"]


def test_without_its_only_synchronous_standby_nothing_is_acknowledged(tmp_path: Path) -> None:
    """While no standby confirms, callbacks are 503 within 2 s and checks go on; `/readyz` and `doctor` say what is
    missing, and a start ends with a word of it. When it is back, callbacks are taken again, one sent again only once.
    """
    with Cluster() as first, Cluster(standby_of=first) as second:
        first.replicate_to_standby()
        with House(tmp_path, {"DATABASE_URL": first.url("postgres", second)}) as house:
            site, late, later = house.installed(), house.site(), house.site()
            second.stop("immediate")
            for one in (late, later):
                began = time.monotonic()
                sent = one.install()
                assert sent.status == 503
                assert sent.response.headers["retry-after"]
                assert time.monotonic() - began < 2
            assert house.page(site).status_code == 200
            notices = httpx.get(f"{house.service.internal_url}/readyz", trust_env=False, timeout=15).json()["notices"]
            assert "0 synchronous standby of 1" in str(notices)
            assert (
                "0 synchronous standby of 1"
                in tenure(tmp_path, house.settings, "doctor", "--offline", status=None).stdout
            )
            start = tenure(tmp_path, house.settings, "serve", "--port", "0", "--internal-port", "0", status=1)
            assert "took nothing within 10 s" in start.stderr
            second.start()
            ends = time.monotonic() + 10
            while (sent := late.resend(sent)).status != 204:
                assert sent.status == 503
                assert time.monotonic() < ends
            assert ready(house) == 200
            assert house.kinds(late.client_key) in (["installed"], [])
            assert later.install().status == 204
