"""A small writer of SVG: boxes, lines with heads, text. No fonts or files from elsewhere, no script.

A picture brings its own ground, so that it can be read on any page; where the reader's system is dark it is dark too.
One made without a style takes the colours of the page it stands in. Text is text, whoever wrote it: what XML cannot
hold or would turn the line around is shown as a replacement sign. Lengths are in user units (CSS pixels).
"""

from collections.abc import Iterable
from html import escape

from tenure.projections.words import tame

_STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933 }
.ground { fill: #ffffff; stroke: #d5dbe1 }
.box { fill: #eef3f8; stroke: #52667a; stroke-width: 1.5 }
.ours { fill: #e4efe6; stroke: #3f7350; stroke-width: 1.5 }
.group { fill: none; stroke: #8a99a8; stroke-dasharray: 5 4 }
.line { fill: none; stroke: #52667a; stroke-width: 1.5; marker-end: url(#head) }
.rule { stroke: #d5dbe1 }
.head { fill: #52667a }
.title { font-weight: 700; font-size: 16px }
.small { font-size: 12px; fill: #566573 }
.good { fill: #1d6b3a; font-weight: 600 }
.calm { fill: #566573 }
.bad { fill: #a3341f }
.mono { font: 12.5px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
@media (prefers-color-scheme: dark) {
text { fill: #e3e8ee }
.ground { fill: #161b22; stroke: #39424e }
.box { fill: #222c38; stroke: #8fa3b8 }
.ours { fill: #1d3226; stroke: #6fae84 }
.group { stroke: #6b7a89 }
.line { stroke: #8fa3b8 }
.rule { stroke: #39424e }
.head { fill: #8fa3b8 }
.small, .calm { fill: #a3b0bd }
.good { fill: #7fd09b }
.bad { fill: #f2937f }
}
""".strip()


class Canvas:
    """A picture of a given size; `title` and `description` are read out to those who do not see it. `role`: `img`, or
    `group` if there are links in it.
    """

    def __init__(self, width: int, height: int, title: str, description: str, style: str = _STYLE,
                 role: str = "img") -> None:  # fmt: skip
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="{role}" aria-labelledby="title description">',
            f'<title id="title">{_text(title)}</title>',
            f'<desc id="description">{_text(description)}</desc>',
            *([f"<style>\n{style}\n</style>"] if style else []),
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"'
            ' orient="auto-start-reverse"><path class="head" d="M0 0 L10 5 L0 10 z"/></marker></defs>',
            f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        ]

    def box(self, x: int, y: int, width: int, height: int, kind: str = "box") -> None:
        """A rectangle with round corners; `kind` is `box`, `ours` or `group`."""
        self._parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="7"/>')

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """A line of text on the base line `y`; `anchor` is `start`, `middle` or `end`."""
        named = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{named} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{_text(words)}</text>')

    def area(self, x: float, y: float, width: float, height: float, kind: str, words: str = "", link: str = "") -> None:
        """A plain rectangle; `words` are shown when it is pointed at, `link` is followed from it."""
        told = f"<title>{_text(words)}</title>" if words else ""
        drawn = f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}">{told}</rect>'
        self._parts.append(f'<a href="{_text(link)}">{drawn}</a>' if link else drawn)

    def stroke(self, path: str, kind: str) -> None:
        """A line along an SVG path, without a head."""
        self._parts.append(f'<path class="{kind}" d="{path}"/>')

    def lines(self, x: int, y: int, words: Iterable[str], kind: str = "", anchor: str = "start") -> None:
        """Several lines of text, one below the other."""
        for number, line in enumerate(words):
            self.text(x, y + 17 * number, line, kind, anchor)

    def labelled(self, x: int, y: int, width: int, height: int, title: str, *below: str, kind: str = "box") -> None:
        """A box with a title in its middle and small lines below it."""
        self.box(x, y, width, height, kind)
        top = y + height // 2 + 5 - 8 * len(below)
        self.text(x + width // 2, top, title, "title", "middle")
        self.lines(x + width // 2, top + 18, below, "small", "middle")

    def arrow(self, path: str) -> None:
        """A line along an SVG path, with a head at its end."""
        self._parts.append(f'<path class="line" d="{path}"/>')

    def rule(self, x: int, y: int, width: int) -> None:
        """A thin level line."""
        self._parts.append(f'<line class="rule" x1="{x}" y1="{y}" x2="{x + width}" y2="{y}"/>')

    def svg(self) -> str:
        """The whole file."""
        return "\n".join([*self._parts, "</svg>"]) + "\n"


def _text(words: str) -> str:
    return escape(tame(words))
