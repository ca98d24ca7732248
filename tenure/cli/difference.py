"""`tenure diff`: what changed in the security contexts between two positions or times."""

from dataclasses import asdict
from typing import Annotated

import typer

from tenure.cli.audit import Json, one_tenant
from tenure.cli.output import emit, fail, moment, plain, reading
from tenure.domain.questions import MAX_POSITION
from tenure.projections.changes import Difference, differences
from tenure.stores import Log

Place = "A position, a time (ISO 8601 with zone, or an age such as 12h), or head."


def diff(
    earlier: Annotated[str, typer.Argument(metavar="A", help=Place)],
    later: Annotated[str, typer.Argument(metavar="B", help=Place)],
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    as_json: Json = False,
) -> None:
    """What changed in the security contexts from A to B, in words. What stands at A itself is before, at B after.
    Example: tenure diff 12h head Example: tenure diff 3 7 --tenant acme.atlassian.net
    """
    with reading() as log:
        start, end = _position(log, earlier), _position(log, later)
        if start > end:
            raise fail(
                f"{earlier} (position {start}) is later than {later} (position {end}); give the earlier first", 2
            )
        found = one_tenant(log, tenant) if tenant else None
        place = (found.app_key, found.client_key) if found else None
        some = False
        for difference in differences(log, start, end, place):
            some = True
            emit(asdict(difference), True) if as_json else _tell(difference)
    if not some and not as_json:
        typer.echo(f"nothing changed from position {start} to {end}", err=True)


def _position(log: Log, text: str) -> int:
    head, _ = log.head()
    if text == "head":
        return head
    if text.isdecimal():
        if len(text) > len(str(MAX_POSITION)) or int(text) > MAX_POSITION:
            raise fail(f"{text[:40]} is larger than any position of a log", 2)
        return min(int(text), head)
    return log.position_at(moment(text))


def _tell(found: Difference) -> None:
    typer.echo(plain(f"{found.client_key}  {found.base_url}".rstrip()))
    for change in found.changes:
        typer.echo(plain(f"  {change.says}"))
    if not found.changes:
        typer.echo("  nothing that is read on a check")
    told = [f"{e['position']} {e['type']}{' (' + e['cause'] + ')' if e['cause'] else ''}" for e in found.events]
    typer.echo(plain(f"  by: {', '.join(told)}"))
