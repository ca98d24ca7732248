"""A shell in which a page of the docs is followed from top to bottom, as a reader would."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.pages import ROOT, Page

PATIENCE = 300.0
SET_UP = ROOT / "tests" / "support" / "set_up"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "*_cache", ".hypothesis", "__pycache__", "build", "dist", "site", "*.egg-info", "*.db*", "*.key"
)


@dataclass(frozen=True, slots=True)
class Background:
    """A command that goes on; its output so far is in `file`."""

    text: str
    file: Path

    @property
    def output(self) -> str:
        return self.file.read_text(errors="replace")


class Shell:
    """One bash; what is exported, where it stands and what runs behind it stay from block to block."""

    def __init__(self, folder: Path, scratch: Path, *, as_printed: bool) -> None:
        self.scratch = scratch
        self.background: list[Background] = []
        self._count = 0
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TENURE_", "VIRTUAL_ENV"))}
        clean |= {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120", "HOME": str(scratch), "PYTHONUNBUFFERED": "1"}
        clean |= {"SET_UP": str(SET_UP)}
        clean.pop("PYTHONSAFEPATH", None)
        if not as_printed:
            clean |= {"PATH": f"{Path(sys.prefix) / 'bin'}:{clean['PATH']}", "PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=clean,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def run(self, text: str, *, careful: bool) -> tuple[int, str]:
        """Exit status and output of commands; `careful`: the first that fails ends them all, and the shell."""
        script, output = self._written(f"set -e\n{text}\nset +e\n" if careful else text)
        self._say(f"source {script} >{output} 2>&1 </dev/null; echo $?")
        status = self._status()
        return status, output.read_text(errors="replace")

    def start(self, text: str, until: str) -> Background:
        """Starts commands in the background and waits for a text in their output, or AssertionError."""
        script, output = self._written(text)
        self._say(f"source {script} >{output} 2>&1 </dev/null & echo $?")
        self._status()
        started = Background(text, output)
        self.background.append(started)
        wait_for(lambda: until in started.output, lambda: f"{until!r} did not come from {text}:\n{started.output}")
        return started

    def close(self) -> None:
        """Ends the shell and all it has started."""
        for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._process.pid, sign)
                deadline = time.monotonic() + patience
                while time.monotonic() < deadline:
                    self._process.poll()
                    os.killpg(self._process.pid, 0)
                    time.sleep(0.02)
            except ProcessLookupError:
                break
        self._process.communicate()

    def _written(self, text: str) -> tuple[Path, Path]:
        self._count += 1
        script, output = self.scratch / f"{self._count}.sh", self.scratch / f"{self._count}.out"
        script.write_text(text)
        output.touch()
        return script, output

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")

    def _status(self) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert ready, "the commands do not end"
        line = self._process.stdout.readline().strip()
        return int(line) if line else self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_for(holds: Callable[[], object], message: Callable[[], str], patience: float = 30.0) -> None:
    """Waits until something holds; AssertionError with the message if it does not in time."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, message()
        time.sleep(0.05)


def place(page: Page, folder: Path) -> Path:
    """The folder in which a page is followed: empty, a copy of the checkout, or empty beside one."""
    if page.place == "empty":
        return folder
    copy = folder / "tenure"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "requirements-dev.lock", "requirements.lock"):
        os.utime(copy / name, (0, 0))  # older than any stamp: make must not set up the environment under test anew
    if page.place == "beside a checkout":
        return folder
    assert page.place == "checkout", f"{page.name}: no such place: {page.place}"
    (copy / ".venv").symlink_to(sys.prefix)
    return copy


def distance(ports: frozenset[int], *, as_printed: bool) -> int:
    """By how much a page's ports are moved, so that all of them are free here; 0, if they are to stay and can."""
    if as_printed and all(_free(port) for port in ports):
        return 0
    start = 1000 + os.getpid() * 37 % 9000
    for step in range(start, start + 20000, 101):
        if all(_free(port + step) for port in ports):
            return step
    raise AssertionError("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port < 32768
