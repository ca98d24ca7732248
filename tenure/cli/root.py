"""The root of the command `tenure`, with the one command that is started where seconds count.

`serve` is all that a service's start needs of the command line: the other commands bring libraries of their own, half
of the time that a start would take. So it is run from here, and `tenure.cli.main` adds the others to the same root.
"""

from typing import Any

import typer
from typer.main import get_command

from tenure import __version__
from tenure.cli.help import tidy
from tenure.cli.output import fail
from tenure.cli.serve import serve


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def new_app() -> typer.Typer:
    """The root, with `serve`."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="The event-sourced front door of a Jira app. Example: tenure demo Example: tenure serve --port 8000 "
        "Example: tenure decisions --verdict refused",
    )
    app.callback()(_root)
    app.command(rich_help_panel="Serve")(serve)
    return app


def tree_of(app: typer.Typer) -> Any:
    """An app's commands, laid out as the help shows them."""
    return tidy(get_command(app))


def run(app: typer.Typer) -> None:
    """Runs the command line."""
    try:
        tree_of(app)(prog_name="tenure")
    except OverflowError:
        raise SystemExit(fail("a number is larger than any position of a log", 2).exit_code) from None


def main() -> None:
    """Runs `tenure serve`."""
    run(new_app())
