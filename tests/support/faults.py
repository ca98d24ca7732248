"""System calls of a real child that fail: a shim in C, compiled here, preloaded into the child, told through a file.

Without a C compiler these tests are skipped with a word, or fail where TENURE_REQUIRE_FAULTS is 1.
"""

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntFlag
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[1] / "torture" / "faults.c"
FOR_EVER: Final = 1 << 30
_HEAD = struct.Struct("=7i")
_PREFIX = 1024


class Calls(IntFlag):
    """The kinds of system calls that can be made to fail."""

    SYNC = 1
    WRITE = 2
    OPEN = 4
    TRUNCATE = 8


def skip(why: str) -> None:
    """Skips with a word, or fails where nothing may be skipped."""
    if os.environ.get("TENURE_REQUIRE_FAULTS") == "1":
        pytest.fail(why)
    pytest.skip(why)


def shim(folder: Path) -> Path:
    """The shim, compiled into a folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        skip("no C compiler (cc or gcc): system calls cannot be made to fail")
    made = folder / "faults.so"
    command = [str(compiler), "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(made), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return made


class Faults:
    """The switch of one child (and what it starts). `started` is the environment to start it in."""

    def __init__(self, folder: Path, compiled: Path) -> None:
        self._file, self._shim = folder / "faults", compiled
        self._file.write_bytes(bytes(_HEAD.size + _PREFIX))
        with self._file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 0)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Children started within get the shim."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self._shim))
            patch.setenv("FAULTS_CONTROL", str(self._file))
            yield

    @contextmanager
    def of(self, kinds: Calls, error: int, prefix: Path, first: int = 1, count: int = FOR_EVER) -> Iterator[None]:
        """From the `first` such call on `count` of them fail, on files whose path begins with `prefix`."""
        self._below(prefix)
        # what switches it on comes last, and goes first
        self._shared[4 : _HEAD.size] = _HEAD.pack(0, error, first, first + count - 1, 0, 0, 0)[4:]
        self._shared[:4] = struct.pack("=i", kinds)
        try:
            yield
        finally:
            self._shared[:4] = bytes(4)

    @contextmanager
    def slow(self, seconds: float, prefix: Path) -> Iterator[None]:
        """Every fsync of files whose path begins with `prefix` takes so much longer."""
        self._below(prefix)
        self._shared[_HEAD.size - 4 : _HEAD.size] = struct.pack("=i", round(seconds * 1e6))
        try:
            yield
        finally:
            self._shared[_HEAD.size - 4 : _HEAD.size] = bytes(4)

    def _below(self, prefix: Path) -> None:
        text = os.fsencode(prefix.resolve())
        self._shared[_HEAD.size :] = text + bytes(_PREFIX - len(text))

    @property
    def failed(self) -> int:
        """How many calls were made to fail since it was last switched on."""
        return int(_HEAD.unpack(self._shared[: _HEAD.size])[5])
