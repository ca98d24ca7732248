"""A canary secret and canary tokens go through every route, with faults injected, and are found nowhere."""

import json
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.house import House, raw_exchange
from tenure.simulator import tokens
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.site import Site
from tenure.store.key_file import KeyFile
from tenure.store.tokens import ApiTokens

CANARY = "canary" + "5ecre7" * 10


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A talkative service of its own."""
    with House(tmp_path, {"LOG_CALLS": "all", "LEGACY_INSTALL": "on"}) as house:
        yield house


class _Trap:
    """Every token made for a call, so that each can be looked for."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.made: list[str] = []
        make = site._token

        def remembered(*arguments: object, **options: object) -> str:
            token = make(*arguments, **options)  # type: ignore[arg-type]
            self.made.append(token)
            return token

        site._token = remembered  # type: ignore[method-assign]


def _everywhere(house: House, site: Site, api_token: str) -> None:
    """Good and bad calls to every route, the token in every place a sender may put it."""
    for kind, alg in (("installed", "RS256"), ("enabled", "HS256"), ("disabled", "HS256"), ("uninstalled", "RS256")):
        extra = {"sharedSecret": CANARY, "description": CANARY, "accountId": CANARY}
        for body in (site.lifecycle_body(kind, extra), site.lifecycle_body(kind, extra | {"clientKey": 7}),
                     site.lifecycle_body(kind, extra | {"baseUrl": CANARY}), CANARY.encode()):  # fmt: skip
            site.send(kind, body, site.lifecycle_token(kind, alg=alg))
        site.send(kind, site.lifecycle_body(kind, extra), site.lifecycle_token(kind, alg=alg, iss=uuid.uuid4().hex))
    site.send("installed", site.lifecycle_body("installed", {"sharedSecret": CANARY}), None)
    assert site.install(CANARY).status == 204
    for place in ("", "/a/{}", "/{}"):
        for query in ("", "jwt={}", "{}=1", "x={}&secret=" + CANARY):
            token = site.page_token("POST", "/webhooks")
            headers = {"User-Agent": token, "X-Atlassian-Webhook-Identifier": token, "traceparent": token}
            site.send("/webhooks" + place.format(token), b"{}", token, query.format(token), headers)
            house.page(site, token, "/page?" + query.format(token))
    site.webhook(iss="x.y", header={"kid": site.page_token("GET", "/")})
    site.webhook(aud=site.page_token("GET", "/"), qsh=CANARY[:40].replace("canary", "q"))
    raw_exchange(house.url, f"POST /installed?jwt={site.page_token('GET', '/')} HTTP/9\r\n\r\n".encode())
    for authorization in (f"Bearer {api_token}", f"Bearer {api_token}x", "Bearer tnr_" + "x" * 43):
        for path in ("/sign", "/metrics", "/readyz", f"/{api_token}"):
            httpx.post(f"{house.service.internal_url}{path}", content=json.dumps({"tenant": CANARY, "method": "GET"}),
                       headers={"Authorization": authorization})  # fmt: skip


def _found_in(house: House, needle: str) -> list[str]:
    files = [found.name for found in house.folder.iterdir() if needle.encode() in found.read_bytes()]
    return files + (["the log lines"] if needle in house.service.output else [])


def _told(house: House, expected: int) -> int:
    """Decisions that have a line, and those left out as the next line says; waits for the last lines to be read."""
    ends, found = time.monotonic() + 10, 0
    while found < expected and time.monotonic() < ends:
        time.sleep(0.01)
        told = [line for line in house.service.lines if line["event"] in ("decision", "unrecordable")]
        found = len(told) + sum(line.get("lines_left_out", 0) for line in told)
    return found


def _counted(metrics: str) -> int:
    """Decisions that were answered, as `/metrics` has them."""
    lines = [line for line in metrics.splitlines() if line.startswith("tenure_decisions_total{")]
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))


def test_canaries_are_found_nowhere(house: House) -> None:
    """Neither secret nor token nor a token's signature is in any file, the WAL, a log line or a metric."""
    store = ApiTokens(KeyFile(house.folder / "keys.db"))
    api_token, _ = store.create("prometheus", ("audit",), 1)
    store.close()
    site = house.site()
    trap = _Trap(site)
    assert site.install(CANARY).status == 204
    _everywhere(house, site, api_token)
    with sqlite3.connect(house.folder / "decisions.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        site.webhook()
        site.enable()
        house.page(site)
        other.execute("ROLLBACK")
        # a fault in the writer, and with it in every answer
        other.execute("ALTER TABLE counts RENAME TO away")
        site.webhook(query=f"secret={CANARY}")
        other.execute("ALTER TABLE away RENAME TO counts")
    other.close()
    house.keys.close()
    site.kid = KeyHost.new_key(house.keys)
    site.install(CANARY)
    house.receiver.close()
    site.webhook(body=CANARY.encode())
    metrics = httpx.get(f"{house.service.internal_url}/metrics", headers={"Authorization": f"Bearer {api_token}"}).text
    assert "tenure_decisions_total" in metrics
    assert len(trap.made) > 40
    counted = _counted(metrics)
    assert _told(house, counted) == counted > 40
    lines = house.service.output
    needles = [CANARY, api_token, *trap.made, *(made.rpartition(".")[2] for made in trap.made)]
    assert [(needle[:30], found) for needle in needles if (found := _found_in(house, needle))] == []
    assert [needle for needle in needles if needle in metrics] == []
    for line in lines.splitlines():
        json.loads(line)


HOSTILE = r"""
import asyncio, logging, sys, threading, warnings
import structlog
from tenure import logs
logs.configure()
secret, token = sys.argv[1:]
log = structlog.get_logger()
log.info("line\nbreak", text="\ud800\0\x1b[2J" + token, bytes=b"x" + secret.encode(), odd=object(), nan=float("nan"),
         deep={"a": {"b": [f"/x?jwt={token}&y", f"Authorization: JWT {token}"]}}, big="x" * 100_000)
class Odd:
    def __repr__(self): raise RuntimeError(secret)
    __str__ = __repr__
log.info("odd", value=Odd())
logging.getLogger("uvicorn.error").error("GET /x?jwt=%s", token)
logging.getLogger("other").error("%d", "no number")
logging.getLogger("other").error(Odd())
def fail():
    local = secret
    raise ValueError(f"input was {secret}")
try:
    fail()
except ValueError:
    log.exception("failed")
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
from pydantic import BaseModel
class Model(BaseModel):
    x: int
try:
    Model(x=secret)
except ValueError as error:
    log.error("invalid", error=error, exc_info=True)
async def forgotten():
    async def task(): fail()
    found = asyncio.create_task(task())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(forgotten())
warnings.warn(f"old {token}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def test_lines_cannot_break_and_tell_nothing() -> None:
    """Hostile text, odd values, tracebacks, validation errors and what nobody caught are one JSON line each."""
    token = tokens.hs256({"iss": "a", "iat": 1, "exp": 2}, "s" * 32)
    ended = subprocess.run(
        [sys.executable, "-c", HOSTILE, CANARY, token], capture_output=True, text=True, timeout=60, check=False
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.stderr.isascii()
    assert CANARY not in ended.stderr
    assert token not in ended.stderr
    assert max(map(len, ended.stderr.splitlines())) < 8000
    events = [line["event"] for line in lines]
    assert events[0] == "line\nbreak"
    assert {"odd", "failed", "invalid", "uncaught"} <= set(events)
    assert events.count("uncaught") == 2
    assert next(line for line in lines if line["event"] == "failed")["where"].startswith("fail:")
