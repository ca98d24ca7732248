"""What commands share: errors as one line with an exit status, JSON or text, times as people write them."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
import typer
from pysqlite3 import DatabaseError

from tenure.cli.blame import blame
from tenure.domain.questions import stored_time
from tenure.domain.refusals import OursError
from tenure.settings import Settings, SettingsError, StoreSettings, load, load_whole
from tenure.store.connection import UntrustedStoreError
from tenure.store.files import write_new
from tenure.store.sqlite import SqliteLog

S = TypeVar("S", bound=StoreSettings)
# for whoever has the wheel alone, the command; it also tells what a setting widens
WHERE = "(tenure doctor looks at all settings; they are described in docs/reference/settings.md of Tenure's source)"


def fail(message: str, status: int) -> typer.Exit:
    """Says what is wrong on standard error; raise what it returns."""
    typer.echo(f"tenure: {message}", err=True)
    return typer.Exit(status)


def settings_of(kind: type[S]) -> S:
    """Settings, or exit 2 with the line that names the variables."""
    try:
        found = load_whole() if kind is Settings else load(kind)
    except SettingsError as error:
        raise fail(f"{error} {WHERE}", 2) from None
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
        raise fail(*_absent(error)) from None
    except OursError as error:
        raise fail(f"{error.detail or error.reason}; try again", 1) from None
    except DatabaseError as error:
        raise fail(*blame(error, settings_of(StoreSettings))) from None
    except BrokenPipeError:
        raise  # whoever read has seen enough: the command line ends without a word
    except OSError as error:
        raise fail(f"the store cannot be opened: {error.strerror} (TENURE_DATABASE_URL)", 2) from None


def _absent(error: FileNotFoundError) -> tuple[str, int]:
    """A store that is not there: nothing has been served here, or its folder is missing; and what to do."""
    if error.errno is not None:
        return f"{error.filename}: {error.strerror}; make its folder, or set TENURE_DATABASE_URL", 2
    return f"{error}; go to the folder where `tenure serve` runs, or set TENURE_DATABASE_URL to its log", 1


@contextmanager
def undone(*files: Path) -> Iterator[None]:
    """Takes new files away again if what belongs to them fails: nothing leaves the store that the log does not tell."""
    try:
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


@contextmanager
def reading() -> Iterator[SqliteLog]:
    """The log, read-only."""
    with guarded():
        log = SqliteLog(settings_of(StoreSettings).log_path, read_only=True)
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
        typer.echo(f"{name:<{width}}  {plain(item)}")


def plain(item: Any) -> str:
    """A value as one line of text that is safe on a terminal."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    text = item if isinstance(item, str) else orjson.dumps(item).decode()
    # control characters of a stranger's text must not reach the terminal
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def paragraph(text: str, first: str, then: str) -> None:
    """A text wrapped to the terminal (whole lines where there is none), `first` and `then` before its lines."""
    width = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
    text = plain(text)
    if width < 60:
        typer.echo(f"{first}{text}".rstrip())
        return
    lines = textwrap.wrap(text, width - len(then) - 1, break_long_words=False, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        typer.echo(f"{then if number else first}{line}".rstrip())


def table(rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...], as_json: bool, *, header: bool = True) -> None:
    """Many objects: JSON lines whole, or aligned columns, numbers to the right."""
    if as_json:
        for row in rows:
            emit(row, True)
        return
    if not rows and header:
        typer.echo("nothing found", err=True)
        return
    cells = [*([columns] if header else []), *[tuple(plain(row[name]) for name in columns) for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [all(_is_number(row[name]) for row in rows) for name in columns]
    for line in cells:
        shown = zip(line, widths, numeric, strict=True)
        typer.echo(
            "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in shown).rstrip()
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def progress(as_json: bool = False) -> Iterator[Callable[[str], None]]:
    """Gives a function that shows how far something is: one line on standard error, on a terminal only."""
    shown = sys.stderr.isatty() and not as_json

    def say(text: str) -> None:
        if shown:
            sys.stderr.write(f"\r\x1b[K{plain(text)}")
            sys.stderr.flush()

    try:
        yield say
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def moment(text: str) -> str:
    """A time as stored, from ISO 8601 with zone or an age such as 12h, 28d; exit 2 if it is neither."""
    try:
        return stored_time(text, datetime.now(UTC))
    except ValueError as error:
        raise fail(str(error), 2) from None


def new_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a new file that only its owner reads; exit 2 if it exists."""
    try:
        write_new(path, pieces)
    except OSError as error:
        raise fail(f"{path}: {error.strerror}; it is never written over a file that exists", 2) from None
