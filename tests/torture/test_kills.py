"""kill -9 at any moment under four writers: what was acknowledged is there, what was refused is not.

`TENURE_TORTURE_CYCLES` says how often (3 in the usual tests, 100 in `make torture`, with 200 acknowledged calls each).
"""

import hashlib
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from support.commands import run
from support.house import House
from tenure.simulator.site import Site

CYCLES = int(os.environ.get("TENURE_TORTURE_CYCLES", "3"))
TORTURE = CYCLES > 3
CALLS = 200 if TORTURE else 40
START_S, START_TIMES = 5.0, 4  # with what a child imports; on a busy machine, so many times its very first start
WRITERS = 4


@dataclass
class Notes:
    """What the clients were told, by the fingerprints of their tokens; and how long each start took, in seconds."""

    ok: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    starts: list[float] = field(default_factory=list)


def _write(site: Site, notes: Notes, killed: threading.Event) -> None:
    number = 0
    while not killed.is_set():
        kind, number = ("disabled", "enabled", "enabled")[number % 3], number + 1
        token = site.lifecycle_token(kind, alg="HS256", **({"secret": "x" * 64} if number % 3 == 0 else {}))
        mark = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
        try:
            status = site.send(kind, site.lifecycle_body(kind), token).status
        except httpx.TransportError:
            status = 0
        told = notes.ok if status == 204 else notes.refused if 400 <= status < 500 else notes.unknown
        told.add(mark)


def _cycle(house: House, sites: list[Site], notes: Notes, chance: random.Random) -> list[Site]:
    killed, before = threading.Event(), len(notes.ok)
    threads = [threading.Thread(target=_write, args=(site, notes, killed)) for site in sites]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + 30
    while len(notes.ok) - before < CALLS and time.monotonic() < ends:
        time.sleep(chance.random() / 50)
    house.service.kill()
    killed.set()
    for thread in threads:
        thread.join()
    began = time.monotonic()
    house.restart()
    notes.starts.append(time.monotonic() - began)
    if TORTURE:
        _verify(house)
    return [house.again(site) for site in sites]


def _verify(house: House) -> None:
    told = {name: house.settings[name] for name in ("APP_KEY", "MASTER_KEY")}
    verified = run(house.folder, "log", "verify", settings=told)
    assert verified.status == 0, verified


@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """After kill -9 the log has each acknowledged call, no refused one, a whole chain and the fold's projections."""
    seed = int(os.environ.get("TENURE_TORTURE_SEED", "0")) or random.randrange(1, 1 << 32)
    chance, notes = random.Random(seed), Notes()
    began = time.monotonic()
    with House(tmp_path) as house:
        first = time.monotonic() - began
        sites = [house.installed() for _ in range(WRITERS)]
        for _ in range(CYCLES):
            sites = _cycle(house, sites, notes, chance)
        with house.log() as log:
            there = {event.token_fingerprint for event in log.read()}
        _verify(house)
    slowest = max(notes.starts)
    print(
        f"seed {seed}: {CYCLES} kills, {len(notes.ok)} acknowledged, {len(notes.refused)} refused, "
        f"{len(notes.unknown)} unknown, {len(notes.unknown & there)} of them there; "
        f"start-up at most {slowest:.2f} s, the very first {first:.2f} s"
    )
    assert len(notes.ok) >= CYCLES * CALLS, f"seed {seed}"
    assert not notes.ok - there, f"seed {seed}: acknowledged and lost"
    assert not notes.refused & there, f"seed {seed}: refused and there"
    assert TORTURE or slowest < max(START_S, START_TIMES * first), f"seed {seed}: {slowest:.2f} s to start"
