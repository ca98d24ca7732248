"""What commands share: errors as one line with an exit status, JSON or text, times as people write them."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson
import typer

from tenure.settings import SettingsError, StoreSettings, load
from tenure.store.connection import UntrustedStoreError
from tenure.stores import Log, database_errors, log_of, sentence_of

S = TypeVar("S", bound=StoreSettings)
_AGE = re.compile(r"(\d+)([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def fail(message: str, status: int) -> typer.Exit:
    """Says what is wrong on standard error; raise what it returns."""
    typer.echo(f"tenure: {message}", err=True)
    return typer.Exit(status)


def settings_of(kind: type[S]) -> S:
    """Settings, or exit 2 with the line that names the variable."""
    try:
        found = load(kind)
    except SettingsError as error:
        raise fail(str(error), 2) from None
    assert isinstance(found, kind)  # noqa: S101 (for the type checker: load returns what it was given)
    return found


@contextmanager
def guarded() -> Iterator[None]:
    """Turns what settings and store refuse into a line and an exit status."""
    try:
        yield
    except SettingsError as error:
        raise fail(str(error), 2) from None
    except UntrustedStoreError as error:
        raise fail(str(error), 3) from None
    except FileNotFoundError as error:
        raise fail(str(error), 1) from None
    except database_errors() as error:
        raise fail(
            f"the store is not a sound Tenure log ({sentence_of(error)}); restore a backup, or set TENURE_DATABASE_URL",
            3,
        ) from None
    except OSError as error:
        raise fail(f"the store cannot be opened: {error.strerror} (TENURE_DATABASE_URL)", 2) from None


@contextmanager
def reading() -> Iterator[Log]:
    """The log, read-only."""
    with guarded():
        log = log_of(settings_of(StoreSettings))
        try:
            yield log
        finally:
            log.close()


def emit(value: Mapping[str, Any], as_json: bool) -> None:
    """One object: a JSON line, or `name  value` lines."""
    if as_json:
        sys.stdout.write(orjson.dumps(value).decode() + "\n")
        return
    width = max(map(len, value))
    for name, item in value.items():
        typer.echo(f"{name:<{width}}  {_plain(item)}")


def _plain(item: Any) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    text = item if isinstance(item, str) else orjson.dumps(item).decode()
    # control characters of a stranger's text must not reach the terminal
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def table(rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Many objects: JSON lines whole, or aligned columns."""
    if as_json:
        for row in rows:
            emit(row, True)
        return
    cells = [columns, *[tuple(_plain(row[name]) for name in columns) for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def moment(text: str) -> str:
    """A time as stored, from ISO 8601 with zone or an age such as 12h, 28d; exit 2 if it is neither."""
    age = _AGE.match(text)
    try:
        when = datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])}) if age else datetime.fromisoformat(text)
        stored = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError):
        raise fail(f"{text} is no time: write 2026-01-31T08:00:00Z or an age such as 12h, 28d", 2) from None
    if when.tzinfo is None:
        raise fail(f"{text} lacks a time zone: add Z or an offset such as +02:00", 2)
    return stored
