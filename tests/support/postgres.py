"""A real PostgreSQL for the tests: a cluster in a temporary folder, on a free port, run by a user who is not root.

Binaries are taken from PATH or from where Debian's package `postgresql` puts them. Where there are none the tests that
need them say so and are left out, unless TENURE_REQUIRE_POSTGRES=1: then they fail.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "log_checkpoints": "off",
    "shared_buffers": "32MB",
}


def binaries() -> Path | None:
    """The folder of initdb and postgres, if there is one."""
    places = [Path(found).resolve().parent for name in ("initdb",) if (found := shutil.which(name))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def require() -> Path:
    """The binaries' folder, or the test is left out (fails where PostgreSQL is required)."""
    found = binaries()
    if found is None:
        say = pytest.fail if os.environ.get("TENURE_REQUIRE_POSTGRES") == "1" else pytest.skip
        say("no PostgreSQL here: install Debian's postgresql, or put initdb and postgres on PATH")
    return found


def _unprivileged() -> Callable[[], None] | None:
    # PostgreSQL refuses to run as root
    if os.geteuid() != 0:
        return None
    names = [name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}]
    entry = pwd.getpwnam(names[0])
    return partial(_become, entry.pw_uid, entry.pw_gid)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """One PostgreSQL server; `standby_of` makes it a streaming copy of another."""

    def __init__(self, standby_of: "Cluster | None" = None, **settings: str) -> None:
        self._bin = require()
        self._become = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="tenure-pg-"))
        if self._become is not None:
            entry = pwd.getpwuid(self._become.args[0])  # type: ignore[attr-defined]
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.port = free_port()
        self._data = self.folder / "data"
        try:
            if standby_of is None:
                self._run("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8",
                          "--locale=C")  # fmt: skip
            else:
                self._run("pg_basebackup", "-D", self._data, "-d", standby_of.url(), "-R", "-X", "stream", "-c", "fast",
                          "--no-sync")  # fmt: skip
            chosen = _SETTINGS | settings | {"port": str(self.port)}
            with (self._data / "postgresql.conf").open("a") as out:
                out.writelines(f"{name} = '{value}'\n" for name, value in chosen.items())
            self.start()
        except BaseException:
            self.close()
            raise

    def _run(self, name: str, *arguments: Any) -> None:
        found = subprocess.run(
            [self._bin / name, *map(str, arguments)],
            preexec_fn=self._become,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        if found.returncode:
            raise RuntimeError(f"{name} failed: {found.stdout}")

    def control(self, *arguments: str) -> None:
        """pg_ctl; waits."""
        self._run("pg_ctl", "-D", self._data, "-s", "-w", "-t", "50", "-l", self.folder / "log", *arguments)

    def start(self) -> None:
        """Starts the server; waits until it answers."""
        self.control("start")

    def stop(self, mode: str = "fast") -> None:
        """Stops it; `immediate` is as a crash."""
        self.control("stop", "-m", mode)

    def promote(self) -> None:
        """Makes a standby the primary."""
        self.control("promote")

    def replicate_to_standby(self) -> None:
        """From now on a commit returns when the standby has it, too."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")

    def signal(self, what: signal.Signals) -> None:
        """A signal to every process of the server: SIGSTOP cuts it off with its sockets open, SIGCONT lets it go on."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):  # one that ended meanwhile
                os.kill(one, what)

    def url(self, database: str = "postgres", *others: "Cluster", user: str = "postgres") -> str:
        """The URL of a database; `others` are further hosts to try."""
        hosts = ",".join(f"127.0.0.1:{cluster.port}" for cluster in (self, *others))
        return f"postgresql://{user}@{hosts}/{database}"

    def database(self) -> str:
        """A new, empty database's name."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return name

    def close(self) -> None:
        """Ends the server and removes its files; one whose files were taken away ends by itself."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.signal(signal.SIGCONT)
                with contextlib.suppress(RuntimeError):
                    self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
