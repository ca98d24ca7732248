"""Every code block of the docs is run, parsed, or compared with the file it is shown from."""

import configparser
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from support.page_shell import Shell, distance, place, wait_for
from support.pages import ROOT, Block, Command, Page, commands, pages, pattern, run_of

PAGES = {page.name: page for page in pages()}
AS_PRINTED = os.environ.get("TENURE_DOCS") == "as printed"
RUN = ("sh", "console", "python", "before")
MAY_STAY_UNRUN = 24
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


FOLLOWED = [name for name, page in PAGES.items() if any(block.language in RUN for block in page.blocks)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    """From top to bottom every command of a page works as it is printed, and prints what is shown."""
    page = PAGES[name]
    folder, scratch = tmp_path / "page", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    reader = Reader(page, 0 if AS_PRINTED else distance(page.ports))
    with Shell(place(page, folder), scratch, as_printed=AS_PRINTED) as shell:
        for block in page.blocks:
            reader.follow(block, shell)


class Reader:
    """Follows a page's blocks; its ports are moved by `step`."""

    def __init__(self, page: Page, step: int) -> None:
        self.page, self.step = page, step

    def moved(self, text: str) -> str:
        """A text of the page with its ports moved."""
        for port in sorted(self.page.ports, reverse=True):
            text = re.sub(rf"(?<!\d){port}(?!\d)", str(port + self.step), text)
        return text

    def follow(self, block: Block, shell: Shell) -> None:
        """Does with one block what its language and its marker say."""
        if block.verb == "write":
            self._write(block, shell)
        elif block.verb == "shown by":
            self._shown(block, shell)
        elif block.language in RUN and block.verb not in ("not run", "file") and not self._left_out(block):
            self._run(block, shell)

    def _left_out(self, block: Block) -> bool:
        how = run_of(block)
        return (how.installs and not AS_PRINTED) or bool(how.needs and shutil.which(how.needs) is None)

    def _run(self, block: Block, shell: Shell) -> None:
        how = run_of(block)
        steps = commands(block)
        for number, step in enumerate(steps, start=1):
            text = self.moved(step.text)
            if block.language == "python":
                text = f"{'python3' if AS_PRINTED else sys.executable} - <<'END_OF_BLOCK'\n{text}\nEND_OF_BLOCK"
            last = number == len(steps)
            if how.until and last:
                output, status = shell.start(text, self.moved(how.until)).output, 0
            else:
                status, output = shell.run(text, careful=block.language != "console" and not how.status)
            where = f"{self.page.name}:{block.line}: {text.strip()}"
            assert status == (how.status if last else 0), f"{where}\nended with {status}:\n{output}"
            self._compare(step, output, where, whole=not how.until)

    def _compare(self, step: Command, output: str, where: str, *, whole: bool) -> None:
        if step.output is None:
            return
        wanted = pattern(self.moved(step.output))
        text = "".join(line.rstrip() + "\n" for line in output.strip("\n").splitlines())
        found = wanted.fullmatch(text) if whole else wanted.search(text)
        assert found, f"{where}\nshown:\n{self.moved(step.output)}\n\nprinted:\n{output}"

    def _write(self, block: Block, shell: Shell) -> None:
        text = self.moved(block.text)
        status, output = shell.run(f"cat > {block.argument} <<'END_OF_BLOCK'\n{text}END_OF_BLOCK", careful=True)
        assert status == 0, output

    def _shown(self, block: Block, shell: Shell) -> None:
        behind = [one for one in shell.background if block.argument in one.text]
        assert behind, f"{self.page.name}:{block.line}: nothing in the background has {block.argument} in it"
        wanted = pattern(self.moved(block.text))
        wait_for(
            lambda: wanted.search(behind[-1].output),
            lambda: f"{self.page.name}:{block.line}: shown:\n{block.text}\nprinted:\n{behind[-1].output}",
        )
