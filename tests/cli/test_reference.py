"""The pages made from the commands are those of the commands as they are."""

import re
from pathlib import Path

import pytest

from support.commands import run
from tenure.cli.help import leaves
from tenure.cli.main import command_tree
from tenure.cli.reference import COMMANDS, SIMULATE, commands_page, stories_table, with_stories

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def test_the_page_of_commands_is_that_of_the_commands() -> None:
    """docs/reference/commands.md differs from the commands only until `make reference` is run."""
    assert (ROOT / COMMANDS).read_text() == commands_page()


def test_the_table_of_stories_is_that_of_the_stories() -> None:
    """docs/how-to/simulate.md lists every story there is."""
    page = (ROOT / SIMULATE).read_text()
    assert stories_table() in page
    assert with_stories(page) == page


@pytest.mark.parametrize(
    "page", ["README.md", *[path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]]
)
def test_the_commands_named_in_the_docs_exist(page: str, tmp_path: Path) -> None:
    """A `tenure …` line of a shell block in the docs is a command there is, with options it takes."""
    known = dict(leaves(command_tree()))
    for line in _shell_lines((ROOT / page).read_text()):
        words = line.split()
        name = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in known), "")
        assert name, f"{page}: {line}"
        options = {option for param in known[name].params for option in param.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, f"{page}: {line}"
    assert run(tmp_path, "--version").status == 0


def _shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]
    return [line.strip() for line in lines if line.startswith("tenure ")]
