"""`make bench`: every row in turn, one table, results as JSON. `--quick`: does it run (4 minutes).

Quick figures are no figures: they go to results/quick.json, which is not kept. A full run writes results/latest.json,
from which `docs/making/speed.py` makes the README's table, a page and its plots. The machine should have nothing else
to do; its load before the run is printed and kept.
"""

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.bench import Bench
from kit.measure import Figure
from kit.stand import Missing

HERE = Path(__file__).resolve().parent
ROWS = (
    "check", "webhook_ace", "webhook_map", "webhook_bare", "installed", "appends", "idle", "forward_auth_scale",
    "rebuild",
)  # fmt: skip


def main() -> int:
    """Runs the rows that were asked for; exit status 1 if one of them broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small counts: does it run")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    arguments = parser.parse_args()
    results = HERE / "results" / ("quick.json" if arguments.quick else "latest.json")
    work = HERE / ".work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        broken = _run(Bench(arguments.quick, work), arguments.only, results)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if broken else 0


def _run(bench: Bench, names: tuple[str, ...], results: Path) -> int:
    kept: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    broken, began = 0, time.monotonic()
    print(_machine_line(), flush=True)
    print(f"{'':68} {'figure':>8}  {'spread':>15}  {'asked':>7} {'goal':>6}")
    for name in names:
        start = time.monotonic()
        row: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine()}
        try:
            module = importlib.import_module(f"rows.{name}")
            figures = module.run(bench)
            row |= {"what": (module.__doc__ or "").strip(), "figures": [figure.as_json() for figure in figures]}
            for figure in figures:
                print(_line(figure), flush=True)
        except (Missing, ImportError) as missing:
            row |= {"missing": str(missing)}
            print(f"{name}: not measured, {missing}", flush=True)
        except Exception:
            broken += 1
            row |= {"broken": traceback.format_exc(limit=3)}
            print(f"{name}: broken\n{traceback.format_exc()}", flush=True)
        row["seconds"] = round(time.monotonic() - start, 1)
        print(f"  {name} took {row['seconds']:.0f} s", flush=True)
        kept[name] = row
        results.parent.mkdir(exist_ok=True)
        results.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"all took {(time.monotonic() - began) / 60:.1f} minutes; {results.relative_to(HERE.parent)}")
    return broken


def _line(figure: Figure) -> str:
    unit, bound = "×" if figure.kind == "ratio" else f" {figure.unit}", figure.bound
    spread = f"{figure.spread[0]:.2f} to {figure.spread[1]:.2f}"
    asked = f"{'≥' if bound.least else '≤'} {bound.limit:g}" if bound else ""
    goal = f"{bound.goal:g}" if bound and bound.goal else ""
    line = f"{figure.name:68} {figure.figure:7.2f}{unit}  {spread:>15}  {asked:>7} {goal:>6}  {figure.verdict}"
    return "\n    ".join([line, *figure.notes])


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(), "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def _machine_line() -> str:
    told = _machine()
    warning = "; THE MACHINE IS BUSY, these figures are worth little" if told["load"] > 0.5 else ""
    return (
        f"{told['system']}, {told['cores']} cores, Python {told['python']}, load before the run {told['load']}{warning}"
    )


if __name__ == "__main__":
    sys.exit(main())
