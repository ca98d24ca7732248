"""Operate: API tokens; and the two commands that need a secret or none: sign and qsh."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from tenure.api.evidence import clean
from tenure.api.recorder import new_id
from tenure.api.signing import SigningError, choose, sign_for
from tenure.cli.audit import Json, TenantName
from tenure.cli.output import emit, fail, guarded, reading, settings_of, table
from tenure.decision_stores import decisions_of, prepare_decisions
from tenure.domain.decisions import Decision, Entry
from tenure.domain.events import Event
from tenure.domain.qsh import accepted_hashes, canonical_request, request_hash
from tenure.domain.qsh_doctor import diagnose_hash
from tenure.domain.tenant import Tenant
from tenure.domain.times import stored_at
from tenure.keydesk import keys_of
from tenure.opening import open_vault
from tenure.operators import app_key_of, note, who
from tenure.projections import tenants
from tenure.settings import KeySettings, StoreSettings
from tenure.store.tokens import SCOPES, ApiTokens
from tenure.stores import is_there, log_of, prepare_log

tokens_app = typer.Typer(no_args_is_help=True, help="API tokens. Example: tenure tokens create backend --scope sign")


@tokens_app.command("create")
def tokens_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")],
    scope: Annotated[list[str], typer.Option("--scope", help=f"One of {', '.join(SCOPES)}; may be repeated.")],
    days: Annotated[int, typer.Option(help="Days until it ends.", min=1, max=3650)] = 365,
    as_json: Json = False,
) -> None:
    """A new API token, shown this once. Example: tenure tokens create backend --scope sign"""
    unknown = sorted(set(scope) - set(SCOPES))
    if unknown:
        raise fail(f"unknown scope {unknown[0]}; the scopes are {', '.join(SCOPES)}", 2)
    with guarded(), _noting() as noted:
        store = ApiTokens(keys_of(settings_of(StoreSettings)))
        try:
            with store.transaction():  # a token that is not in the log is none
                token, entry = store.create(name, tuple(sorted(set(scope))), days)
                noted("tokens.created", name=name, scopes=list(entry.scopes), expires_at=entry.expires_at)
        except ValueError as error:
            raise fail(str(error), 2) from None
        finally:
            store.close()
    emit({"name": name, "token": token, "scopes": list(entry.scopes), "expires_at": entry.expires_at}, as_json)


@tokens_app.command("list")
def tokens_list(as_json: Json = False) -> None:
    """All API tokens; never the tokens themselves. Example: tenure tokens list"""
    with guarded():
        store = ApiTokens(keys_of(settings_of(StoreSettings)))
        rows = [
            {"name": t.name, "scopes": list(t.scopes), "created_at": t.created_at, "expires_at": t.expires_at,
             "revoked_at": t.revoked_at or None}
            for t in store.listing()
        ]  # fmt: skip
        store.close()
    table(list(rows), ("name", "scopes", "created_at", "expires_at", "revoked_at"), as_json)


@tokens_app.command("revoke")
def tokens_revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")], as_json: Json = False
) -> None:
    """Ends an API token at once. Example: tenure tokens revoke backend"""
    with guarded(), _noting() as noted:
        store = ApiTokens(keys_of(settings_of(StoreSettings)))
        found = store.revoke(name)
        store.close()
        if found:
            # ended first: if this fails, the token is none all the same, and the command can be run again
            noted("tokens.revoked", name=name)
    if not found:
        raise fail(f"there is no token named {name}", 1)
    emit({"name": name, "revoked": True}, True) if as_json else typer.echo(f"revoked {name}")


def sign(
    name: TenantName,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")],
    url: Annotated[str, typer.Argument(metavar="URL", help="Below the site's base URL, or a path.")],
    as_json: Json = False,
) -> None:
    """A token for a call to a site. Example: tenure sign acme.atlassian.net GET /rest/api/3/myself"""
    settings, now = settings_of(KeySettings), time.time()
    with reading() as log:
        vault = open_vault(settings)
        tenant: Tenant | None = None
        try:
            found = tenants.find(log.connection, name)
            tenant = choose([t for t in found if settings.app_key in ("", t.app_key)], name)
            outgoing = sign_for(tenant, vault, method, url, int(now))
            _record_sign(settings, tenant, method, url, None)
        except SigningError as error:
            _record_sign(settings, tenant, method, url, error)
            raise fail(str(error), 1 if error.status == 404 else 2) from None
        finally:
            vault.close()
    ends = datetime.fromtimestamp(outgoing.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if as_json:
        emit({"token": outgoing.token, "expires_at": ends, "base_url": tenant.base_url}, True)
    else:
        typer.echo(f"{outgoing.token} {ends} {tenant.base_url}")


def _record_sign(
    settings: KeySettings, tenant: Tenant | None, method: str, url: str, error: SigningError | None
) -> None:
    """A decision of kind `sign`, as `POST /sign` records one; who signed and where stands in its detail."""
    prepare_decisions(settings)
    store = decisions_of(settings)
    try:
        made = Decision(
            decision=new_id(),
            at=stored_at(time.time()),
            kind="sign",
            verdict="refused" if error else "accepted",
            reason=error.reason.value if error else "",
            detail=clean(f"command line, by {'@'.join(who())}"),
            client_key=tenant.client_key if tenant else "",
            claimed_client_key="",
            method=clean(method, 20),
            path=clean(urlsplit(url).path),
            status=error.status if error else 200,
            took_ms=0.0,
            read_position=tenant.position if tenant else 0,
        )
        store.record([Entry(made)])
    finally:
        store.close()


@contextmanager
def _noting() -> Iterator[Callable[..., Event]]:
    """What notes an operator's act in the log; exit 2 before anything is done if nothing says of which app it is."""
    settings = settings_of(StoreSettings)
    if settings.app_key or is_there(settings):
        prepare_log(settings)
        log = log_of(settings, read_only=False)
        try:
            if app_key := app_key_of(log, settings.app_key):
                yield partial(note, log, app_key)
                return
        finally:
            log.close()
    raise fail("there is no log yet, or an empty one; set TENURE_APP_KEY", 2)


def qsh(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")],
    url: Annotated[str, typer.Argument(metavar="URL", help="As the caller addressed it, or only path and query.")],
    base_url: Annotated[str, typer.Option("--base-url", help="The base URL whose path is stripped.")] = "",
    expect: Annotated[str | None, typer.Option("--expect", help="A hash to compare; exit 1 if it differs.")] = None,
    as_json: Json = False,
) -> None:
    """The canonical request and its hash. Example: tenure qsh GET '/wiki/search?q=x' --base-url https://a.atlassian.net/wiki"""
    parts, base = urlsplit(url), urlsplit(base_url).path
    canonical = canonical_request(method, parts.path, parts.query, base)
    digest = request_hash(method, parts.path, parts.query, base)
    found: dict[str, Any] = {"canonical": canonical, "qsh": digest}
    if expect is not None:
        wrong = diagnose_hash(expect, method, parts.path, parts.query, base)
        right = expect in accepted_hashes(method, parts.path, parts.query, base)
        found |= {"matches": right, "mistakes": [mistake.code for mistake in wrong]}
        if not right:
            found["why"] = " ".join(mistake.sentence for mistake in wrong) or "No known mistake gives this hash."
            found["next"] = wrong[0].next if wrong else "Have the sender print the text that it hashed."
    emit(found, as_json)
    if not found.get("matches", True):
        raise typer.Exit(1)
