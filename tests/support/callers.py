"""Callers of a service that is being tortured: what they were told, and whether it holds."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from support.commands import run
from support.house import House
from tenure.simulator.site import Site

HEALS_S = 10.0


@dataclass
class Told:
    """What callers were told: fingerprints of believed lifecycle calls, ids of passed checks, all statuses."""

    ok: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    writes: list[int] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)


class Callers:
    """An installed site that writes and asks, and what it was told."""

    def __init__(self, house: House) -> None:
        self.house, self.site, self.told = house, house.installed(), Told()

    def write(self) -> int:
        """One lifecycle call of the site that is there."""
        kind = ("enabled", "disabled")[len(self.told.writes) % 2]
        return self._send(self.site, kind, self.site.lifecycle_token(kind, alg="HS256"), {})

    def install(self) -> int:
        """A site never seen before."""
        fresh = self.house.site()
        token = fresh.lifecycle_token("installed", alg="RS256")
        return self._send(fresh, "installed", token, {"sharedSecret": fresh.secret})

    def some(self, writes: int = 8) -> None:
        """Writes, an install in the middle, and checks."""
        self.told.writes, self.told.checks = [], []
        for number in range(writes):
            self.write()
            if number % 4 == 3:
                self.check()
        self.install()
        self.check()

    def page_headers(self, secret: str | None = None) -> dict[str, str]:
        """What a proxy asks with about a page load."""
        token = self.site.page_token("GET", "/page", secret=secret)
        return {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}"}

    def _send(self, site: Site, kind: str, token: str, extra: dict[str, str]) -> int:
        try:
            status = site.send(kind, site.lifecycle_body(kind, extra), token).status
        except httpx.TransportError:
            status = 0
        self.told.writes.append(status)
        if status == 204:
            self.told.ok.add(hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest())
        return status

    def check(self) -> int:
        """One honest page load, and a forged one, which must not pass whatever fails."""
        forged = self.house.page(self.site, self.site.page_token("GET", "/page", secret="x" * 64))
        assert forged.status_code in (401, 503)
        honest = self.house.page(self.site)
        self.told.checks.append(honest.status_code)
        if honest.status_code == 200:
            self.told.passed.add(honest.headers["x-tenure-decision"])
        return honest.status_code

    def heals(self) -> None:
        """Writes, installs and checks are answered again soon, by the same process."""
        for call, good in ((self.write, 204), (self.install, 204), (self.check, 200)):
            wait_for(call, good)

    def nothing_is_lost(self) -> None:
        """After kill -9 and a start without faults all that was told holds, and the store verifies."""
        with suppress(ProcessLookupError):  # it did not start
            self.house.service.kill()
        self.house.restart()
        with self.house.log() as log:
            there = {event.token_fingerprint for event in log.read()}
        assert not self.told.ok - there, "acknowledged and lost"
        with self.house.decisions() as decisions:
            assert all(decisions.one(decision) for decision in self.told.passed), "passed and not recorded"
        settings = {name: self.house.settings[name] for name in ("APP_KEY", "MASTER_KEY")}
        verified = run(self.house.folder, "log", "verify", settings=settings)
        assert verified.status == 0, verified
        self.site = self.house.again(self.site)
        self.heals()


def wait_for(call: Callable[[], int], good: int) -> None:
    """Until a call is answered well."""
    ends = time.monotonic() + HEALS_S
    while (status := call()) != good:
        assert time.monotonic() < ends, f"still {status}, {HEALS_S} s after the cause was gone"
        time.sleep(0.05)
