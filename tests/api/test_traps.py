"""Tricks that would have worked once: each is a way round a rule that holds elsewhere."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from support.house import House, raw_exchange
from tenure.domain.qsh import accepted_hashes, request_hash
from tenure.projections import tenants
from tenure.simulator.attacker import Attacker
from tenure.simulator.keyhost import Answer, KeyHost
from tenure.store.vault import new_master_key


def test_an_underscore_does_not_forge_identity(signed: House) -> None:
    """A header that servers may read as X-Tenure-Client-Key is dropped, and so is what Connection names."""
    site = signed.installed()
    signed.receiver.clear()
    forged = {"X_Tenure_Client_Key": "victim", "X-Secret-Hop": "1", "Connection": "close, X-Secret-Hop"}
    assert site.webhook(headers=forged).status == 200
    names = {name.lower().replace("_", "-"): value for name, value in signed.receiver.received[-1].headers}
    assert names["x-tenure-client-key"] == site.client_key
    assert "x-secret-hop" not in names


@pytest.mark.parametrize(
    "path", ["/webhooks/../admin", "/webhooks/%2e%2e/admin", "/webhooks/..%2fadmin", "/webhooks/x/.%5c.%5cy"]
)
def test_no_webhook_path_climbs_out(signed: House, path: str) -> None:
    """A path that the upstream may resolve to another route is 404 and not passed on."""
    site = signed.installed()
    signed.receiver.clear()
    token = site.page_token("POST", path)
    request = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: JWT {token}\r\nContent-Length: 2\r\n\r\n{{}}"
    assert b"404" in raw_exchange(signed.url, request.encode())[:20]
    assert signed.receiver.received == []


def test_a_repeated_legacy_rotation_is_answered_again(legacy: House) -> None:
    """The very call that replaced the secret it is signed with, sent again, gets its first answer and adds nothing."""
    site = legacy.site()
    assert site.legacy_install(signed=False).status == 204
    sent = site.legacy_install(signed=True, new_secret=True)
    assert sent.status == 204
    before = len(legacy.events(site.client_key))
    assert site.resend(sent).status == 204
    assert site.resend(sent, json.dumps({"other": 1}).encode()).status == 401
    assert len(legacy.events(site.client_key)) == before


def test_a_name_another_tenant_gave_itself_signs_nothing(signed: House) -> None:
    """A tenant that calls its installation by another site's host gets none of that site's tokens."""
    taken = f"new-{time.time_ns()}.atlassian.net"
    site = signed.site()
    assert site.install(body_extra={"installationId": taken}).status == 204
    with signed.log() as log:
        assert tenants.find(log.connection, taken) == []


def test_a_double_slash_is_no_page(signed: House) -> None:
    """A URI that begins with two slashes, another route to some backends, is refused."""
    site = signed.installed()
    token = site.page_token("GET", "/page")
    headers = {"X-Original-Method": "GET", "X-Original-URI": "//page", "Authorization": f"JWT {token}"}
    assert signed.forward_auth(headers).status_code == 401


def test_unknown_keys_in_floods_do_not_shut_out_a_new_one(tmp_path: Path) -> None:
    """Past 20 unknown kids in 5 s further ones are 503, remembered ones stay 401, and a new good key still works."""
    with House(tmp_path) as house:
        site = house.site()
        attacker = Attacker(site)
        statuses = [attacker.unknown_key_install(f"unknown-{number}").status for number in range(30)]
        assert statuses[:20] == [401] * 20
        assert statuses[-5:] == [503] * 5
        assert attacker.unknown_key_install("unknown-0").status == 401
        assert site.install().status == 204


def test_key_hosts_are_asked_in_order(tmp_path: Path) -> None:
    """A key the first host does not know is taken from the second; a first host that fails hides no good key."""
    with KeyHost() as first, House(tmp_path) as house:
        house.settings["INSTALL_KEYS_URL"] = f"{first.url},{house.keys.url}"
        house.restart()
        assert house.site().install().status == 204
        assert len(first.requests) == 1
        site = house.site()
        first.behave(site.kid, Answer(500))
        assert site.install().status == 204


def test_a_slow_key_host_answers_within_ten_seconds(tmp_path: Path) -> None:
    """However many unknown keys are asked for at once, no call waits longer than ten seconds."""
    with House(tmp_path) as house:
        kids = [f"slow-{number}" for number in range(40)]
        for kid in kids:
            house.keys.behave(kid, Answer(404, delay=1.8))
        attackers = [Attacker(house.site()) for _ in kids]
        took: list[float] = []
        statuses: list[int] = []

        def call(number: int) -> None:
            began = time.monotonic()
            statuses.append(attackers[number].unknown_key_install(kids[number]).status)
            took.append(time.monotonic() - began)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(took) == 40
        assert set(statuses) <= {401, 503}
        assert max(took) < 10


def test_an_unread_body_does_not_hold_the_connection(signed: House) -> None:
    """A refused call whose announced body never comes is closed within ten seconds."""
    began = time.monotonic()
    answer = raw_exchange(signed.url, b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
    assert b"404" in answer[:20]
    assert time.monotonic() - began < 10


def test_configured_paths_extra_audiences_and_a_descriptor(tmp_path: Path) -> None:
    """Paths as the descriptor froze them, a second base URL as audience, and the descriptor served as it is."""
    (tmp_path / "descriptor.json").write_bytes(b'{"key": "com.example.app"}')
    settings = {
        "BASE_URL": "https://app.example.com/jira",
        "EXTRA_BASE_URLS": "https://old.example.com, https://older.example.com/",
        "INSTALLED_PATH": "/addon/installed-callback",
        "DESCRIPTOR_FILE": "descriptor.json",
    }
    with House(tmp_path, settings) as house:
        paths = {"installed": "/addon/installed-callback"}
        for audience in ("https://old.example.com/", "https://older.example.com", "https://app.example.com/jira"):
            assert house.site(paths=paths, audience=audience).install().status == 204
        assert house.site(paths=paths, audience="https://app.example.com").install().status == 401
        answer = httpx.get(f"{house.url}/jira/atlassian-connect.json", trust_env=False)
        assert (answer.status_code, answer.content) == (200, b'{"key": "com.example.app"}')


@pytest.mark.parametrize(
    ("wrong", "named", "status"),
    [
        ({"APP_KEY": ""}, "TENURE_APP_KEY", 2),
        ({"BASE_URL": "http://app.example.com"}, "TENURE_BASE_URL", 2),
        ({"MASTER_KEY": "short"}, "TENURE_MASTER_KEY", 2),
        ({"LEGACY_INSTALL": "yes"}, "TENURE_LEGACY_INSTALL", 2),
        ({"ALLOWED_SITES": ","}, "TENURE_ALLOWED_SITES", 2),
        ({"INSTALL_KEYS_URL": ","}, "TENURE_INSTALL_KEYS_URL", 2),
        ({"INSTALLED_PATH": "/healthz"}, "TENURE_INSTALLED_PATH", 2),
        ({"INSTALLED_PATH": "/a?b"}, "TENURE_INSTALLED_PATH", 2),
        ({"DESCRIPTOR_FILE": "absent.json"}, "TENURE_DESCRIPTOR_FILE", 2),
        ({"FORWARD_AUTH": "haproxy"}, "TENURE_FORWARD_AUTH", 2),
        ({"DATABASE_URL": "garbage.db"}, "garbage.db is no database", 3),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_starts(
    tmp_path: Path, wrong: dict[str, str], named: str, status: int
) -> None:
    """A wrong setting or store ends `serve` with one line that names it, its exit status, and no file made."""
    (tmp_path / "garbage.db").write_bytes(b"not a database" * 100)
    (tmp_path / "garbage.db").chmod(0o600)
    given = {"APP_KEY": "a", "BASE_URL": "https://a.example", "MASTER_KEY": new_master_key(), **wrong}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    run = subprocess.run(
        [sys.executable, "-m", "tenure", "serve", "--port", "0"],
        env=clean | {f"TENURE_{name}": value for name, value in given.items()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == status
    assert run.stderr.count("\n") == 1
    assert named in run.stderr
    assert not (tmp_path / "events.db").exists()


def test_a_log_with_another_master_key_does_not_start(tmp_path: Path) -> None:
    """With the wrong master key, or without the key file, the service refuses to start instead of losing tenants."""
    with House(tmp_path) as house:
        house.installed()
        house.service.stop()
        right = house.settings["MASTER_KEY"]
        house.settings["MASTER_KEY"] = new_master_key()
        with pytest.raises(RuntimeError, match="master key"):
            house.restart()
        house.settings["MASTER_KEY"] = right
        for name in ("keys.db", "keys.db-wal", "keys.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        with pytest.raises(RuntimeError, match="lacks the keys"):
            house.restart()


def test_an_escaped_slash_is_no_segment() -> None:
    """An escaped slash is no segment of the base path: the hash of the shorter path does not fit."""
    assert request_hash("GET", "/x", "") not in accepted_hashes("GET", "/wiki%2Fx", "", "/wiki")


def test_sigterm_ends_within_ten_seconds(tmp_path: Path) -> None:
    """SIGTERM ends the service within ten seconds, with a call half-sent and another under way."""
    with House(tmp_path) as house:
        house.installed()
        slow = threading.Thread(
            target=lambda: raw_exchange(house.url, b"POST /installed HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        )
        slow.start()
        time.sleep(0.3)
        began = time.monotonic()
        house.service.stop()
        assert time.monotonic() - began < 10
        slow.join()
