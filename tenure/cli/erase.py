"""`tenure erase`: forget a tenant, or all that are due."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from tenure import operators
from tenure.cli.audit import Json, one_tenant
from tenure.cli.output import emit, fail, guarded, settings_of
from tenure.domain.refusals import OursError
from tenure.domain.tenant import Tenant
from tenure.forgetting import (
    Forgotten,
    StillInstalledError,
    clear_now,
    destroy_again,
    due,
    due_before,
    forget,
    in_turns,
    reapply,
)
from tenure.keydesk import keys_are_there, keys_of
from tenure.opening import open_writer
from tenure.projections.clock import ClockWatch
from tenure.projections.security_context import current
from tenure.settings import OperatorSettings
from tenure.store.keyring import KeyRing
from tenure.stores import Log

COMPLETE = (
    "its secrets and personal fields, in this log and in every backup and export of it; gone from its decisions: "
    "accounts, addresses, user agents"
)
LATER = (
    "whoever holds the master key and a copy of the keys from before now can still open old backups, until "
    "`tenure keys rotate` and `tenure keys retire` were run and the old master key is destroyed"
)


def erase(
    name: Annotated[
        str | None, typer.Argument(metavar="TENANT", help="Client key, site, URL or installation id.")
    ] = None,
    all_due: Annotated[
        bool, typer.Option("--due", help="All that uninstalled longer than TENURE_ERASE_AFTER_DAYS ago.")
    ] = False,
    installed_too: Annotated[
        bool, typer.Option("--installed", help="Also a tenant that never uninstalled: its calls are refused after.")
    ] = False,
    why: Annotated[str, typer.Option("--reason", help="Kept in the event.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask back.")] = False,
    despite_clock: Annotated[
        bool, typer.Option("--despite-clock", help="With --due and --yes: though the clock may have jumped.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Forget a tenant: its key is destroyed, its bare history stays. There is no way back.
    Example: tenure erase acme.atlassian.net --reason "asked by the customer"
    """
    if (name is None) is not all_due:
        raise fail("name one TENANT, or give --due", 2)
    settings = settings_of(OperatorSettings)
    with guarded(), closing(open_writer(settings)) as log, closing(_keys(settings, installed_too)) as ring:
        try:
            destroy_again(log, ring)
            reapply(log, ring)
            chosen = _chosen(settings, log, name)
            if name is None and chosen and not (yes and despite_clock):
                _check_clock(log)
            _ask(chosen, yes)
            before = due_before(settings.erase_after_days) if all_due else ""
            found = list[Forgotten]()
            for some in in_turns(chosen, settings):
                found += _forget(log, ring, some, why, installed_too, before)
            # also what an earlier command left behind
            clean = ring.cleaned()
            bare = clear_now(settings, _forgotten(log, chosen))
        except OursError as error:
            raise fail(f"{error.detail or error}; nothing more was erased, run the same command again", 1) from None
    _tell(found, as_json)
    if not clean:
        raise fail(
            f"a destroyed key is not yet overwritten, others hold {settings.keys}; run the same command again", 1
        )
    if not bare:
        raise fail("what was forgotten is not yet overwritten, others hold decisions.db; run the same command again", 1)


def _keys(settings: OperatorSettings, installed_too: bool) -> KeyRing:
    if not keys_are_there(settings) and not installed_too:
        raise FileNotFoundError(
            f"{settings.keys} has no keys: restore its newest backup; or, if there is none, give a tenant up with "
            "--installed"
        )
    return KeyRing(keys_of(settings))


def _chosen(settings: OperatorSettings, log: Log, name: str | None) -> list[Tenant]:
    if name is None:
        return due(log, settings.erase_after_days, settings.app_key)
    return [one_tenant(log, name)]


def _check_clock(log: Log) -> None:
    problem = ClockWatch(log).problem()
    if problem:
        raise fail(f"{problem}; if the clock is right, add --yes --despite-clock", 2)


def _ask(chosen: list[Tenant], yes: bool) -> None:
    if yes or not chosen or not sys.stdin.isatty():
        return
    listed = "\n".join(f"  {tenant.client_key}  {tenant.base_url}" for tenant in chosen)
    typer.echo(f"To be forgotten for good:\n{listed}", err=True)
    typer.confirm("Go on?", abort=True, err=True)


def _forget(
    log: Log, ring: KeyRing, chosen: Sequence[Tenant], why: str, installed_too: bool, before: str
) -> list[Forgotten]:
    by, origin = operators.who()
    try:
        found = forget(log, ring, chosen, by=by, origin=origin, why=why, installed_too=installed_too, before=before)
    except StillInstalledError as error:
        raise fail(f"{error}; uninstall it in Jira first, or add --installed if that site is gone", 2) from None
    for one in found:
        operators.note(log, one.app_key, "erasure", client_key=one.client_key, position=one.position)
    return found


def _forgotten(log: Log, chosen: list[Tenant]) -> list[str]:
    # also whom an earlier command forgot; not who returned meanwhile and was passed over
    now = [current(log.connection, tenant.app_key, tenant.client_key) for tenant in chosen]
    return [tenant.client_key for tenant in now if tenant is not None and tenant.erased_at]


def _tell(found: list[Forgotten], as_json: bool) -> None:
    if as_json:
        for one in found:
            emit({**asdict(one), "complete_now": COMPLETE, "complete_after_keys_retire": LATER}, True)
        return
    for one in found:
        typer.echo(f"erased {one.client_key} (event {one.position})")
    typer.echo(f"Unreadable from now on: {COMPLETE}.\nNot yet: {LATER}." if found else "nothing to erase")
