"""`GET /audit/head`, the head written and posted on a schedule, and what vouches for decisions."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx

from support.command import tenure, told
from support.house import House
from tenure.domain.checkpoint import Verifier, read, verify
from tenure.housekeeping import Housekeeping, post_head
from tenure.projections.security_context import schema
from tenure.settings import Settings
from tenure.store.connection import connect
from tenure.store.sqlite import open_log
from tenure.trust import widened


def head_of(house: House, token: str) -> httpx.Response:
    """What the route answers."""
    url = f"{house.service.internal_url}/audit/head"
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def test_the_head_is_for_audit_tokens_and_moves_with_the_log(tmp_path: Path) -> None:
    """A token of scope audit gets the signed head of now; another scope 403, none 401; each read is a decision."""
    with House(tmp_path) as house:
        token = told(tmp_path, house.settings, "tokens", "create", "auditor", "--scope", "audit")["token"]
        other = told(tmp_path, house.settings, "tokens", "create", "signer", "--scope", "sign")["token"]
        first = head_of(house, token)
        assert (first.status_code, head_of(house, other).status_code, head_of(house, "x").status_code) == (
            200,
            403,
            401,
        )
        house.installed()
        second = head_of(house, token)
        key = Verifier.parse(told(tmp_path, house.settings, "log", "key")["key"])
        assert verify(second.text, key).position == verify(first.text, key).position + 2 == house.head()[0]
        assert verify(second.text, key).hash == house.head()[1]
        assert house.decision(second)["kind"] == "audit"
        (tmp_path / "kept").write_text(first.text)
        assert told(tmp_path, house.settings, "log", "verify", "--head", "kept")["ok"]


def test_a_rolled_back_log_gets_no_head(tmp_path: Path) -> None:
    """With an older copy in place the head is 409 and verify names what is missing first, until it is accepted."""
    with House(tmp_path) as house:
        token = told(tmp_path, house.settings, "tokens", "create", "auditor", "--scope", "audit")["token"]
        house.installed()
        told(tmp_path, house.settings, "backup", "old.db")
        house.installed()
        kept = head_of(house, token)
        assert kept.status_code == 200
        house.service.stop()
        for name in ("events.db", "events.db-wal", "events.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "old.db").rename(tmp_path / "events.db")
        house.restart()
        assert head_of(house, token).status_code == 409
        ready = httpx.get(f"{house.service.internal_url}/readyz", trust_env=False)
        assert (ready.status_code, "events are missing" in ready.text) == (503, True)
        (tmp_path / "kept").write_text(kept.text)
        found = told(tmp_path, house.settings, "log", "verify", "--head", "kept", status=1)
        assert found["first_bad_position"] == house.head()[0] + 1
        told(tmp_path, house.settings, "log", "accept", "--reason", "a drill")
        assert head_of(house, token).status_code == 200
        assert not told(tmp_path, house.settings, "log", "verify", "--head", "kept", status=1)["ok"]


def test_a_lost_log_is_not_begun_anew_unnoticed(tmp_path: Path) -> None:
    """With keys.db there and events.db gone, or empty, the service does not start (exit 3) and leaves no new log
    behind; once it is accepted it does, and heads are signed again.
    """
    with House(tmp_path) as house:
        house.installed()
        house.service.stop()
        for name in ("events.db", "events.db-wal", "events.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        refused = tenure(tmp_path, house.settings, "serve", "--port", "0", status=3)
        assert "put the log back" in refused.stderr
        assert not (tmp_path / "events.db").exists()
        open_log(tmp_path / "events.db", [schema()])
        tenure(tmp_path, house.settings, "serve", "--port", "0", status=3)
        assert told(tmp_path, house.settings, "log", "accept", "--reason", "disk lost, no backup")["position"] == 1
        house.restart()
        assert httpx.get(f"{house.service.internal_url}/readyz", trust_env=False).status_code == 200
        house.installed()


class _Keeper(BaseHTTPRequestHandler):
    taken: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_head_goes_out_by_itself(tmp_path: Path) -> None:
    """The signed head is in HEAD_FILE, 0600, and was posted to HEAD_URL, once for all workers."""
    server = HTTPServer(("127.0.0.1", 0), _Keeper)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    with House(tmp_path, {"HEAD_FILE": "head.txt", "HEAD_URL": url}, "--workers", "2"):
        ends = time.monotonic() + 20
        while not _Keeper.taken and time.monotonic() < ends:
            time.sleep(0.05)
        time.sleep(1)
    server.shutdown()
    server.server_close()
    text = (tmp_path / "head.txt").read_text()
    assert _Keeper.taken == [text]
    assert read(text).position == 1
    assert (tmp_path / "head.txt").stat().st_mode & 0o777 == 0o600


def test_a_deleted_refusal_shows(tmp_path: Path) -> None:
    """Once decisions have been counted into the log, one deleted from the middle is a problem of `log verify`."""
    with House(tmp_path) as house:
        site = house.installed()
        for _ in range(3):
            assert house.page(site, "bad.token.here").status_code == 401
        house.service.stop()
        late = Housekeeping(_settings(house), clock=lambda: time.time() + 7200)
        late.tick()
        late.stop()
        assert told(tmp_path, house.settings, "log", "verify")["ok"]
        database = connect(tmp_path / "decisions.db")
        refused = [row[0] for row in database.execute("SELECT decision FROM decisions WHERE verdict = 'refused'")]
        assert len(refused) == 3
        database.execute("DELETE FROM decisions WHERE decision = ?", [sorted(refused)[1]])
        database.close()
        found = told(tmp_path, house.settings, "log", "verify", status=1)
        assert found["first_bad_position"] is None
        assert any("2 refused decisions" in problem for problem in found["problems"])


def _settings(house: House) -> Settings:
    given = {name.lower(): value for name, value in house.settings.items() if value}
    return Settings.model_validate({**given, "database_url": str(house.folder / "events.db")})


def test_readyz_names_what_widens_trust(signed: House, legacy: House) -> None:
    """/readyz names the settings that trust more than the default does."""
    one, other = (
        httpx.get(f"{house.service.internal_url}/readyz", trust_env=False).json() for house in (signed, legacy)
    )
    assert not [notice for notice in one["notices"] if "LEGACY_INSTALL" in notice]
    assert [notice for notice in other["notices"] if "LEGACY_INSTALL" in notice]
    assert other["status"] == "ready"


def test_readyz_names_an_internal_listener_for_others(tmp_path: Path) -> None:
    """An internal listener that others than this machine reach is a notice."""
    with House(tmp_path, {}, "--internal-host", "0.0.0.0") as house:
        url = house.service.internal_url.replace("0.0.0.0", "127.0.0.1")
        notices = httpx.get(f"{url}/readyz", trust_env=False).json()["notices"]
    assert [notice for notice in notices if "0.0.0.0" in notice]


def test_a_receiver_of_heads_that_never_ends_halts_nothing() -> None:
    """A receiver that drips its answer for ever: its status is enough; one that never answers: given up in POST_S, and
    meanwhile the caller goes on.
    """
    for begin in (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b""):
        with _dripping(begin) as url:
            began = time.monotonic()
            post_head(url, "a head", within=1.0)
            assert time.monotonic() - began < 3


@contextmanager
def _dripping(begin: bytes) -> Iterator[str]:
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        try:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(begin)
                while not stop.wait(0.05):
                    connection.sendall(b"x" if begin else b"")
        except OSError:
            pass

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        stop.set()
        server.close()


def test_heads_sent_in_the_clear_are_named() -> None:
    """HEAD_URL over http beyond this machine widens trust; on the loopback interface or over https it does not."""
    for url, named in (
        ("http://collector.example.com/h", True),
        ("https://collector.example.com/h", False),
        ("http://127.0.0.1/h", False),
    ):
        settings = Settings(app_key="a", base_url="https://a.example.com", head_url=url)
        assert any("HEAD_URL" in line for line in widened(settings)) is named
