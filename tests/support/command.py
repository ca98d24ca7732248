"""The command `tenure` as a child, in a house's folder with its settings."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def tenure(
    folder: Path,
    settings: Mapping[str, str],
    *arguments: str,
    status: int | None = 0,
    stdin: str = "",
    through: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Runs a command; `status` is the exit status it must have (None: any), `through` a command that starts it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    run = subprocess.run(
        [*through, sys.executable, "-m", "tenure", *arguments],
        env=clean | {f"TENURE_{name}": value for name, value in settings.items()},
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert status is None or run.returncode == status, run.stderr + run.stdout
    return run


def told(folder: Path, settings: Mapping[str, str], *arguments: str, status: int | None = 0) -> dict[str, Any]:
    """What a command says with `--json`: its first line."""
    found = json.loads(tenure(folder, settings, *arguments, "--json", status=status).stdout.splitlines()[0])
    assert isinstance(found, dict)
    return found
