"""The service on PostgreSQL: one truth on every process, refusals when the database is away, and its own return."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from support.auditor import token_of
from support.house import House
from support.outage import ready, until_200
from support.postgres import Cluster, free_port
from tenure.simulator.keyhost import KeyHost


@pytest.fixture(scope="module")
def house(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service of two workers on a database of its own."""
    url = cluster.url(cluster.database())
    with House(tmp_path_factory.mktemp("pg"), {"DATABASE_URL": url}, "--workers", "2") as opened:
        yield opened


def test_a_life_over_http(house: House) -> None:
    """Install, enable, webhook, rotation, uninstall and return: each is in force, and an event."""
    site = house.installed()
    assert house.page(site).status_code == 200
    assert site.webhook("jira:issue_updated").status == 200
    old = site.secret
    assert site.rotate().status == 204
    assert house.page(site).status_code == 200
    assert house.page(site, site.page_token("GET", "/page", secret=old)).status_code == 425
    assert site.uninstall().status == 204
    assert house.page(site).status_code == 401
    assert site.install().status == 204
    assert house.page(site).status_code == 200
    assert house.kinds(site.client_key) == ["installed", "enabled", "installed", "uninstalled", "installed"]
    assert ready(house) == 200


def test_the_same_token_is_good_once_in_every_worker(house: House) -> None:
    """A lifecycle token sent again to any worker with the same body changes nothing."""
    site = house.installed()
    sent = site.install()
    head = house.head()
    assert {site.resend(sent).status for _ in range(12)} == {204}
    assert house.head() == head


@pytest.mark.parametrize("how", ["rotation", "uninstall"])
def test_after_the_answer_the_old_secret_is_refused_by_every_worker(house: House, how: str) -> None:
    """From the 2xx on nothing signed with the old secret passes, on any worker, while many ask at once."""
    site = house.installed()
    token = site.page_token("GET", "/page")
    done, statuses = threading.Event(), []

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=15) as client:
            headers = {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}"}
            asked = 0
            while asked < 40:
                late = done.is_set()
                status = client.get(f"{house.service.internal_url}/forward-auth", headers=headers).status_code
                if late:
                    statuses.append(status)
                    asked += 1

    with ThreadPoolExecutor(6) as pool:
        askers = [pool.submit(ask) for _ in range(6)]
        changed = site.rotate() if how == "rotation" else site.uninstall()
        assert changed.status == 204
        done.set()
        for asker in askers:
            asker.result()
    assert set(statuses) == ({425} if how == "rotation" else {401})


def test_of_many_rotations_none_lets_an_old_secret_in(cluster: Cluster, tmp_path: Path) -> None:
    """Over four processes, each asked by connections of its own right after each 204: the old secret never passes, the
    new one always does. TENURE_TEST_ROTATIONS=500 for as many.
    """
    rotations = int(os.environ.get("TENURE_TEST_ROTATIONS", "25"))
    with House(tmp_path, {"DATABASE_URL": cluster.url(cluster.database())}, "--workers", "4") as house:
        site = house.installed()
        old, new = Counter[int](), Counter[int]()

        def ask(token: str) -> int:
            headers = {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}"}
            # a connection each, so that every process gets its share; httpx takes 50 ms to make one
            connection = HTTPConnection(urlsplit(house.service.internal_url).netloc, timeout=15)
            try:
                connection.request("GET", "/forward-auth", headers=headers)
                return connection.getresponse().status
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            for _ in range(rotations):
                before = site.page_token("GET", "/page")
                assert ask(before) == 200
                assert site.rotate().status == 204
                old.update(pool.map(ask, [before] * 8))
                new.update(pool.map(ask, [site.page_token("GET", "/page") for _ in range(4)]))
        assert set(old) <= {401, 425}, old
        assert set(new) == {200}, new


def test_a_database_that_stops_answering_refuses_within_two_seconds(tmp_path: Path) -> None:
    """Cut off with its sockets open, every check and callback is 503 within 2 s; when it goes on, so do they."""
    with Cluster() as cluster, House(tmp_path, {"DATABASE_URL": cluster.url()}) as house:
        site, other = house.installed(), house.site()
        bearer = {"Authorization": f"Bearer {token_of(house, 'audit')}"}
        metrics = partial(httpx.get, f"{house.service.internal_url}/metrics", headers=bearer, trust_env=False)
        assert metrics().status_code == 200
        cluster.signal(signal.SIGSTOP)
        try:
            asked: list[Callable[[], int]] = [
                lambda: house.page(site).status_code, lambda: other.install().status, lambda: ready(house),
                lambda: metrics().status_code,
            ]  # fmt: skip
            for ask in asked:
                start = time.monotonic()
                assert ask() == 503
                assert time.monotonic() - start < 2
        finally:
            cluster.signal(signal.SIGCONT)
        assert until_200(house, site) < 2
        assert other.install().status == 204


def test_an_install_key_that_somebody_else_put_into_the_database_is_none(cluster: Cluster, tmp_path: Path) -> None:
    """A row written by another client proves nothing: the host is asked, and its key takes the row's place; keys that
    the service kept itself are used after a restart without asking.
    """
    url = cluster.url(cluster.database())
    with House(tmp_path, {"DATABASE_URL": url}) as house, KeyHost() as stranger:
        victim, real = house.installed(), house.keys.new_key()
        site = house.site(client_key=victim.client_key, base_url=victim.base_url, key_host=stranger)
        with psycopg.connect(url, autocommit=True) as owner:
            for kid in (site.kid, real):
                owner.execute(
                    "INSERT INTO install_keys VALUES (%s, %s, %s, '')",
                    [house.keys.url, kid, stranger.public_pem(site.kid).decode() + "0" * 64 + "\n"],
                )
        assert site.install(new_secret=True).status == 401
        assert house.page(victim).status_code == 200
        other = house.site()
        other.kid = real
        assert other.install().status == 204
        house.restart()
        asked = house.keys.requests.copy()
        assert house.again(other).install().status == 204
        assert house.keys.requests == asked


def tenure(folder: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command on a database."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    return subprocess.run(
        [sys.executable, "-m", "tenure", *arguments], cwd=folder, env=clean | {"TENURE_DATABASE_URL": url},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_commands_read_the_log_in_postgres(house: House) -> None:
    """Tenants, then and now, and events are told from PostgreSQL as they are from a file."""
    site = house.installed()
    url, key = house.settings["DATABASE_URL"], site.client_key
    shown = tenure(house.folder, url, "tenant", "show", key, "--json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["client_key"] == key
    position = house.events(key)[0].position
    then = tenure(house.folder, url, "tenant", "show", key, "--position", str(position), "--json")
    assert json.loads(then.stdout)["enabled"] is False
    listed = tenure(house.folder, url, "events", "--tenant", key, "--json")
    assert [json.loads(line)["type"] for line in listed.stdout.splitlines()] == ["installed", "enabled"]


def test_commands_say_what_is_wrong_with_the_database(cluster: Cluster, tmp_path: Path) -> None:
    """No log there: 1. Nobody there, or no such URL: 2. Never a traceback, never the password."""
    for url, status in (
        (cluster.url(cluster.database()), 1),
        (f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x", 2),
        ("postgresql://me:hunter2@[/x", 2),
        ("mysql://me:hunter2@h/x", 2),
    ):
        for command in (("events",), ("tokens", "list")):
            found = tenure(tmp_path, url, *command)
            assert found.returncode == status, found.stderr
            assert found.stderr.startswith("tenure: ")
            assert found.stderr.count("\n") == 1
            assert "hunter2" not in found.stderr
