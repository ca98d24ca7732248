"""The command line keeps order: each command says what it is for, shows an example and stands in one of four groups."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenure.cli.help import PANELS, examples_of, leaves, panel_of
from tenure.cli.main import command_tree

ROOT = command_tree()
LEAVES = dict(leaves(ROOT))
# they run until they are ended, or tell a story: there are no rows to print
WITHOUT_JSON = {"tenure serve", "tenure demo", "tenure simulate keys"}


def _groups(command: Any, name: str = "tenure") -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {}
    return {name: command} | {k: v for n, c in command.commands.items() for k, v in _groups(c, f"{name} {n}").items()}


ALL = _groups(ROOT) | LEAVES


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    """A help text that fits one line of the list, and an example that begins with the command's own name."""
    command = ALL[name]
    assert command.help.endswith((".", ":"))
    assert len(command.help) <= 110
    assert "[" not in command.help, "square brackets are swallowed as markup"
    assert examples_of(command)
    assert all(example.startswith("tenure ") for example in examples_of(command))
    if name in LEAVES:
        assert any(name.split() == example.split()[: len(name.split())] for example in examples_of(command))


def test_every_command_stands_in_one_of_the_four_groups() -> None:
    """Commands are listed by who needs them, in the order of PANELS, none outside."""
    panels = [panel_of(command) for command in ROOT.commands.values()]
    assert set(panels) <= set(PANELS)
    assert panels == sorted(panels, key=PANELS.index)


@pytest.mark.parametrize("name", LEAVES)
def test_what_prints_data_prints_json(name: str) -> None:
    """Every command but those that run on takes --json."""
    options = {option for param in LEAVES[name].params for option in param.opts}
    assert ("--json" in options) == (name not in WITHOUT_JSON)


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_and_argument_is_explained(name: str) -> None:
    """No option or argument goes without a help text, and none of them holds markup that is swallowed."""
    silent = [param.name for param in LEAVES[name].params if not (param.help or "").strip()]
    assert silent == []
    assert [param.name for param in LEAVES[name].params if "[" in param.help] == []


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", ALL)
def test_a_help_text_fits_the_terminal(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 80 and 120 columns nothing is cut off, and no bound is shown that only a machine would name."""
    monkeypatch.setenv("COLUMNS", str(columns))
    command_tree()(args=[*name.split()[1:], "--help"], prog_name="tenure", standalone_mode=False)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    assert "… │" not in shown
    assert "9223372036854775807" not in shown
    assert "<bool>" not in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_stories(shell: str, tmp_path: Path) -> None:
    """A shell that asks gets the commands, and after `simulate story` the stories."""
    asked = {"bash": ("COMP_WORDS", "COMP_CWORD"), "zsh": ("_TYPER_COMPLETE_ARGS",), "fish": ("_TYPER_COMPLETE_ARGS",)}
    for line, expected in (("tenure sim", "simulate"), ("tenure simulate story rolled", "rolled-back-install")):
        values = (line, str(len(line.split()) - 1))
        given = dict(zip(asked[shell], values, strict=False))
        environment = {**os.environ, **given, "_TENURE_COMPLETE": f"complete_{shell}"}
        environment |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
        ran = subprocess.run(
            [sys.executable, "-m", "tenure"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert expected in ran.stdout, ran.stderr
