"""`make torture`: each part once at its full size, one table of what came of it; exit 1 if anything bad came. Named
parts only: TORTURE="attacks kills".

What came of each part is kept in benchmarks/results/torture.json, from where it goes into the docs.
"""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

# part, what it is, its tests, what is added to the environment
PARTS: Final[tuple[tuple[str, str, str, dict[str, str]], ...]] = (
    ("attacks", "a request each, every oracle after it", "tests/attacks", {}),
    (
        "kills",
        "100 kills with SIGKILL under 4 writers",
        "tests/torture/test_kills.py",
        {"TENURE_TORTURE_CYCLES": "100"},
    ),
    ("faults", "call n = 1…20 fails, 5 kinds, 4 files", "tests/torture/test_faults.py", {"TENURE_TORTURE_NTH": "20"}),
    ("database", "20 crashes, a stop, 2 standbys", "tests/torture/test_database.py", {"TENURE_TORTURE_RESTARTS": "20"}),
    ("limits", "file size, descriptors, full disk", "tests/torture/test_limits.py", {}),
    ("overload", "10 times the writes of a slow disk", "tests/torture/test_overload.py", {"TENURE_TORTURE_OVER": "10"}),
    (
        "slow",
        "600 slow clients, SIGTERM amid them",
        "tests/torture/test_slow_clients.py",
        {"TENURE_TORTURE_CLIENTS": "600"},
    ),
)
# a part that is no pytest run
MUTANTS: Final = ("mutants", "200 small changes of the domain", ("tests/mutants/run.py", "--sample", "200"))
BOUND_S: Final = 900
RESULTS: Final = Path(__file__).parents[2] / "benchmarks" / "results" / "torture.json"
_COUNT: Final = re.compile(r"(\d+) (?:passed|killed)")
_SHOWN: Final = ("seed ", "told: ", "FAILED", "SKIPPED", "not done", "lives: ")
_PYTEST: Final = ("-m", "pytest", "-q", "--no-header", "-rfsP", "-p", "no:cacheprovider")


def _run(arguments: Sequence[str], more: dict[str, str]) -> tuple[int, str]:
    """The exit status of a part, and what it said; a part that takes too long is bad."""
    command = [sys.executable, *arguments]
    try:
        ran = subprocess.run(
            command, env=os.environ | more, capture_output=True, text=True, check=False, timeout=BOUND_S
        )
    except subprocess.TimeoutExpired:
        return 1, f"not done within {BOUND_S} s"
    return ran.returncode, ran.stdout


def main() -> int:
    """Runs the parts one after the other, all of them or those that are named."""
    bad, wanted = 0, sys.argv[1:]
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print(f"{'part':<9} {'tried':<40} {'count':>6} {'outcome':<8} {'seconds':>8}")
    parts: list[tuple[str, str, tuple[str, ...], dict[str, str]]] = [
        (part, what, (*_PYTEST, tests), more) for part, what, tests, more in PARTS
    ]
    parts.append((*MUTANTS, {}))
    for part, what, arguments, more in [one for one in parts if not wanted or one[0] in wanted]:
        began = time.monotonic()
        status, told = _run(arguments, more)
        found = _COUNT.search(told)
        took = time.monotonic() - began
        outcome = "bad" if status else "good"
        print(f"{part:<9} {what:<40} {found[1] if found else '0':>6} {outcome:<8} {took:>8.1f}", flush=True)
        notes = [line for line in told.splitlines() if line.startswith(_SHOWN)]
        print("".join(f"          {note}\n" for note in notes), end="", flush=True)
        bad += status != 0
        kept[part] = {"at": _now(), "machine": _machine(), "tried": what, "count": int(found[1]) if found else 0,
                      "outcome": outcome, "seconds": round(took, 1), "notes": notes}  # fmt: skip
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if bad else 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
