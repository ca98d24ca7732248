"""Results as SVG, drawn by hand: one bar a figure on a logarithmic scale, its spread, what is asked and the goal."""

import math
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, STEP, TOP = 1080, 520, 90, 34, 56
GREEN, RED, GREY, INK = "#2e7d4f", "#b3402f", "#9aa3ab", "ink"
_STYLE = """<style>
text { fill: #22272b } text.pale { fill: #6b7480 } .line { stroke: #22272b } .grid { stroke: #e3e6e8 }
.ground { fill: white }
@media (prefers-color-scheme: dark) {
text { fill: #e6e8ea } text.pale { fill: #9aa3ab } .line { stroke: #e6e8ea } .grid { stroke: #3a4147 }
.ground { fill: #16191c } }
</style>"""


def ratios(figures: list[dict[str, Any]]) -> str:
    """Every ratio as a bar from 1, its spread, what is asked and what we would like."""
    values = [v for f in figures for v in (*f["spread"], f["figure"], *_marks(f))] or [1.0]
    low, high = min(*values, 0.5) / 1.1, max(*values, 2.0) * 1.1
    lines = [_text(LEFT, 20, "Tenure / the peer: median of neighbours, least to greatest", bold=True)]
    lines.append(_text(LEFT, 38, "| asked   ¦ goal   (≤: as small as can be)", GREY))
    for tick in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50):
        if low < tick < high:
            x = _x(tick, low, high)
            lines.append(
                f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{TOP + STEP * len(figures)}" class="grid"/>'
            )
            lines.append(_text(x, TOP + STEP * len(figures) + 14, f"{tick:g}×", GREY, "middle"))
    for number, figure in enumerate(figures):
        lines += _bar(figure, TOP + STEP * number, low, high)
    told = "; ".join(f"{figure['name']}: {figure['figure']:.2f} times" for figure in figures)
    return _svg(lines, TOP + STEP * len(figures) + 26, "Tenure against its peers, as ratios", told)


def _bar(figure: dict[str, Any], y: float, low: float, high: float) -> list[str]:
    start, end = _x(1.0, low, high), _x(figure["figure"], low, high)
    colour = {"met": GREEN, "missed": RED}.get(figure["verdict"], GREY)
    least, most = (_x(value, low, high) for value in figure["spread"])
    marks = [_x(value, low, high) for value in _marks(figure)]
    sign = "" if (figure["bound"] or {"least": True})["least"] else " (≤)"
    lines = [
        _text(LEFT - 8, y + 16, figure["name"] + sign, anchor="end"),
        f'<rect x="{min(start, end):.1f}" y="{y + 4}" width="{abs(end - start):.1f}" height="16" fill="{colour}"/>',
        f'<line x1="{least:.1f}" y1="{y + 12}" x2="{most:.1f}" y2="{y + 12}" class="line" stroke-width="2"/>',
        _text(max(most, end, start, *marks) + 6, y + 16, f"{figure['figure']:.2f}×", bold=True),
    ]
    for x, dash in zip(marks, ("", ' stroke-dasharray="3 2"'), strict=False):
        lines.append(f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 24}" class="line"{dash}/>')
    return lines


def samples(figures: list[dict[str, Any]]) -> str:
    """Every sample that the ratios come from."""
    lines = [_text(LEFT, 20, "Every sample, in its unit; each line to its own scale from 0", bold=True)]
    y = float(TOP)
    for figure in figures:
        most = max(max(values) for values in figure["samples"].values())
        lines.append(_text(8, y, f"{figure['name']} ({figure['unit']})", bold=True))
        for name, values in figure["samples"].items():
            y += 20
            lines.append(_text(LEFT - 8, y + 4, name, anchor="end"))
            lines += [
                f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="{GREEN}" fill-opacity="0.5"/>'
                for x in (LEFT + value / most * (WIDTH - LEFT - RIGHT) for value in values)
            ]
            lines.append(_text(WIDTH - RIGHT + 10, y + 4, f"{sorted(values)[len(values) // 2]:,.4g}", GREY))
        y += 32
    return _svg(
        lines, y, "Every sample behind the ratios", "Each contestant's samples as dots, each figure to its own scale"
    )


def _marks(figure: dict[str, Any]) -> list[float]:
    bound = figure["bound"]
    return [value for value in (bound["limit"], bound["goal"]) if value] if bound else []


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, colour: str = INK, anchor: str = "start", *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    pale = ' class="pale"' if colour == GREY else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{pale} text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def _svg(lines: list[str], height: float, title: str, told: str) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    said = f"<title>{escape(title)}</title>\n<desc>{escape(told)}</desc>"
    ground = '<rect width="100%" height="100%" class="ground"/>'
    return "\n".join([head, said, _STYLE, ground, *lines, "</svg>"]) + "\n"
