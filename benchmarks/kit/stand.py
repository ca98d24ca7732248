"""The contestants as child processes, each in a folder of its own, ended with the row that started them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from kit.store import MASTER
from kit.traffic import APP_KEY, BASE_URL

HERE = Path(__file__).resolve().parent.parent
PEERS = HERE / "peers"
POSTGRES = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin")


class Missing(Exception):  # noqa: N818 (not an error: the row says what is not here)
    """A peer cannot be had on this machine; the message says which and why."""


def clean_environment(**more: str) -> dict[str, str]:
    """This environment less our own settings and any proxy, with what the bench's modules need."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TENURE_") and "proxy" not in name.lower()
    }
    return {**kept, "PYTHONPATH": str(HERE), "NODE_ENV": "production", **more}


class Child:
    """A process with its standard error in a file."""

    def __init__(
        self, command: Sequence[str], folder: Path, name: str, environment: Mapping[str, str], stdin: int | None = None
    ) -> None:
        self.log = folder / f"{name}.log"
        self._errors = self.log.open("wb")
        self.process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self._errors, start_new_session=True,
        )  # fmt: skip

    def line(self) -> str:
        """The next line it prints; RuntimeError with the end of its log if it ends instead."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline().decode().strip()
        if not text:
            raise RuntimeError(f"{self.log.stem} ended: {self.log.read_text()[-2000:]}")
        return text

    def memory(self) -> float:
        """Resident memory of the process, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def stop(self) -> None:
        """Ends it, by force after 10 s."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


class Tenure(Child):
    """`tenure serve` on a furnished folder, free ports."""

    def __init__(self, folder: Path, **settings: str) -> None:
        full = {"APP_KEY": APP_KEY, "BASE_URL": BASE_URL, "MASTER_KEY": MASTER, "FORWARD_AUTH": "nginx", **settings}
        environment = clean_environment(**{f"TENURE_{name}": value for name, value in full.items()}, PYTHONSAFEPATH="1")
        command = [sys.executable, "-m", "tenure", "serve", "--port", "0", "--internal-port", "0"]
        super().__init__(command, folder, "tenure", environment)
        self.port, self.internal_port = self._ports()
        ready(self.port, "/healthz")

    def _ports(self) -> tuple[int, int]:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if '"event": "serving"' in line and line.endswith("}"):
                    told = json.loads(line)
                    return _port(told["public"]), _port(told["internal"])
            time.sleep(0.002)
        raise RuntimeError(f"tenure did not start: {self.log.read_text()[-2000:]}")


class Node(Child):
    """A peer of peers/*.js; `bench` is what it is told."""

    def __init__(self, script: str, folder: Path, bench: Mapping[str, Any], **environment: str) -> None:
        need_node()
        told = clean_environment(BENCH=json.dumps(bench), **environment)
        super().__init__(["node", str(PEERS / script)], folder, script, told)
        self.port = int(self.line())


class Python(Child):
    """A server of ours that prints its port: kit.answerer, peers/bare.py."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        super().__init__([sys.executable, *arguments], folder, name, clean_environment())
        self.port = int(self.line())


class Load(Child):
    """The load generator."""

    def __init__(self, folder: Path) -> None:
        super().__init__([sys.executable, "-m", "kit.load"], folder, "load", clean_environment(), subprocess.PIPE)

    def run(self, **command: Any) -> dict[str, Any]:
        """Carries out one command, see kit.load; RuntimeError if any answer was not as expected."""
        stdin: IO[bytes] | None = self.process.stdin
        assert stdin is not None
        stdin.write(json.dumps(command, default=str).encode() + b"\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(self.line())
        if answer["failed"]:
            raise RuntimeError(f"{answer['failed']} of {answer['done']} calls failed: {answer['statuses']}")
        return answer


class Postgres:
    """A server on a socket and a free port, run by a user that is not root, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        found = [
            place
            for place in (*POSTGRES, os.path.dirname(shutil.which("postgres") or ""))
            if place and Path(place, "postgres").exists()
        ]
        if not found:
            raise Missing("PostgreSQL's server is not here")
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        self._bin, self._data, self.port = found[0], folder / "pg", free_port()
        self._data.mkdir()
        if self._as:
            shutil.chown(self._data, "postgres", "postgres")
        self._run("initdb", "-D", str(self._data), "-U", "bench", "-A", "trust", "-E", "UTF8")
        options = f"-p {self.port} -h 127.0.0.1 -k {self._data} -c max_connections=100"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-o", options, "-l", str(self._data / "log"), "start")
        self.url = f"postgres://bench@127.0.0.1:{self.port}/postgres"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, str(Path(self._bin, program)), *arguments], capture_output=True, cwd="/", check=False
        )
        if done.returncode:
            raise Missing(f"{program} failed: {done.stderr.decode()[-500:]}")

    def stop(self) -> None:
        """Ends the server."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "stop")


def need_node() -> None:
    """Missing, unless node is here and the peers are installed."""
    if shutil.which("node") is None:
        raise Missing("node is not here")
    if not (PEERS / "node_modules" / ".stamp").exists():
        raise Missing("the npm peers could not be installed (benchmarks/peers/install.log says why)")


def started(stack: ExitStack, make: Callable[[], Any]) -> Any:
    """What `make` starts, stopped when the stack closes."""
    made = make()
    stack.callback(made.stop)
    return made


def ready(port: int, path: str) -> None:
    """Waits until the port answers a GET with any status."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            if connection.recv(64).startswith(b"HTTP/1.1"):
                return
        time.sleep(0.002)
    raise RuntimeError(f"nothing answers on port {port}")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
