"""System calls of a serving process fail, from the n-th on or once: writes are 503, checks go on or are 503, nothing
acknowledged is lost, and when the cause is gone it heals without a restart.

`TENURE_TORTURE_NTH` says up to which n (the usual tests take 1 for ever and 5 once; `make torture` 1 to 20, both).
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from support.commands import run
from support.faults import FOR_EVER, Calls, Faults, shim
from support.house import House
from tenure.simulator.site import Site

NTH = int(os.environ.get("TENURE_TORTURE_NTH", "0"))
WHEN = [(n, count) for n in range(1, NTH + 1) for count in (FOR_EVER, 1)] or [(1, FOR_EVER), (5, 1)]
HEALS_S = 10.0
FILES = {"log": "events.db", "decisions": "decisions.db", "keys": "keys.db", "all": ""}
FAULTS = {
    "fsync EIO": (Calls.SYNC, errno.EIO),
    "write EIO": (Calls.WRITE, errno.EIO),
    "write ENOSPC": (Calls.WRITE, errno.ENOSPC),
    "open EIO": (Calls.OPEN, errno.EIO),
    "truncate EIO": (Calls.TRUNCATE, errno.EIO),
}
ALL = [(fault, file) for fault in FAULTS for file in FILES if file == "all" or fault[:5] in ("fsync", "write")]
FEW = [
    ("fsync EIO", "log"),
    ("write ENOSPC", "all"),
    ("write EIO", "decisions"),
    ("fsync EIO", "keys"),
    ("open EIO", "all"),
]


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


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, ready to be preloaded."""
    return shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def faults(compiled: Path, tmp_path: Path) -> Faults:
    """A switch of this test's own."""
    return Faults(tmp_path, compiled)


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "house").mkdir()
    return tmp_path / "house"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("fault", "file"), ALL if NTH else FEW)
def test_the_nth_call_fails(fault: str, file: str, faults: Faults, tmp_path: Path) -> None:
    """Whatever call fails on whichever file: 204 is kept, else 503; only recorded checks pass; it heals by itself."""
    kinds, error = FAULTS[fault]
    with faults.started(), House(_folder(tmp_path)) as house:
        callers = Callers(house)
        for first, count in WHEN:
            told = callers.told
            told.writes, told.checks = [], []
            with faults.of(kinds, error, house.folder / FILES[file], first, count):
                for _ in range(first + 2):
                    callers.write()
                callers.check()
                callers.install()
                callers.check()
            failed = faults.failed
            at = f"{fault} on {file}, number {first}, {failed} failed: {told.writes}, {told.checks}"
            assert set(told.writes) <= {204, 503}, at
            assert set(told.checks) <= ({200} if file in ("log", "keys") else {200, 503}), at
            if file == "log" and count == FOR_EVER:
                assert 503 in told.writes, at
                assert failed, at
            callers.heals()
        callers.nothing_is_lost()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS if NTH else ["write ENOSPC"])
def test_the_nth_call_fails_at_the_start(fault: str, faults: Faults, tmp_path: Path) -> None:
    """A start during which calls fail comes up or says why it does not, and the next without them has everything."""
    kinds, error = FAULTS[fault]
    with faults.started(), House(_folder(tmp_path)) as house:
        callers = Callers(house)
        callers.write()
        for first, count in WHEN:
            house.service.stop()
            try:
                with faults.of(kinds, error, house.folder, first, count):
                    house.restart()
            except RuntimeError as not_started:
                assert "Traceback" not in str(not_started), f"{fault}, number {first}: {not_started}"
        callers.nothing_is_lost()
