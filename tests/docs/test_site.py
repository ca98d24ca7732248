"""The docs as a site and as they lie on the forge: every link leads somewhere, and nothing comes from another host."""

import posixpath
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages import ROOT, pages

PAGES = {page.name: page.text for page in pages()}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*?)\s*$", re.MULTILINE)
FENCED = re.compile(r"^(\s*)(```+|~~~+).*?^\1\2\s*$|<!--.*?-->", re.MULTILINE | re.DOTALL)
LOADED = re.compile(r'<(?:script|img|link|iframe|source)[^>]+(?:src|href)="([^"]+)"')
KINDS = ("tutorial", "how-to", "reference", "explanation", "decisions")


def _plain(text: str) -> str:
    return FENCED.sub("", text)


def _anchors(text: str) -> set[str]:
    """The anchors a forge makes of the headings."""
    names = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(_plain(text))]
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere_on_the_forge(name: str) -> None:
    """A relative link names a file of the repository, and an anchor a heading of it."""
    for link in LINK.findall(_plain(PAGES[name])):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
        assert (ROOT / path).exists(), f"{name}: {link}"
        assert not anchor or anchor in _anchors((ROOT / path).read_text()), f"{name}: {link}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_title(name: str) -> None:
    """A page begins with its only title."""
    assert len(re.findall(r"^# ", _plain(PAGES[name]), re.MULTILINE)) == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_list_begins_after_an_empty_line(name: str) -> None:
    """Right below a line of text the forge sees a list, and the site more of that text."""
    glued = re.findall(r"^(?![ #|\-]|\d+\. ).*\S\n- .*", re.sub(r"\n +.*", "", _plain(PAGES[name])), re.MULTILINE)
    assert not glued, f"{name}: {glued}"


def test_every_page_is_on_the_map() -> None:
    """docs/README.md links to each page below it, so that whoever reads on the forge finds all."""
    linked = {posixpath.normpath(f"docs/{link.partition('#')[0]}") for link in LINK.findall(PAGES["docs/README.md"])}
    missing = {name for name in PAGES if name.startswith("docs/")} - linked - {"docs/README.md"}
    assert not missing, f"not linked from docs/README.md: {sorted(missing)}"


def test_every_page_is_of_a_kind() -> None:
    """A page lies in the folder of its kind."""
    assert all(name.split("/")[1] in KINDS for name in PAGES if name.count("/") > 1)


def test_the_commands_of_make_exist() -> None:
    """Each `make …` that the docs name is a target."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for text in PAGES.values() for word in re.findall(r"(?:^|`|\$ )make ([a-z]+)", text, re.MULTILINE)}
    assert named
    assert named <= targets, named - targets


@pytest.mark.timeout(300)
def test_the_site_builds_strictly_and_alone(tmp_path: Path) -> None:
    """A link the site does not have is an error; no page of it loads anything from another host."""
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "-f", "properdocs.yml", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = LOADED.findall(page.read_text())
        assert loaded
        foreign = [url for url in loaded if re.match(r"(https?:)?//", url)]
        assert not foreign, (page.name, foreign)
    steps = (tmp_path / "how-to" / "nginx.html").read_text()
    assert '<ol start="4">' in steps, "a list goes on with its own numbers after a block of code"
    assert "overflow-x: auto" in (tmp_path / "site.css").read_text(), "a wide table scrolls in a narrow window"
