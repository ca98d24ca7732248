"""`tenure backup`: a copy of the log while the service runs; never of the keys."""

from pathlib import Path
from typing import Annotated

import typer

from tenure import operators
from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, guarded, settings_of, undone
from tenure.domain.chain import Walk
from tenure.opening import open_writer
from tenure.settings import OperatorSettings
from tenure.store.backup import copy_log


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, 0600.")], as_json: Json = False
) -> None:
    """A consistent copy of the log, checked along its chain. The keys are backed up apart, newest only.
    Example: tenure backup /backups/events-2026-01-31.db
    """
    settings = settings_of(OperatorSettings)
    with guarded():
        try:
            copied = copy_log(settings.log_path, file)
        except FileExistsError as error:
            raise fail(str(error), 2) from None
        with undone(file):
            _note(settings, file.name, copied)
    found = {"file": str(file), "events": copied.events, "position": copied.position, "hash": copied.hash}
    if as_json:
        emit(found, True)
    else:
        typer.echo(f"wrote {file}: {copied.events} events, whole up to position {copied.position} (not the keys)")


def _note(settings: OperatorSettings, name: str, copied: Walk) -> None:
    log = open_writer(settings)
    try:
        app_key = operators.app_key_of(log, settings.app_key)
        if app_key:
            operators.note(log, app_key, "backup", file=name, position=copied.position, hash=copied.hash)
    finally:
        log.close()
