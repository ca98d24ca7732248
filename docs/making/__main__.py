"""Writes every picture and every generated page to its place."""

from pathlib import Path

from making import decision_table, flow, lifecycle, reasons, speed

DOCS = Path(__file__).parents[1]
MADE = {
    "pictures/lifecycle.svg": lifecycle.picture,
    "pictures/flow.svg": flow.picture,
    "reference/reasons.md": reasons.page,
    "reference/decision-table.md": decision_table.page,
    "pictures/speed-ratios.svg": speed.ratios,
    "pictures/speed-samples.svg": speed.samples,
    "explanation/speed.md": speed.page,
    "../README.md": speed.readme,
}

if __name__ == "__main__":
    for name, make in MADE.items():
        (DOCS / name).write_text(make())
