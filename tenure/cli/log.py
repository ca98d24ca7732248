"""`tenure log`: is it what it was, by which key are its heads signed, and going on after an older copy was put back."""

from pathlib import Path
from typing import Annotated

import typer

from tenure import operators
from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, guarded, settings_of
from tenure.domain.checkpoint import Verifier
from tenure.keydesk import head_signed_last, keys_are_there, keys_of
from tenure.opening import open_writer
from tenure.settings import KeySettings, OperatorSettings
from tenure.store.signed_head import HeadSigner
from tenure.stores import prepare_log
from tenure.verify import Findings, verify_export, verify_live

log_app = typer.Typer(no_args_is_help=True, help="Proof that the log is what it was. Example: tenure log verify")


@log_app.command("verify")
def log_verify(
    head: Annotated[Path | None, typer.Option("--head", help="A signed head that was kept elsewhere.")] = None,
    export: Annotated[Path | None, typer.Option("--export", help="Check this export instead of the store.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="The log's public key (tenure log key).")] = None,
    as_json: Json = False,
) -> None:
    """Chain, signed head, projections and decisions hold, or the first position that does not; exit 1 then.
    Example: tenure log verify --head kept-in-march.txt
    """
    note, verifier = _read(head) if head else None, _verifier(key)
    with guarded():
        if export is None:
            found = verify_live(settings_of(KeySettings), note, verifier)
        else:
            if not export.is_file():
                raise fail(f"{export} is not a file", 1)
            found = verify_export(export, note, verifier)
    _tell(found, as_json)
    if not found.ok:
        raise typer.Exit(1)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'not text'})", 2) from None


def _verifier(text: str | None) -> Verifier | None:
    try:
        return Verifier.parse(text) if text else None
    except ValueError:
        raise fail("--key is not a public key as `tenure log key` prints it", 2) from None


def _tell(found: Findings, as_json: bool) -> None:
    told = {
        "ok": found.ok,
        "events": found.walk.events,
        "first_bad_position": found.walk.bad or None,
        "head": found.head,
        "end": found.end or None,
        "problems": found.wrong,
    }
    if as_json:
        emit(told, True)
        return
    if found.ok:
        typer.echo(f"intact: {found.walk.events} events, position {found.walk.position}, hash {found.walk.hash}")
    elif found.walk.bad:
        typer.echo(f"NOT intact: the first bad position is {found.walk.bad}")
    else:
        typer.echo(f"the chain of {found.walk.events} events holds, but:")
    for problem in found.wrong:
        typer.echo(f"  {problem}")
    if found.end:
        typer.echo(f"  {found.end}")
    if found.head:
        typer.echo(f"\n{found.head}", nl=False)


@log_app.command("key")
def log_key(as_json: Json = False) -> None:
    """The public key that this log's heads are signed by; give it to whoever keeps heads. Example: tenure log key"""
    with guarded():
        last = head_signed_last(settings_of(KeySettings))
    if last is None:
        raise fail("no head has been signed here yet; serve does it when it has started", 1)
    emit({"key": last.verifier.text()}, True) if as_json else typer.echo(last.verifier.text())


@log_app.command("accept")
def log_accept(
    why: Annotated[str, typer.Option("--reason", help="Kept in the event, for whoever holds heads of what is lost.")],
    as_json: Json = False,
) -> None:
    """Go on from an older copy that was put back on purpose: an event says why, heads are signed again.
    Example: tenure log accept --reason "disk lost, backup of 31 January"
    """
    settings = settings_of(OperatorSettings)
    with guarded():
        if not keys_are_there(settings):
            raise fail(f"{settings.keys} has no keys: no head was ever signed here (TENURE_DATABASE_URL)", 1)
        prepare_log(settings)  # a lost log is begun anew
        log = open_writer(settings)
        try:
            app_key = operators.app_key_of(log, settings.app_key)
            if not app_key:
                raise fail("the log is empty; set TENURE_APP_KEY", 2)
            signer = HeadSigner(keys_of(settings), settings.master(), app_key, admit=False)
            try:
                given_up = signer.last()
                event = operators.note(
                    log, app_key, "restored", why=why, position=given_up.position, hash=given_up.hash,
                    note=given_up.note,
                )  # fmt: skip
                signer.start_again()
                note = signer.sign(log).note
            finally:
                signer.close()
        finally:
            log.close()
    found = {"position": event.position, "given_up": given_up.position, "head": note}
    emit(found, True) if as_json else typer.echo(f"event {event.position}; the head of {given_up.position} is given up")
