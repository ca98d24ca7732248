"""The apps of the how-tos, run by uvicorn as children, and Node for what runs in a browser."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.children import Child
from support.proxies import HOW_TO

APPS = HOW_TO / "apps"


class App(Child):
    """`docs/how-to/apps/<module>.py` under uvicorn, until it is closed."""

    def __init__(self, module: str, folder: Path) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        uvicorn = [sys.executable, "-m", "uvicorn", f"{module}:app", "--app-dir", str(APPS), "--no-access-log"]
        super().__init__(folder, environment, lambda port: [*uvicorn, "--port", str(port)], _listens)
        self.url = f"http://127.0.0.1:{self.port}"


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


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
