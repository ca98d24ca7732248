"""Writes the pages that are made from the commands: `python -m tenure.cli.reference`, in the project's folder.

docs/reference/commands.md is made whole; in docs/how-to/simulate.md the table of stories between its two marks. A test
fails when a page and the commands differ.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenure.cli.help import PANELS, examples_of, leaves, panel_of
from tenure.cli.main import command_tree
from tenure.simulator.stories import STORIES

COMMANDS = Path("docs/reference/commands.md")
SIMULATE = Path("docs/how-to/simulate.md")
BEGIN, END = "<!-- stories: made by tenure.cli.reference -->", "<!-- end of stories -->"

HEAD = """\
# Commands

Made from the commands themselves (`make reference`). Exit status: 0 done, 1 not found, not the same or not intact, 2
wrong use, 3 a store that cannot be trusted. `--json` prints one JSON object, or one a line for lists. TENANT is a
client key, a site's host name or URL, or an installation id. Times are ISO 8601 with zone, or an age such as `12h` or
`28d`. Shell completion: `tenure --install-completion`.
"""


def commands_page() -> str:
    """The whole page of commands."""
    root = command_tree()
    parts = [HEAD]
    for panel in PANELS:
        members = [(name, command) for name, command in root.commands.items() if panel_of(command) == panel]
        if members:
            parts.append(f"## {panel}\n")
        for name, inner in members:
            found = list(leaves(inner, f"tenure {name}"))
            parts.extend(_section(title, command) for title, command in found)
            parts.extend(_shared(name, [param for _, command in found for param in command.params]))
    return "\n".join(parts)


def _shared(name: str, params: list[Any]) -> list[str]:
    """The options in a panel of their own, which many commands of a group take: told once."""
    rows = dict.fromkeys(_option_row(param) for param in params if _is_shared(param))
    if not rows:
        return []
    return ["\n".join([f"### Options of `tenure {name}`\n", "| | |", "|---|---|", *rows, ""])]


def _is_shared(param: Any) -> bool:
    return getattr(param, "rich_help_panel", None) is not None


def _section(title: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    usage = " ".join([title, *map(_usage, arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"### `{usage}`\n", f"{command.help}\n"]
    own = [param for param in options if not _is_shared(param)]
    rows = [*map(_argument_row, arguments), *map(_option_row, own)]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    if len(own) < len(options):
        group = title.split()[1]
        lines.append(f"And the [options of `tenure {group}`](#options-of-tenure-{group}).\n")
    lines += ["```sh", *examples_of(command), "```", ""]
    return "\n".join(lines)


def _usage(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    shown = f"{name}…" if param.nargs != 1 else name
    return shown if param.required else f"[{shown}]"


def _argument_row(param: Any) -> str:
    return f"| `{param.metavar or param.name.upper()}` | {_cell(param)} |"


def _option_row(param: Any) -> str:
    return f"| {' '.join(f'`{name}`' for name in (*param.opts, *param.secondary_opts))} | {_cell(param)} |"


def _cell(param: Any) -> str:
    text = " ".join((param.help or "").split())
    choices = getattr(param.type_descriptor, "choices", None) if hasattr(param, "type_descriptor") else None
    if choices:
        names = [f"`{getattr(choice, 'value', choice)}`" for choice in choices]
        text += f" One of {', '.join(names)}."
    default = getattr(param, "default", None)
    if not (default in (None, False, "", ()) or inspect.isroutine(default)):
        text += f" Default: `{getattr(default, 'value', default)}`."
    return text.replace("|", "\\|")


def stories_table() -> str:
    """The stories and what each teaches, as a table."""
    rows = [f"| `{name}` | {story.teaches} |" for name, story in STORIES.items()]
    return "\n".join(["| Story | Teaches |", "|---|---|", *rows])


def with_stories(page: str) -> str:
    """The page with the table of now between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{stories_table()}\n{END}{after}"


def pages() -> Iterator[tuple[Path, str]]:
    """Each page that is made, and its text as it should be."""
    yield COMMANDS, commands_page()
    yield SIMULATE, with_stories(SIMULATE.read_text())


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text)
