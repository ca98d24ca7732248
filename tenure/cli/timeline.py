"""`tenure timeline`: the life of a tenant against time, as text or as a page with a picture."""

import shutil
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tenure.api.console.render import standalone
from tenure.cli.archive import archive
from tenure.cli.audit import Json, TenantName, only
from tenure.cli.output import emit, moment, new_file, plain, table
from tenure.domain.questions import STORED
from tenure.projections.timeline import BEGINNING, Timeline
from tenure.projections.timeline import timeline as timeline_of
from tenure.projections.timeline_svg import picture
from tenure.projections.timeline_text import chart, rows


def timeline(
    name: TenantName,
    since: Annotated[str | None, typer.Option(help="From this time on (default: its first day).")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time (default: now).")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the picture to this new file.")] = None,
    as_json: Json = False,
) -> None:
    """A tenant's life: installed, enabled, secrets, calls, gaps, races. Example: tenure timeline acme.atlassian.net"""
    begins = moment(since) if since else BEGINNING
    ends = moment(until) if until else datetime.now(UTC).strftime(STORED)
    with archive() as room:
        life = timeline_of(room.case(only(room.find(name), name).client_key, begins, ends))
    if html is not None:
        page = standalone("timeline_file.html", life=life, rows=rows(life), svg=picture(life))
        new_file(html, [page.encode()])
    if as_json:
        emit(asdict(life), True)
    elif html is None:
        tell(life)


def tell(life: Timeline) -> None:
    """The timeline on a terminal."""
    width = shutil.get_terminal_size((100, 0)).columns if sys.stdout.isatty() else 100
    typer.echo(plain(f"{life.base_url}  {life.client_key}  {life.since} to {life.until}") + "\n")
    for line in chart(life, min(width, 160)):
        typer.echo(line)
    typer.echo("")
    table(rows(life), ("at", "what", "where"), False)
