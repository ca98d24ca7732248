"""`tenure keys`: make a master key, replace it while services run, and put the old one out of use."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tenure import operators
from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, guarded, settings_of
from tenure.keydesk import keys_are_there, keys_of
from tenure.opening import open_writer
from tenure.settings import OperatorSettings, master_in
from tenure.store.keyring import KeyRing
from tenure.store.masters import MasterKey, new_master_key, write_master_key
from tenure.store.rotation import Rotation

keys_app = typer.Typer(no_args_is_help=True, help="The master key. Example: tenure keys create master.key")


@keys_app.command("create")
def keys_create(
    file: Annotated[Path | None, typer.Argument(help="Write it to this new file, 0600.")] = None, as_json: Json = False
) -> None:
    """A new master key. Example: tenure keys create master.key"""
    if file is None:
        key = new_master_key()
        emit({"key": key}, True) if as_json else typer.echo(key)
        return
    try:
        write_master_key(file)
    except OSError as error:
        raise fail(f"{file}: {error.strerror}; a key is never written over a file that exists", 2) from None
    emit({"file": str(file)}, True) if as_json else typer.echo(f"wrote {file}; set TENURE_MASTER_KEY_FILE={file}")


@contextmanager
def _key_store(settings: OperatorSettings) -> Iterator[KeyRing]:
    if not keys_are_there(settings):
        raise fail(f"{settings.keys} has no keys: none has been made here yet (TENURE_DATABASE_URL)", 1)
    # what is done is noted in the log; one that takes no note, because a copy into it is not finished, stops it here
    open_writer(settings).close()
    with closing(KeyRing(keys_of(settings), settings.master(), admit=False)) as ring:
        yield ring


def _note(settings: OperatorSettings, what: str, **particulars: object) -> None:
    log = open_writer(settings)
    try:
        app_key = operators.app_key_of(log, settings.app_key)
        if app_key:
            operators.note(log, app_key, what, **particulars)
    finally:
        log.close()


@keys_app.command("rotate")
def keys_rotate(
    to: Annotated[Path, typer.Option("--to", help="The new master key's file; made if it is not there.")],
    as_json: Json = False,
) -> None:
    """A new master key beside the old: every tenant's key wrapped by both. Interrupted, run it again.
    Example: tenure keys rotate --to new.key
    """
    settings = settings_of(OperatorSettings)
    with guarded(), _key_store(settings) as ring:
        new = _new_master(to)
        count = _rotate(settings, Rotation(ring), new)
        found = {"file": str(to), "master_id": new.id, "wrapped": count, "next": "keys retire"}
    if as_json:
        emit(found, True)
        return
    typer.echo(
        f"Every key is wrapped by both master keys now. Set TENURE_MASTER_KEY_FILE={to}, restart the services one by\n"
        "one, then run: tenure keys retire. Until then the old key still opens everything."
    )


def _new_master(to: Path) -> MasterKey:
    if not to.exists():
        try:
            write_master_key(to)
        except OSError as error:
            raise fail(f"{to}: {error.strerror}", 2) from None
    return master_in(to, "--to")


def _rotate(settings: OperatorSettings, rotation: Rotation, new: MasterKey) -> int:
    rotation.begin(new)
    count = 0
    while some := rotation.rewrap_some(new):
        count += some
    if rotation.is_open(new):
        # noted before it is finished: an interrupted rotation is noted once more rather than never
        _note(settings, "keys_rotated", master_id=new.id)
        rotation.finish(new)
    return count


@keys_app.command("retire")
def keys_retire(as_json: Json = False) -> None:
    """The old master key's wraps destroyed; first restart every service with the new key.
    Example: tenure keys retire
    """
    settings = settings_of(OperatorSettings)
    with guarded(), _key_store(settings) as ring:
        left = ring.unclean()
        retired = Rotation(ring).retire(lambda former: _note(settings, "keys_retired", master_id=former))
        clean = ring.cleaned()
    if not clean:
        raise fail(f"the old wraps are deleted but not yet overwritten, others hold {settings.keys}; run it again", 1)
    if retired is None and not left:
        raise fail("there is no old master key: nothing has been rotated since the last retirement", 1)
    # None: this run only overwrote what an earlier one had deleted
    found = {"master_id": retired[0] if retired else None, "destroyed": retired[1] if retired else 0}
    if as_json:
        emit(found, True)
        return
    name = retired[0] if retired else "retired before"
    typer.echo(
        f"The old master key {name} opens nothing in {settings.keys} any more. Older copies of it still open with\n"
        "it: destroy the old key file, and those copies."
    )
