"""How every command's help is laid out, so that commands written apart read alike.

A command's docstring is a sentence or two, then `Example: tenure …`, as often as there are examples. The examples are
moved below the options, one a line. Commands stand in the help under who needs them: Serve, Audit, Replay, Operate.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from typer import Context

PANELS = ("Serve", "Audit", "Replay", "Operate")
LARGE = 1 << 53
_EXAMPLE = re.compile(r"\s*\bExample:\s*")


def tidy(command: Any) -> Any:
    """The command tree as `typer.main.get_command` makes it, laid out; the same object."""
    if hasattr(command, "commands"):
        command.commands = dict(sorted(command.commands.items(), key=lambda item: _rank(item[1])))
        for inner in command.commands.values():
            tidy(inner)
    sentence, *examples = _EXAMPLE.split(command.help or "")
    command.help = " ".join(sentence.split())
    if examples:
        command.epilog = "\n\n".join(f"Example: {' '.join(example.split())}" for example in examples)
    for param in command.params:
        _tidy_param(param)
    with suppress(AttributeError, TypeError):  # the option `--help` is made on demand
        _tidy_param(command.get_help_option(Context(command)))
    return command


def _rank(command: Any) -> int:
    panel = panel_of(command)
    return PANELS.index(panel) if panel in PANELS else len(PANELS)


def _tidy_param(param: Any) -> None:
    if getattr(param, "is_flag", False) and param.metavar is None:
        param.metavar = ""
    for bound in ("min", "max"):
        if isinstance(getattr(param, bound, None), int | float) and param.metavar is None:
            param.metavar = "<number>"
    if isinstance(getattr(param, "max", None), int) and param.max > LARGE:
        param.max = None  # `main` says so of a number that no store takes


def panel_of(command: Any) -> str:
    """The help panel a command stands in; empty if none was said."""
    panel = getattr(command, "rich_help_panel", None)
    return panel if isinstance(panel, str) else ""


def examples_of(command: Any) -> list[str]:
    """The examples of a command that was laid out."""
    return [line.removeprefix("Example: ") for line in (command.epilog or "").split("\n\n") if line]


def leaves(command: Any, name: str = "tenure") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its whole name."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for inner_name, inner in command.commands.items():
        yield from leaves(inner, f"{name} {inner_name}")
