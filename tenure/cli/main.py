"""The command `tenure`."""

import typer

from tenure import __version__
from tenure.cli import audit, decisions, demo, export, investigate, operate
from tenure.cli.serve import serve

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="The event-sourced front door of a Jira app.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """The event-sourced front door of a Jira app."""


app.command(rich_help_panel="Serve")(serve)
app.command(rich_help_panel="Serve")(demo.demo)
app.command(rich_help_panel="Serve")(operate.sign)
app.command(rich_help_panel="Serve")(operate.qsh)
app.add_typer(audit.tenant_app, name="tenant", rich_help_panel="Audit")
app.command(rich_help_panel="Audit")(audit.events)
app.command(rich_help_panel="Audit")(audit.event)
app.command(rich_help_panel="Audit")(decisions.decisions)
app.command(rich_help_panel="Audit")(investigate.explain)
app.command(rich_help_panel="Audit")(investigate.diagnose)
app.command(rich_help_panel="Audit")(investigate.measured)
app.command(rich_help_panel="Audit")(export.export)
app.add_typer(operate.keys_app, name="keys", rich_help_panel="Operate")
app.add_typer(operate.tokens_app, name="tokens", rich_help_panel="Operate")


def main() -> None:
    """Runs the command line."""
    app()
