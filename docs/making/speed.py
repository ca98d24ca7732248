"""What was measured: the README's table, the page with all of it and its plots, from `benchmarks/results`.

`make bench` and `make torture` write the results and then these; nobody types a figure.
"""

import json
import re
from pathlib import Path
from typing import Any

from making import plot

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end of measured -->)", re.DOTALL)

HEAD = """# How fast, and what it withstood

<!-- Made by `make pictures` from benchmarks/results, which `make bench` and `make torture` write. -->

Every figure is a ratio of two contestants measured in turn (A B A B) inside one run on one machine, so that a machine's
mood changes both: the median of the ratios of neighbours, and the least and greatest of them. What is asked of a figure
was set before it was measured; where it falls short, the table says so.
"""
BETWEEN = """
![Each ratio as a bar from 1, with its spread, what is asked and the goal](../pictures/speed-ratios.svg)

![Every single sample the ratios come from](../pictures/speed-samples.svg)

What each row does stands at the head of its file in `benchmarks/rows`. Measure on your own machine with `make bench`
(25 minutes; `make bench BENCH="--only check appends"` for single rows). The peers come from npm and PyPI and are
used by nothing else.
"""
TORTURE = """
## What it withstood

`make torture` attacks, kills, starves and overloads the real service, and counts what must not be: a call believed that
should not have been, one acknowledged and lost, one refused and there, a secret in an answer or a log.
"""


def _figures() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    rows = json.loads((RESULTS / "latest.json").read_text()).values()
    return [(row, figure) for row in rows for figure in row.get("figures", ())]


def ratios() -> str:
    """The bars."""
    return plot.ratios([figure for _, figure in _figures() if figure["kind"] == "ratio"])


def samples() -> str:
    """The samples behind them."""
    return plot.samples([figure for _, figure in _figures() if figure["kind"] == "ratio"])


def page() -> str:
    """The page with every figure."""
    head = "| Tenure / its peer | Figure | Spread | Asked | |\n|---|---|---|---|---|\n"
    lines = "".join(
        f"| {figure['name']} | {_value(figure)} | {figure['spread'][0]:.2f} to {figure['spread'][1]:.2f} "
        f"| {_asked(figure)} | {figure['verdict']} |\n"
        for _, figure in _figures()
    )
    tortured = _torture()
    table = f"\n**Measured on** {_machine(_rows())}.\n\n{head}{lines}"
    run = f"\n**Run on** {_machine(list(tortured.values()))}.\n\n{_parts(tortured)}"
    return f"{HEAD}{table}{_missing()}{BETWEEN}{TORTURE}{run}"


def readme() -> str:
    """The README with its table."""
    head = "| Tenure / its peer | Times | Asked |\n|---|---|---|\n"
    lines = "".join(
        f"| {figure['name']} | {_value(figure)}{_short(figure)} | {_asked(figure)} |\n"
        for _, figure in _figures()
        if figure["bound"]
    )
    tortured = _torture()
    parts = f"Withstood ({_machine(list(tortured.values()))}):\n\n{_parts(tortured, notes=False)}"
    text = f"\nMeasured on {_machine(_rows())}:\n\n{head}{lines}\n{parts}\n"
    return _BLOCK.sub(lambda _: text, README.read_text())


def _rows() -> list[dict[str, Any]]:
    return list(json.loads((RESULTS / "latest.json").read_text()).values())


def _torture() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "torture.json").read_text())
    return found


def _value(figure: dict[str, Any]) -> str:
    return f"{figure['figure']:.2f} ×" if figure["kind"] == "ratio" else f"{figure['figure']:.1f} {figure['unit']}"


def _short(figure: dict[str, Any]) -> str:
    return "" if figure["verdict"] == "met" else " (falls short)"


def _asked(figure: dict[str, Any]) -> str:
    bound = figure["bound"]
    if bound is None:
        return ""
    sign, goal = "≥" if bound["least"] else "≤", f" (goal {bound['goal']:g})" if bound["goal"] else ""
    return f"{sign} {bound['limit']:g}{goal}"


def _machine(rows: list[dict[str, Any]]) -> str:
    told = rows[0]["machine"]
    days = sorted({row["at"][:10] for row in rows})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{told['cores']} virtual cores, {told['system']}, Python {told['python']}, {when}"


def _missing() -> str:
    rows = json.loads((RESULTS / "latest.json").read_text())
    said = {name: row.get("missing") or ("broken" if "broken" in row else "") for name, row in rows.items()}
    return "".join(f"\nNot measured: `{name}` ({why}).\n" for name, why in said.items() if why)


def _parts(tortured: dict[str, Any], *, notes: bool = True) -> str:
    head = "| Part | Tried | Count | Outcome | Seconds |\n|---|---|---|---|---|\n"
    lines = "".join(
        f"| {name} | {part['tried']} | {part['count']} | {part['outcome']} | {part['seconds']:.0f} |\n"
        for name, part in tortured.items()
    )
    said = [f"- {name}: {note}\n" for name, part in tortured.items() for note in part["notes"]]
    return head + lines + ("\n" + "".join(said) if notes and said else "")
