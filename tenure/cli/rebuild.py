"""`tenure rebuild`: the projection folded anew beside the live one, compared, and swapped if it is not the same."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from tenure import operators
from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, guarded, progress, settings_of
from tenure.opening import open_writer
from tenure.rebuild import Compared, Rebuilt, UnderWayError
from tenure.rebuild import rebuild as rebuilt
from tenure.settings import StoreSettings
from tenure.store.folding import BrokenChainError
from tenure.store.sqlite import SqliteLog


def rebuild(as_json: Json = False) -> None:
    """Folds the contexts anew beside the live ones, also while serving; swaps if they differ, exit 1 then.
    Example: tenure rebuild
    """
    settings = settings_of(StoreSettings)
    with guarded():
        log = SqliteLog(settings.log_path, read_only=True)
        try:
            total = log.head()[0]
        finally:
            log.close()
        try:
            with _shown(total, as_json) as say:
                found = rebuilt(settings.log_path, say, lambda compared: _note(settings, compared))
        except UnderWayError as error:
            raise fail(f"{error}; wait for it to end", 1) from None
        except BrokenChainError as error:
            raise fail(f"{error}; nothing was replaced", 1) from None
    _tell(found, as_json)
    if not found.identical:
        raise typer.Exit(1)


@contextmanager
def _shown(total: int, as_json: bool) -> Iterator[Callable[[int], None]]:
    began, done = time.monotonic(), 0
    with progress(as_json) as say:

        def step(events: int) -> None:
            nonlocal done
            done += events
            rate = done / max(time.monotonic() - began, 1e-6)
            left = max(total - done % (total or 1), 0) / max(rate, 1e-6)
            say(f"{done} of {total} events, {rate:.0f} a second, {left:.0f} s left")

        yield step


def _note(settings: StoreSettings, found: Compared) -> int:
    log = open_writer(settings)
    try:
        first = found.first
        return operators.note(
            log, operators.app_key_of(log, settings.app_key or None), "rebuilt", different=found.different,
            first={"client_key": first.client_key, "field": first.field} if first else {},
        ).position  # fmt: skip
    finally:
        log.close()


def _tell(found: Rebuilt, as_json: bool) -> None:
    first = found.first
    told = {
        "identical": found.identical,
        "events": found.events,
        "seconds": round(found.seconds, 3),
        "different": found.different,
        "first": first
        and {"client_key": first.client_key, "field": first.field, "live": first.live, "folded": first.folded},
        "position": found.position or None,
    }
    if as_json:
        emit(told, True)
        return
    if found.identical:
        typer.echo(f"identical: {found.events} events in {found.seconds:.1f} s")
        return
    typer.echo(f"NOT identical: {found.different} tenants of {found.events} events, {found.seconds:.1f} s; swapped")
    typer.echo(f"  the first: {first.says if first else ''}")
