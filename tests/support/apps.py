"""The apps of the how-tos, run by uvicorn as children, and Node for what runs in a browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

from support.proxies import HOW_TO, free_port

APPS = HOW_TO / "apps"


class App:
    """`docs/how-to/apps/<module>.py` on a free port, until it is closed."""

    def __init__(self, module: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = folder / f"{module}.output"
        # fmt: off
        command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--app-dir", str(APPS), "--port", str(self.port),
                   "--no-access-log"]
        # fmt: on
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=environment)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"the app did not start: {self.written()[-2000:]}")

    def written(self) -> str:
        """What the app printed."""
        return self._output.read_text()

    def close(self) -> None:
        """Ends it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def node(script: str) -> str:
    """What Node prints for a script; skips without it, or fails where all how-tos are to be tried."""
    program = shutil.which("node")
    if program is None:
        sentence = "node is not here: the front end's script is not tried (.ci/run installs it)"
        if os.environ.get("TENURE_REQUIRE_PROXIES") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    done = subprocess.run([program, "-e", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
