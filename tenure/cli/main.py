"""The command `tenure`: all commands under one root."""

from typing import Any

from tenure.cli import (
    alarms,
    audit,
    backup,
    decisions,
    demo,
    doctor,
    erase,
    export,
    incident,
    investigate,
    keys,
    operate,
    stories,
)
from tenure.cli import log as log_commands
from tenure.cli import timeline as timeline_command
from tenure.cli.copy import copy
from tenure.cli.difference import diff
from tenure.cli.rebuild import rebuild
from tenure.cli.reinstate import reinstate
from tenure.cli.replay import replay
from tenure.cli.root import new_app, run, tree_of

app = new_app()
app.command(rich_help_panel="Serve")(demo.demo)
app.add_typer(stories.simulate_app, name="simulate", rich_help_panel="Serve")
app.command(rich_help_panel="Serve")(operate.sign)
app.command(rich_help_panel="Serve")(operate.qsh)
app.add_typer(audit.tenant_app, name="tenant", rich_help_panel="Audit")
app.command(rich_help_panel="Audit")(audit.events)
app.command(rich_help_panel="Audit")(audit.event)
app.command(rich_help_panel="Audit")(decisions.decisions)
app.command(rich_help_panel="Audit")(alarms.alarms)
app.command(rich_help_panel="Audit")(investigate.explain)
app.command(rich_help_panel="Audit")(investigate.diagnose)
app.command(rich_help_panel="Audit")(timeline_command.timeline)
app.command(rich_help_panel="Audit")(investigate.measured)
app.command(rich_help_panel="Audit")(export.export)
app.command(rich_help_panel="Replay")(replay)
app.command(rich_help_panel="Replay")(diff)
app.command(rich_help_panel="Replay")(rebuild)
app.command(rich_help_panel="Replay")(reinstate)
app.add_typer(incident.incident_app, name="incident", rich_help_panel="Replay")
app.command(rich_help_panel="Operate")(doctor.doctor)
app.add_typer(log_commands.log_app, name="log", rich_help_panel="Operate")
app.command(rich_help_panel="Operate")(backup.backup)
app.command(rich_help_panel="Operate")(copy)
app.command(rich_help_panel="Operate")(erase.erase)
app.add_typer(keys.keys_app, name="keys", rich_help_panel="Operate")
app.add_typer(operate.tokens_app, name="tokens", rich_help_panel="Operate")


def command_tree() -> Any:
    """All commands, laid out as the help shows them."""
    return tree_of(app)


def main() -> None:
    """Runs the command line."""
    run(app)
