"""A `tenure serve` as a child process, for the demo and for tests: the real thing, on free ports."""

import json
import os
import signal
import subprocess  # nosec B404 # each call is looked at
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self


class Service:
    """Starts `serve` in a folder with the given TENURE_ settings and waits until both listeners answer."""

    def __init__(self, folder: Path, settings: Mapping[str, str], *arguments: str, port: int = 0) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
        environment = clean | {f"TENURE_{name}": value for name, value in settings.items()}
        self.lines: list[dict[str, Any]] = []
        self.output = ""
        self._process = subprocess.Popen(  # noqa: S603 # nosec B603 # our own command
            [sys.executable, "-m", "tenure", "serve", "--port", str(port), "--internal-port", "0", *arguments],
            cwd=folder,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        # no line: standard error has ended, and the process is about to
        if not self._serving.wait(30) or not self.lines or self._process.poll() is not None:
            self.stop()
            raise RuntimeError(f"serve did not start: {self.output.strip()}")
        self.url = f"http://{self.lines[0]['public']}"
        self.internal_url = f"http://{self.lines[0]['internal']}"

    def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 (it was asked for)
        for line in self._process.stderr:
            self.output += line
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if found.get("event") == "serving" or self.lines:
                self.lines.append(found)
                self._serving.set()
        self._serving.set()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def kill(self) -> None:
        """kill -9, workers too."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM and the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()
        return self._process.returncode

    def wait(self) -> None:
        """Until it ends."""
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
