"""What is ours to answer for reaches the caller as a 5xx, and the app is not asked."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.children import free_port
from support.proxies import NAMES, Front, Proxy
from tenure.simulator.receiver import Receiver

WITHOUT_TENURE = {"nginx": 503, "caddy": 502, "traefik": 500}


def test_a_503_reaches_the_caller(front: Front) -> None:
    """A decision that cannot be recorded is 503 with Retry-After and its id, behind each proxy; then it heals."""
    site = front.installed()
    with closing(sqlite3.connect(front.house.folder / "decisions.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = front.ask("GET", "/page", site.page_token("GET", "/page"))
        other.execute("ROLLBACK")
    assert (answer.status_code, answer.headers["retry-after"], front.seen()) == (503, "5", [])
    assert answer.headers["x-tenure-decision"] in answer.text
    assert front.ask("GET", "/page", site.page_token("GET", "/page")).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_without_tenure_nobody_passes(name: str, tmp_path: Path) -> None:
    """While Tenure is down every checked path is a 5xx and the app is not asked; the open places stay open."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with Receiver() as app, Proxy(name, tmp_path, nobody, nobody, app.url) as proxy, proxy.client() as client:
        for path in ("/page", "/api/things"):
            assert client.get(path, headers={"X-Tenure-Client-Key": "me"}).status_code == WITHOUT_TENURE[name]
        assert client.post("/installed").status_code in (502, 503)
        assert app.received == []
        assert client.get("/static/app.js").status_code == 200
