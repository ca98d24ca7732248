"""`make torture`: each part once at its full size, one table of what came of it; exit 1 if anything bad came."""

import os
import re
import subprocess
import sys
import time
from typing import Final

# part, what it is, its tests, what is added to the environment
PARTS: Final[tuple[tuple[str, str, str, dict[str, str]], ...]] = (
    ("attacks", "a request each, every oracle after it", "tests/attacks", {}),
    ("kill -9", "100 kills under 4 writers", "tests/torture/test_kills.py", {"TENURE_TORTURE_CYCLES": "100"}),
)
BOUND_S: Final = 900
_COUNT: Final = re.compile(r"(\d+) passed")


def main() -> int:
    """Runs the parts one after the other."""
    bad = 0
    print(f"{'part':<9} {'tried':<40} {'count':>6} {'outcome':<8} {'seconds':>8}")
    for part, what, tests, more in PARTS:
        began = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--no-header", "-rP", "-p", "no:cacheprovider", tests],
            env=os.environ | more, capture_output=True, text=True, check=False, timeout=BOUND_S,
        )  # fmt: skip
        found = _COUNT.search(ran.stdout)
        outcome = "bad" if ran.returncode else "good"
        took = time.monotonic() - began
        print(f"{part:<9} {what:<40} {found[1] if found else '0':>6} {outcome:<8} {took:>8.1f}", flush=True)
        notes = [line for line in ran.stdout.splitlines() if line.startswith(("seed ", "FAILED"))]
        print("".join(f"          {note}\n" for note in notes), end="", flush=True)
        bad += ran.returncode != 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
