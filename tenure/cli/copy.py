"""`tenure copy`: the log into another store, from SQLite to PostgreSQL or back."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, guarded, progress, settings_of
from tenure.copying import AwayError, Copied, StillServedError
from tenure.copying import copy as copied
from tenure.settings import POSTGRES, KeySettings
from tenure.store.copying import OtherRowsError, Say
from tenure.store.folding import BrokenChainError
from tenure.store.key_copying import UnfitKeysError
from tenure.stores import damage, sentence_of

FORMS = "a path, sqlite:PATH or postgresql://…"


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help=f"A log: {FORMS}.")],
    target: Annotated[str, typer.Argument(metavar="TO", help=f"Where to: {FORMS}; new, or an earlier run's.")],
    as_json: Json = False,
) -> None:
    """Puts the log into another store as it is; run it again to go on. Exit 1 until the source is not served.
    Example: tenure copy sqlite:events.db postgresql://tenure@db.example.com/tenure
    """
    here, there = _store(source, "FROM"), _store(target, "TO")
    if (here.on_postgres, here.database_url) == (there.on_postgres, there.database_url):
        raise fail("FROM and TO are the same store", 2)
    names = (_name(here), _name(there))
    try:
        with guarded(), progress(as_json) as say:
            found = _copied(here, there, names, lambda what, count: say(f"{what}: {count}"))
    except AwayError as error:
        raise fail(str(error), 2) from None
    except OtherRowsError as error:
        raise fail(f"{names[1]} is not a beginning of {names[0]}: {error}; copy into an empty one", 1) from None
    except UnfitKeysError as error:
        raise fail(f"{names[0]}: {error}", 1) from None
    except BrokenChainError as error:
        raise fail(f"{names[0]}: {error}; nothing from there on was copied", 1) from None
    except StillServedError as error:
        raise fail(f"{error}; stop it and run the same command again, which copies the rest and ends", 1) from None
    _tell(names, found, as_json)
    if not (found.source.ok and found.target.ok):
        raise typer.Exit(1)


def _copied(here: KeySettings, there: KeySettings, names: tuple[str, str], say: Say) -> Copied:
    try:
        return copied(here, there, names, say)
    except damage() as error:
        said = f"copying stopped: {sentence_of(error)}; what was copied stays, run it again when that is put right"
        raise fail(f"{said} (TO must be the owner of its tables)", 1) from None


def _store(text: str, what: str) -> KeySettings:
    if text.startswith("sqlite:") and not text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:")
    if not text or ("://" in text and not text.startswith(("sqlite:///", *POSTGRES))):
        raise fail(f"{what}: {FORMS}", 2)
    return settings_of(KeySettings).model_copy(update={"database_url": text})


def _name(settings: KeySettings) -> str:
    """The store without what is secret in its URL."""
    if not settings.on_postgres:
        return str(settings.log_path)
    parts = urlsplit(settings.database_url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _tell(names: tuple[str, str], found: Copied, as_json: bool) -> None:
    sides = (("source", found.source), ("target", found.target))
    told: dict[str, Any] = {
        "from": names[0],
        "to": names[1],
        "position": found.position,
        "hash": found.hash,
        "written": found.written,
        "seconds": round(found.seconds, 3),
    }
    for side, seen in sides:
        told[side] = {
            "ok": seen.ok,
            "events": seen.walk.events,
            "hash": seen.walk.hash,
            "first_bad_position": seen.walk.bad or None,
            "problems": seen.wrong,
        }
    if as_json:
        emit(told, True)
        return
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found.written.items())
    typer.echo(f"copied {names[0]} to {names[1]} in {found.seconds:.1f} s: {rows}")
    for side, seen in sides:
        typer.echo(f"{side}: {'intact' if seen.ok else 'NOT intact'}, {seen.walk.events} events, hash {seen.walk.hash}")
        for problem in seen.wrong:
            typer.echo(f"  {problem}")
