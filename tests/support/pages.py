"""The Markdown pages of the project, taken apart into their fenced blocks and the markers before them.

Rule: a marker is an HTML comment on the line directly before a fence; it says what is to be done with the block when
its language does not say it already. The conventions are in CONTRIBUTING.md, "Docs".
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
ELLIPSIS = "…"

_FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([\w+-]*)(?:\s+file=(\S+))?\s*$")
_MARKER = re.compile(r"^\s*<!--\s*(run|write|shown by|file|not run|page):\s*(.*?)\s*-->\s*$")
_BEFORE = re.compile(r"^\s*<!--\s*before:\s*$")
_PORT = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):(\d{4,5})\b|--(?:[a-z]+-)?port[ =](\d{4,5})\b")
_GAP = re.compile(r"(?:\\ ){2,}")
_PART = re.compile(
    r'\s*(background until "(?P<until>[^"]+)"|status (?P<status>\d+)|needs (?P<needs>\S+)|(?P<word>installs))'
)


class PageError(Exception):
    """A page does not keep to the conventions; the message names page and line."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `verb` and `argument` are its marker's, or empty. Hidden commands: language `before`."""

    line: int
    language: str
    text: str
    verb: str = ""
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """How a block is run: in the background until it says `until`, to end with `status`, only if `needs` is there.

    `installs` marks a block that puts Tenure onto an empty machine; the environment under test stands in for it.
    """

    until: str = ""
    status: int = 0
    needs: str = ""
    installs: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a `console` block and what is shown as its output (None: nothing is)."""

    text: str
    output: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page; `place` is `empty`, `checkout` or `beside a checkout`: the folder it is followed in."""

    path: Path
    text: str
    place: str = "empty"
    blocks: tuple[Block, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix() if self.path.is_relative_to(ROOT) else self.path.name

    @property
    def ports(self) -> frozenset[int]:
        """Every port that is printed as one."""
        return frozenset(int(found[1] or found[2]) for found in _PORT.finditer(self.text))


def pages() -> list[Page]:
    """All pages, in the order of their names."""
    below = sorted((ROOT / "docs").rglob("*.md"))
    return [read(path) for path in [*(ROOT / name for name in TOP), *below] if path.exists()]


def read(path: Path) -> Page:
    """A page's blocks; PageError for a fence that is not closed or a marker that marks nothing."""
    text = path.read_text()
    lines = text.splitlines()
    blocks: list[Block] = []
    place, marker, at = "empty", None, 0
    while at < len(lines):
        found, fence = _MARKER.match(lines[at]), _FENCE.match(lines[at])
        if fence:
            end = _closing(lines, at, fence[2])
            body = "\n".join(line.removeprefix(fence[1]) for line in lines[at + 1 : end]) + "\n"
            verb, argument = ("file", _beside(path, fence[4])) if fence[4] else marker or ("", "")
            blocks.append(Block(at + 1, fence[3], body, verb, argument))
            marker, at = None, end
        elif marker is not None:
            raise PageError(f"{path}:{at}: a marker stands on the line before a fence")
        elif _BEFORE.match(lines[at]):
            end = next(i for i in range(at, len(lines)) if lines[i].strip() == "-->")
            blocks.append(Block(at + 1, "before", "\n".join(lines[at + 1 : end]) + "\n"))
            at = end
        elif found and found[1] == "page":
            place = found[2]
        elif found:
            marker = (found[1], found[2])
        at += 1
    return Page(path, text, place, tuple(blocks))


def _beside(page: Path, name: str) -> str:
    """A file named relative to its page, as a path of the repository."""
    return (page.parent / name).resolve().relative_to(ROOT.resolve()).as_posix()


def _closing(lines: list[str], start: int, fence: str) -> int:
    for at in range(start + 1, len(lines)):
        if lines[at].strip().startswith(fence) and not lines[at].strip().strip(fence[0]):
            return at
    raise PageError(f"a fence opened in line {start + 1} is not closed")


def run_of(block: Block) -> Run:
    """The parts of a `run:` marker; PageError for one that is not known."""
    if block.verb != "run":
        return Run()
    found: dict[str, str] = {}
    rest = block.argument
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise PageError(f"line {block.line}: not understood: run: {rest}")
        found |= {name: value for name, value in part.groupdict().items() if value}
        rest = rest[part.end() :].strip().removeprefix(",").strip()
    return Run(found.get("until", ""), int(found.get("status", "0")), found.get("needs", ""), "word" in found)


def commands(block: Block) -> list[Command]:
    """The commands of a `console` block; those of any other are one."""
    if block.language != "console":
        return [Command(block.text, None)]
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif not found:
            raise PageError(f"line {block.line}: a console block begins with `$ `")
        elif not found[-1][1] and found[-1][0][-1].endswith("\\"):
            found[-1][0].append(line.removeprefix("> "))
        else:
            found[-1][1].append(line)
    return [Command("\n".join(text), "\n".join(shown).strip("\n") or None) for text, shown in found]


def pattern(shown: str) -> re.Pattern[str]:
    """What a printed output stands for: `…` in a line for anything in it, a line of `…` alone for any lines.

    Between words two spaces or more stand for two or more, so that columns may be as wide as what is shown.
    """
    parts = []
    for line in shown.splitlines():
        if line.strip() == ELLIPSIS:
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            pieces = [_GAP.sub("  +", re.escape(piece)) for piece in line.rstrip().split(ELLIPSIS)]
            parts.append("[^\\n]*?".join(pieces) + r"[ \t]*\n")
    return re.compile("".join(parts))
