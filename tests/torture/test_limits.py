"""A serving process meets the limits of its machine: no file may grow, no descriptor is left, the disk is full.

As with calls that fail: writes are 503, checks go on or are 503, nothing acknowledged is lost, and once there is room
the same process goes on.
"""

import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from support.callers import Callers
from support.house import House

TMPFS_BYTES = 8 * 1024 * 1024


@contextmanager
def limited(house: House, kind: int, soft: int) -> Iterator[None]:
    """The running service under a lower limit."""
    before = resource.prlimit(house.service.pid, kind)
    resource.prlimit(house.service.pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(house.service.pid, kind, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; root alone may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES},mode=0700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here: a full one is not tried")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left on the disk."""
    with (disk / "filling").open("wb", buffering=0) as filling:
        for size in (65536, 4096, 1):
            try:
                while filling.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        (disk / "filling").unlink()


def test_no_file_may_grow(tmp_path: Path) -> None:
    """Under a file size limit of what the log already has, and of nothing, writes are 503 and it heals by itself."""
    with House(tmp_path) as house:
        callers = Callers(house)
        for soft in (Path(f"{house.folder}/events.db-wal").stat().st_size, 0):
            with limited(house, resource.RLIMIT_FSIZE, soft):
                callers.some()
            assert set(callers.told.writes) <= {204, 503}
            assert set(callers.told.checks) <= {200, 503}
            callers.heals()
        assert 503 in callers.told.writes
        callers.nothing_is_lost()


def _descriptors(house: House) -> set[int]:
    return {int(name) for name in os.listdir(f"/proc/{house.service.pid}/fd")}


def _cpu(house: House) -> float:
    """The seconds of CPU that the service has used so far."""
    fields = Path(f"/proc/{house.service.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """With no descriptor left, who is connected is answered, others are turned away; then all are answered again."""
    with House(tmp_path) as house, httpx.Client(trust_env=False, timeout=10) as kept, ExitStack() as idle:
        callers = Callers(house)
        url = f"{house.service.internal_url}/forward-auth"
        assert kept.get(url, headers=callers.page_headers()).status_code == 200
        address = httpx.URL(house.service.url)
        with limited(house, resource.RLIMIT_NOFILE, max(_descriptors(house)) + 1):
            for _ in range(max(_descriptors(house)) + 1 - len(_descriptors(house))):
                idle.enter_context(socket.create_connection((address.host, address.port or 0)))
            assert [kept.get(url, headers=callers.page_headers()).status_code for _ in range(5)] == [200] * 5
            assert kept.get(url, headers=callers.page_headers(secret="x" * 64)).status_code == 401
            began = time.monotonic()
            assert [callers.write() for _ in range(3)] == [0, 0, 0]
            assert time.monotonic() - began < 5, "kept waiting, not turned away"
            used, began = _cpu(house), time.monotonic()
            time.sleep(1)
            assert _cpu(house) - used < (time.monotonic() - began) / 5, "goes round and round for want of a descriptor"
        callers.heals()
        callers.nothing_is_lost()


def test_the_disk_is_full(small_disk: Path) -> None:
    """On a full disk writes are 503 and no check that is not recorded passes; with room again it heals by itself."""
    (small_disk / "house").mkdir()
    with House(small_disk / "house") as house:
        callers = Callers(house)
        with filled(small_disk):
            callers.some(24)
        assert set(callers.told.writes) <= {204, 503}
        assert 503 in callers.told.writes
        assert set(callers.told.checks) <= {200, 503}
        callers.heals()
        callers.nothing_is_lost()


@pytest.mark.parametrize("ballast", ["0", "1"])
def test_a_start_on_a_full_disk(ballast: str, small_disk: Path) -> None:
    """A start on a full disk comes up or says what is wrong, with a ballast it comes up; with room again the next has
    everything, and a ballast anew.
    """
    (small_disk / "house").mkdir()
    with House(small_disk / "house", {"BALLAST_MB": ballast}) as house:
        callers = Callers(house)
        callers.write()
        house.service.kill()
        said = ""
        with filled(small_disk):
            try:
                house.restart()
            except RuntimeError as not_started:
                said = str(not_started)
            if ballast == "1":
                assert said == ""
                _goes_on_without_ballast(house, callers)
        assert "Traceback" not in said
        assert "damaged" not in said
        callers.nothing_is_lost()
        assert (house.folder / "events.db-ballast").exists() is (ballast == "1")


def _goes_on_without_ballast(house: House, callers: Callers) -> None:
    assert not (house.folder / "events.db-ballast").exists()
    assert "ballast given up" in house.service.output
    ready = httpx.get(f"{house.service.internal_url}/readyz", trust_env=False, timeout=15).json()
    assert any("BALLAST_MB" in notice for notice in ready["notices"])
    callers.site = house.again(callers.site)
    assert [callers.write(), callers.install(), callers.check()] == [204, 204, 200]
