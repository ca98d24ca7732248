"""Runs commands of `tenure` in this process, as a person would in a folder of his own."""

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from typer.testing import CliRunner

from tenure.cli.main import app


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did. `out` and `err` apart, `status` its exit status."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The output as JSON lines."""
        return [orjson.loads(line) for line in self.out.splitlines()]


def run(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> Ran:
    """`tenure *arguments` in `folder`, with these TENURE_ settings and no others."""
    clean = {name: None for name in os.environ if name.startswith("TENURE_")}
    given = {f"TENURE_{name}": value for name, value in (settings or {}).items()}
    with chdir(folder):
        result = CliRunner().invoke(app, arguments, env={**clean, **given})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def free_port() -> int:
    """A port of the loopback that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which does not outlive the block: a case that fails in it would else wait for its end for ever."""
    with process:
        try:
            yield process
        finally:
            process.kill()
