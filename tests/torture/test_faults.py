"""System calls of a serving process fail, from the n-th on or once: writes are 503, checks go on or are 503, nothing
acknowledged is lost, and when the cause is gone it heals without a restart.

`TENURE_TORTURE_NTH` says up to which n (the usual tests take 1 for ever and 5 once; `make torture` 1 to 20, both).
"""

import errno
import os
from pathlib import Path

import pytest

from support.callers import Callers
from support.faults import FOR_EVER, Calls, Faults, shim
from support.house import House

NTH = int(os.environ.get("TENURE_TORTURE_NTH", "0"))
WHEN = [(n, count) for n in range(1, NTH + 1) for count in (FOR_EVER, 1)] or [(1, FOR_EVER), (5, 1)]
AT_THE_START = [(n, FOR_EVER) for n in range(1, NTH + 1)] + [(1, 1), (5, 1)] if NTH else [(5, FOR_EVER)]
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
    ("open EIO", "all"),
]


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
            with faults.of(kinds, error, house.folder / FILES[file], first, count):
                callers.some(first + 2)
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
        for first, count in AT_THE_START:
            house.service.stop()
            said = ""
            try:
                with faults.of(kinds, error, house.folder, first, count):
                    house.restart()
            except RuntimeError as not_started:
                said = str(not_started)
            assert "Traceback" not in said, f"{fault}, number {first}: {said}"
            assert "damaged" not in said, f"{fault}, number {first}: {said}"
        callers.nothing_is_lost()
