"""`tenure doctor`: what is wrong with this installation, and what to do about it."""

from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tenure.api.payloads import is_loopback
from tenure.cli.audit import Json
from tenure.cli.output import emit, paragraph, settings_of
from tenure.doctor import Finding, Installation, Level, examine
from tenure.settings import KeySettings, Settings, SettingsError, StoreSettings, load

MARKS = {Level.OK: "✓", Level.WARN: "!", Level.BAD: "✗"}


def doctor(
    url: Annotated[
        str | None, typer.Option(help="The base URL as Jira calls it: does it lead here, with its path whole?")
    ] = None,
    internal: Annotated[
        str | None, typer.Option(help="The running service's internal listener, such as http://127.0.0.1:8001.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the key hosts out.")] = False,
    as_json: Json = False,
) -> None:
    """What is wrong with this installation; changes nothing. Example: tenure doctor --internal http://127.0.0.1:8001"""
    found = list(examine(_installation(url, internal or _beside(url), offline)))
    for finding in found:
        _tell(finding, as_json)
    bad = sum(finding.level is Level.BAD for finding in found)
    warned = sum(finding.level is Level.WARN for finding in found)
    if not as_json:
        typer.echo(f"\n{bad} bad, {warned} to see to, {len(found) - bad - warned} as they should be")
    if bad:
        raise typer.Exit(1)


def _beside(url: str | None) -> str | None:
    """The internal listener of a service called on this machine, where `serve` puts it."""
    parts = urlsplit(url or "")
    return f"http://127.0.0.1:{parts.port + 1}" if parts.port and is_loopback(parts.hostname or "") else None


def _installation(url: str | None, internal: str | None, offline: bool) -> Installation:
    store = settings_of(StoreSettings)
    settings, wrong = _loaded(Settings)
    keys = settings
    if keys is None:
        keys, _ = _loaded(KeySettings)
    return Installation(
        store, keys if isinstance(keys, KeySettings) else None, settings if isinstance(settings, Settings) else None,
        wrong, url, internal, offline,
    )  # fmt: skip


def _loaded(kind: type[StoreSettings]) -> tuple[StoreSettings | None, tuple[str, ...]]:
    try:
        return load(kind), ()
    except SettingsError as error:
        return None, (str(error),)


def _tell(finding: Finding, as_json: bool) -> None:
    if as_json:
        emit(asdict(finding), True)
        return
    margin = " " * 15
    paragraph(finding.sentence, f"{MARKS[finding.level]} {finding.name:<12} ", margin)
    if finding.next:
        paragraph(finding.next, f"{margin}→ ", f"{margin}  ")
