"""Other people's programs as children on free ports."""

import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Child:
    """A program that listens on a port, until it is closed. `command` is made for a port; `ready` says whether the
    program answers there. One that ends at once, as when the port was taken meanwhile, is tried anew on another.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], command: Callable[[int], list[str]],
        ready: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self._output = folder / "output"
        for _ in range(3):
            self.port = free_port()
            with self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    command(self.port), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output,
                )  # fmt: skip
            try:
                if self._came_up(ready):
                    return
            except BaseException:
                self.close()
                raise
            self.close()
        raise RuntimeError(f"it did not start: {self.printed()[-2000:]}")

    def _came_up(self, ready: Callable[[int], bool]) -> bool:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            if ready(self.port):
                return self._process.poll() is None
            time.sleep(0.02)
        return False

    def printed(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    def close(self) -> None:
        """SIGTERM, then SIGKILL."""
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
