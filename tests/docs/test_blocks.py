"""Every code block of the docs is run, parsed, or compared with the file it is shown from."""

import configparser
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from support.page_reader import AS_PRINTED, RUN, Reader, misread
from support.page_shell import Shell, distance, place
from support.pages import ROOT, Block, pages

PAGES = {page.name: page for page in pages()}
MAY_STAY_UNRUN = 24
EXAMPLES = ("docs/reference/commands.md",)
_HTTP = re.compile(r"([A-Z]+ \S+( HTTP/\d\.?\d?)?|HTTP/\d\.?\d? \d{3}( .*)?)\Z")


def _ini(text: str) -> None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=False)
    parser.read_string(text if text.lstrip("#; \n").startswith("[") else f"[top]\n{text}")


def _http(text: str) -> None:
    head = text.split("\n\n", maxsplit=1)[0].splitlines()
    assert _HTTP.match(head[0]), head[0]
    assert all(re.match(r"[A-Za-z0-9-]+: ?\S|…", line) for line in head[1:]), head


def _each_yaml(text: str) -> None:
    list(yaml.safe_load_all(text))


PARSERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": _each_yaml,
    "ini": _ini,
    "xml": ElementTree.fromstring,
    "http": _http,
}


def _blocks(*verbs: str) -> list[tuple[str, Block]]:
    return [(name, block) for name, page in PAGES.items() for block in page.blocks if block.verb in verbs]


@pytest.mark.parametrize("name", PAGES)
def test_every_block_says_what_it_is(name: str) -> None:
    """A block is of a language that is run or parsed, or has a marker that says what becomes of it."""
    for block in PAGES[name].blocks:
        known = block.language in (*RUN, *PARSERS) or block.verb in ("write", "shown by", "file", "not run")
        assert known, f"{name}:{block.line}: a {block.language or 'nameless'} block needs a marker"


@pytest.mark.parametrize("name", PAGES)
def test_data_parses(name: str) -> None:
    """Whatever is shown as JSON, TOML, YAML, INI, XML or HTTP is that."""
    for block in PAGES[name].blocks:
        if block.language in PARSERS and block.verb != "not run":
            try:
                PARSERS[block.language](block.text)
            except Exception as error:
                raise AssertionError(f"{name}:{block.line}: no {block.language}: {error}") from error


@pytest.mark.parametrize("name", PAGES)
def test_files_are_shown_as_they_are(name: str) -> None:
    """A block that is shown from a file is the whole of it or a run of its lines."""
    for block in PAGES[name].blocks:
        if block.verb == "file":
            lines = "\n" + (ROOT / block.argument).read_text().rstrip("\n") + "\n"
            assert "\n" + block.text.rstrip("\n") + "\n" in lines, f"{name}:{block.line} is not {block.argument}"


def test_what_is_not_run_is_little_and_says_why() -> None:
    """A block that cannot run gives its reason, and there are few of them."""
    left = [f"{name}:{block.line}: {block.argument}" for name, block in _blocks("not run")]
    assert all(len(line.split(": ", 1)[1]) > 8 for line in left)
    assert len(left) <= MAY_STAY_UNRUN, "\n".join(left)


@pytest.mark.parametrize("name", [name for name in PAGES if name in EXAMPLES])
def test_examples_are_understood(name: str) -> None:
    """Where examples stand each alone, the command line itself reads each of them, to its last option."""
    for block in PAGES[name].blocks:
        for line in block.text.replace("\\\n", " ").splitlines() if block.language in RUN else ():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            assert words[:1] == ["tenure"], f"{name}:{block.line}: {line}"
            assert not misread(words[1:]), f"{name}:{block.line}: {line}: {misread(words[1:])}"


def test_a_false_example_is_not_understood() -> None:
    """A command, an option or a value that does not exist is seen."""
    assert misread(["serv"])
    assert misread(["serve", "--prot", "1"])
    assert misread(["serve", "--port", "many"])
    assert not misread(["tenant", "show", "acme.atlassian.net", "--position", "2"])


FOLLOWED = [
    name for name, page in PAGES.items() if name not in EXAMPLES and any(block.language in RUN for block in page.blocks)
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    """From top to bottom every command of a page works as it is printed, and prints what is shown."""
    page = PAGES[name]
    folder, scratch = tmp_path / "page", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    reader = Reader(page, distance(page.ports, as_printed=AS_PRINTED))
    with Shell(place(page, folder), scratch, as_printed=AS_PRINTED) as shell:
        for block in page.blocks:
            reader.follow(block, shell)
