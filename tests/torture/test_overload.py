"""More writes than a slow disk can take, with checks besides: nothing acknowledged is lost, and what Jira never repeats
goes before what it can do without.

`TENURE_TORTURE_OVER` says how many times the sustainable writes are offered (2 in the usual tests, 10 in `make
torture`, where the times are looked at, too).
"""

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support.faults import Faults, shim
from support.flood import request
from support.house import House, at_once
from support.offered import Answered, Offer, every, offer, slowest
from tenure.simulator.site import Site

OVER = int(os.environ.get("TENURE_TORTURE_OVER", "2"))
TORTURE = OVER > 2
SECONDS = 10 if TORTURE else 2
SITES = 800 if TORTURE else 200
FSYNC_S = 1.0
SUSTAINABLE = 128 / FSYNC_S  # a transaction takes so many, and one fsync
CHECKS = 200 if TORTURE else 50
SHED = ("enabled", "disabled", "forged")  # these wait for no write, so a 503 is at once

Make = Callable[[float, int], Offer]


def calls(house: House, sites: list[Site], *kinds: str, forged: bool = False) -> Make:
    """Lifecycle calls of these kinds, the sites taking turns."""
    turns = itertools.cycle(sites)

    def make(due: float, number: int) -> Offer:
        site, kind = next(turns), kinds[number % len(kinds)]
        alg = "RS256" if kind in ("installed", "uninstalled") else "HS256"
        odd = {"secret": "x" * 64} if forged else {}
        token = site.lifecycle_token(kind, alg=alg, number=number, **odd)
        extra = {"sharedSecret": site.secret} if kind == "installed" else {}
        body = json.dumps(site.lifecycle_body(kind, extra)).encode()
        mark = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
        return Offer(due, "forged" if forged else kind, house.url, request(f"/{kind}", token, body=body), mark)

    return make


def checks(house: House, sites: list[Site]) -> list[Offer]:
    """Honest page loads."""

    def make(due: float, number: int) -> Offer:
        token = sites[number % len(sites)].page_token("GET", "/page", number=number)
        head = f"x-original-method: GET\r\nx-original-uri: /page\r\nauthorization: JWT {token}\r\n"
        raw = f"GET /forward-auth HTTP/1.1\r\nhost: a\r\n{head}\r\n".encode()
        return Offer(due, "check", house.service.internal_url, raw)

    return every(CHECKS, SECONDS, make)


def _recorded(house: House) -> int:
    with house.decisions() as decisions:
        return int(sum(row["counted"] - row["withdrawn"] for row in decisions.totals()))


def _tell(got: list[Answered], calm: float) -> None:
    by: dict[tuple[str, int], list[float]] = {}
    for one in got:
        by.setdefault((one.label, one.status), []).append(one.took)
    told = [f"{label} {status} {len(took)} ({sorted(took)[len(took) // 2] * 1e3:.0f} ms)"
            for (label, status), took in sorted(by.items())]  # fmt: skip
    print(f"told: {OVER} times {SUSTAINABLE:.0f}/s, median times: {', '.join(told)}")
    shed = [one for one in got if one.label in SHED and one.status == 503]
    during = slowest([one for one in got if one.label == "check"], 0.99)
    print(f"told: p99 of {len(shed)} writes turned away {slowest(shed, 0.99) * 1e3:.0f} ms; p99 of {CHECKS} checks a "
          f"second {during * 1e3:.0f} ms, {during / calm:.1f} times the calm {calm * 1e3:.0f} ms; load "
          f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")  # fmt: skip


@pytest.mark.timeout(300)
def test_more_writes_than_the_disk_takes(tmp_path: Path) -> None:
    """What was acknowledged is there and every answer was recorded; `enabled` and `disabled` are turned away first, and
    forged calls are refused without a write.
    """
    faults = Faults(tmp_path, shim(tmp_path))
    (tmp_path / "house").mkdir()
    with faults.started(), House(tmp_path / "house") as house, httpx.Client(trust_env=False, timeout=30) as client:
        sites = [house.site(client=client) for _ in range(SITES)]
        assert {sent.status for sent in at_once([site.install for site in sites], 8)} == {204}
        leaving, there = sites[: SITES // 4], sites[SITES // 4 :]
        fresh = [house.site(client=client) for _ in range(10 * SECONDS)]
        with faults.slow(FSYNC_S, house.folder):
            warm = offer(checks(house, there))  # the first checkpoint of the decision log finds out that it is slow
            calm = offer(checks(house, there))
            got = offer([
                *checks(house, there),
                *every(SUSTAINABLE * OVER, SECONDS, calls(house, there, "enabled", "disabled")),
                *every(10, SECONDS, calls(house, leaving, "uninstalled")),
                *every(10, SECONDS, calls(house, fresh, "installed")),
                *every(10, SECONDS, calls(house, there, "enabled", "disabled", forged=True)),
            ])  # fmt: skip
        recorded = _recorded(_stopped(house))
        with house.log() as log:
            marks = {event.token_fingerprint for event in log.read()}
    unanswered = sum(one.status == 0 for one in [*warm, *calm, *got])
    answered = SITES + len(warm) + len(calm) + len(got) - unanswered
    _tell(got, slowest(calm, 0.99))
    print(f"told: {recorded} decisions recorded, {answered} requests answered, {unanswered} not")
    taken = Counter(one.label for one in got if one.status == 204)
    offered = Counter(one.label for one in got)
    assert not {one.mark for one in got if one.status == 204} - marks, "acknowledged and lost"
    assert not {one.mark for one in got if one.label == "forged"} & marks, "forged and believed"
    assert {one.status for one in got if one.label == "forged"} <= {0, 401, 503}
    assert answered <= recorded <= answered + unanswered
    first = (taken["enabled"] + taken["disabled"]) / (offered["enabled"] + offered["disabled"])
    last = taken["uninstalled"] / offered["uninstalled"]
    assert first < 1, "nothing was turned away: the disk took it all"
    if TORTURE:
        assert last > first


def _stopped(house: House) -> House:
    house.service.stop()
    return house
