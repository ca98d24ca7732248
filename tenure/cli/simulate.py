"""`tenure simulate`: simulated Jira sites that drive a running service, by single actions, by stories or under load."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from tenure.cli.output import fail
from tenure.cli.rig import Rig, sent_by, with_common
from tenure.simulator.attacker import Attacker
from tenure.simulator.site import Sent, Site
from tenure.simulator.state import STATE_FILE, SUFFIX, SiteState, State, StateError
from tenure.simulator.stories.stage import LATER, OK, PASSED, REFUSED, Stage

simulate_app = typer.Typer(
    no_args_is_help=True,
    help="Simulated Jira sites that drive your own service: actions, stories, load. "
    "Example: tenure simulate install acme Example: tenure simulate story rotation",
)


def _site_names(incomplete: str) -> list[str]:
    try:
        return [name for name in State(Path(STATE_FILE)).sites if name.startswith(incomplete)]
    except StateError:
        return []


Sites = Annotated[
    list[str],
    typer.Argument(
        metavar="SITE",
        help=f"Names of simulated sites, all at once: acme is https://acme{SUFFIX}; with a dot, a whole host name.",
        autocompletion=_site_names,
    ),
]
OneSite = Annotated[str, typer.Argument(metavar="SITE", help="Name of a simulated site.", autocompletion=_site_names)]

# -- what an honest site does


def _install(site: Site, kept: SiteState, **options: Any) -> Sent:
    sent = site.install(**options)
    if sent.response.is_success:
        kept.standing, kept.rolled_back = "installed", False
    return sent


@simulate_app.command("install", rich_help_panel="What a site does")
@with_common
def simulate_install(
    made: Rig,
    sites: Sites,
    new_secret: Annotated[bool, typer.Option("--new-secret", help="Bring a new secret, as a rotation does.")] = False,
    query: Annotated[str, typer.Option(help="A query appended to the callback's URL, such as user_key=admin.")] = "",
) -> None:
    """Installs, or upgrades a site that has installed. Example: tenure simulate install acme beta"""

    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        means = {"new": "a first install", "installed": "an upgrade", "uninstalled": "a return"}[kept.standing]
        stage.call("installed", lambda: _install(site, kept, new_secret=new_secret, query=query), OK, means)

    made.each(sites, act)


def _switch(kind: str) -> Callable[[Stage, Site, SiteState], None]:
    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        send = site.enable if kind == "enabled" else site.disable
        if kept.standing == "new":
            stage.refused(kind, send, "tenant_unknown", "this site has not installed the app")
        else:
            late = kept.standing == "uninstalled"
            stage.call(kind, send, OK, "acknowledged; it revives nothing" if late else "")

    return act


@simulate_app.command("enable", rich_help_panel="What a site does")
@with_common
def simulate_enable(made: Rig, sites: Sites) -> None:
    """Sends `enabled`. Example: tenure simulate enable acme"""
    made.each(sites, _switch("enabled"))


@simulate_app.command("disable", rich_help_panel="What a site does")
@with_common
def simulate_disable(made: Rig, sites: Sites) -> None:
    """Sends `disabled`. Example: tenure simulate disable acme"""
    made.each(sites, _switch("disabled"))


@simulate_app.command("uninstall", rich_help_panel="What a site does")
@with_common
def simulate_uninstall(made: Rig, sites: Sites) -> None:
    """Sends `uninstalled`. Example: tenure simulate uninstall acme"""

    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        means = "marked, not deleted" if kept.standing == "installed" else "acknowledged, no event"
        sent = stage.call("uninstalled", site.uninstall, OK, means)
        if sent.response.is_success and kept.standing == "installed":
            kept.standing = "uninstalled"

    made.each(sites, act)


@simulate_app.command("rotate", rich_help_panel="What a site does")
@with_common
def simulate_rotate(
    made: Rig,
    sites: Sites,
    rolled_back: Annotated[
        bool, typer.Option("--rolled-back", help="As if the answer came too late: the site keeps its old secret.")
    ] = False,
) -> None:
    """Sends `installed` with a new secret. Example: tenure simulate rotate acme --rolled-back"""

    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        secret, before = site.secret, list(site.secrets)
        means = "believed, but the site goes on with the old one" if rolled_back else "in force from now on"
        stage.call("installed, with a new secret", lambda: _install(site, kept, new_secret=True), OK, means)
        if rolled_back:
            site.secret, site.secrets, kept.rolled_back = secret, before, True

    made.each(sites, act)


@simulate_app.command("rename", rich_help_panel="What a site does")
@with_common
def simulate_rename(
    made: Rig, site: OneSite, host: Annotated[str, typer.Argument(metavar="HOST", help="The new host name.")]
) -> None:
    """Moves a site to another address: same tenant. Example: tenure simulate rename acme acme-renamed"""
    moved = f"https://{host if '.' in host else host + SUFFIX}"

    def act(stage: Stage, renamed: Site, kept: SiteState) -> None:
        renamed.base_url = moved
        stage.call(
            f"installed, from {kept.base_url} to {moved}", lambda: _install(renamed, kept), OK, "the same tenant"
        )

    made.each([site], act)


@simulate_app.command("import-site", rich_help_panel="What a site does")
@with_common
def simulate_import_site(made: Rig, site: OneSite) -> None:
    """Restores a site from a backup: new clientKey, same baseUrl. Example: tenure simulate import-site acme"""
    _, old = made.known_site(site)
    former = old.client_key
    made.state.renew(site)

    def act(stage: Stage, imported: Site, kept: SiteState) -> None:
        stage.call("installed, new clientKey, same baseUrl", lambda: _install(imported, kept), OK,
                   f"a tenant of its own; of {former} nothing more is heard")  # fmt: skip

    made.each([site], act)


@simulate_app.command("webhook", rich_help_panel="What a site does")
@with_common
def simulate_webhook(
    made: Rig,
    sites: Sites,
    event: Annotated[str, typer.Option(help="The webhookEvent.")] = "jira:issue_created",
    path: Annotated[str, typer.Option(help="Appended to the webhook path.")] = "",
    query: Annotated[str, typer.Option(help="The query of the URL.")] = "",
    identifier: Annotated[
        str | None, typer.Option(help="Identifier of the delivery (default: a new one each time).")
    ] = None,
    count: Annotated[int, typer.Option(help="So many deliveries, one after the other.", min=1, max=10_000)] = 1,
    old_secret: Annotated[bool, typer.Option("--old-secret", help="Signed with the secret replaced last.")] = False,
) -> None:
    """Delivers a webhook. Example: tenure simulate webhook acme --event jira:issue_updated --count 3"""

    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        if old_secret and not site.secrets:
            raise fail(f"{site.base_url} has no older secret yet (tenure simulate rotate)", 2)
        secret = site.secrets[-1] if old_secret else None
        expected, means = _traffic(kept, old_secret)
        for _ in range(count):
            stage.call(f"webhook {event}", lambda: site.webhook(event, identifier=identifier, path=path, query=query,
                       secret=secret), expected, means)  # fmt: skip

    made.each(sites, act)


def _traffic(kept: SiteState, old_secret: bool) -> tuple[tuple[int, ...], str]:
    if kept.standing != "installed":
        return REFUSED, "not installed" if kept.standing == "new" else "uninstalled: the kept secret lets nothing in"
    refused = "for a minute after the rotation: come again; then refused"
    if old_secret:
        return (*LATER, *REFUSED), refused
    if kept.rolled_back:
        return (*LATER, *REFUSED, *PASSED), f"{refused}; let through once the secret was reinstated"
    return PASSED, "let through"


class Through(StrEnum):
    """How a page load reaches the service."""

    FORWARD_AUTH = "forward-auth"
    PROXY = "proxy"
    WEBHOOKS = "webhooks"


@simulate_app.command("page", rich_help_panel="What a site does")
@with_common
def simulate_page(
    made: Rig,
    sites: Sites,
    path: Annotated[str, typer.Option(help="Path and query of the page, below the base URL.")] = "/panel?issue=TEN-1",
    method: Annotated[str, typer.Option(help="The method the page is asked for with.")] = "GET",
    through: Annotated[
        Through,
        typer.Option(
            help="Ask /forward-auth as a proxy does, load the page itself through the proxy, "
            "or POST to the webhook path."
        ),
    ] = Through.FORWARD_AUTH,
    internal: Annotated[
        str | None, typer.Option(help="The internal listener (default: the public one's port + 1, on 127.0.0.1).")
    ] = None,
    context: Annotated[bool, typer.Option("--context", help="A token of the front end, for ?accept=context.")] = False,
    account_id: Annotated[str | None, typer.Option(help="The user who acts.")] = None,
) -> None:
    """Loads a page of the app, as an iframe or an API call does. Example: tenure simulate page acme --path /panel"""
    asked = internal or f"http://127.0.0.1:{(httpx.URL(made.where).port or 8000) + 1}"

    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        expected, means = _traffic(kept, False)
        if through is Through.WEBHOOKS:
            at = site.paths["webhooks"] + path.partition("?")[0]
            query = path.partition("?")[2]
            token = site.page_token("POST", at, query, context=context, account_id=account_id)
            means = "a context token opens no webhook path" if context else means
            stage.call(
                f"POST {at}", lambda: site.send(at, b"{}", token, query), REFUSED if context else expected, means
            )
            return
        whole, _, query = (site.base_path + path).partition("?")
        token = site.page_token(method, whole, query, context=context, account_id=account_id)
        if through is Through.PROXY:
            send = _loaded(made, whole, query, method, token, context)
            stage.call(f"page {method} {path}, through the proxy", send, expected, means)
            return
        send = _asked_by_a_proxy(made, whole, query, asked, method, token, context)
        stage.call(f"page {method} {path}, asked for by the proxy", send, expected, means)

    made.each(sites, act)


def _loaded(made: Rig, path: str, query: str, method: str, token: str, context: bool) -> Callable[[], Sent]:
    """As a browser asks: by the base URL's name; an iframe's token is in the query, a script's in a header."""
    named, where = httpx.URL(made.base_url), httpx.URL(made.where)
    parts = [query] if query else []
    headers = {"Host": named.netloc.decode("ascii")}
    if context:
        headers["Authorization"] = f"JWT {token}"
    else:
        parts.append(f"jwt={token}")
    raw = path + (f"?{'&'.join(parts)}" if parts else "")
    url = f"{where.scheme}://{where.netloc.decode('ascii')}{raw}"

    def send() -> Sent:
        sent = sent_by(method, url, headers, token, server_name=named.host)
        return replace(sent, url=url.replace(token, "…"))  # told, and a token is not for telling

    return send


def _asked_by_a_proxy(
    made: Rig, path: str, query: str, internal: str, method: str, token: str, context: bool
) -> Callable[[], Sent]:
    prefix = "X-Original" if made.target.forward_auth == "nginx" else "X-Forwarded"
    uri = "URI" if prefix == "X-Original" else "Uri"
    headers = {
        f"{prefix}-Method": method,
        f"{prefix}-{uri}": path + (f"?{query}" if query else ""),
        "Authorization": f"JWT {token}",
    }
    url = f"{internal.rstrip('/')}/forward-auth{'?accept=context' if context else ''}"
    return lambda: sent_by("GET", url, headers, token)


# -- what a stranger tries


class Forgery(StrEnum):
    """What is forged."""

    UNSIGNED = "unsigned"
    SELF_SIGNED = "self-signed"
    UNKNOWN_KID = "unknown-kid"
    BORROWED_KID = "borrowed-kid"
    EMBEDDED_KEY = "embedded-key"
    ALG_NONE = "alg-none"
    KEY_CONFUSION = "key-confusion"
    CROSS_TENANT = "cross-tenant"
    CAPTURED = "captured"
    WEBHOOK = "webhook"
    DISABLED = "disabled"
    SCANNER = "scanner"


_SINGLE: dict[Forgery, tuple[str, Callable[[Attacker], Sent]]] = {
    Forgery.UNSIGNED: ("installed without a token", Attacker.unsigned_install),
    Forgery.SELF_SIGNED: ("installed, HS256 by the secret in its own body", Attacker.self_signed_install),
    Forgery.UNKNOWN_KID: ("installed, RS256 under a kid no host knows", Attacker.unknown_key_install),
    Forgery.BORROWED_KID: ("installed, RS256 by an own key under the honest kid", Attacker.borrowed_kid_install),
    Forgery.EMBEDDED_KEY: ("installed, RS256 by a key in its own header", Attacker.embedded_key_install),
    Forgery.ALG_NONE: ("installed, alg none", Attacker.alg_none),
    Forgery.KEY_CONFUSION: ("installed, HS256 by the public key's PEM", Attacker.key_confusion),
    Forgery.WEBHOOK: ("webhook by a stranger's secret", Attacker.own_webhook),
    Forgery.DISABLED: ("disabled by a stranger's secret", Attacker.own_lifecycle),
}


@simulate_app.command("forge", rich_help_panel="What a stranger does")
@with_common
def simulate_forge(
    made: Rig, what: Annotated[Forgery, typer.Argument(help="What is forged.", metavar="WHAT")], sites: Sites
) -> None:
    """Forges a call of a site; it must be refused. Example: tenure simulate forge key-confusion acme"""

    def act(stage: Stage, site: Site, kept: SiteState) -> None:
        stranger = Attacker(site)
        if what is Forgery.SCANNER:
            for number, probe in enumerate(stranger.scanner_probes(), 1):
                stage.judge(f"scanner probe {number}", probe, REFUSED)
        elif what is Forgery.CAPTURED:
            captured = stage.call("installed, honest, and captured", lambda: _install(site, kept))
            stage.refused("its token with another secret in the body", lambda: stranger.captured_install(captured),
                          "token_reused")  # fmt: skip
        elif what is Forgery.CROSS_TENANT:
            own = stage.site()
            stage.refused("installed of this site, by another site's token", lambda: stranger.foreign_install(own),
                          "issuer_mismatch")  # fmt: skip
        else:
            told, send = _SINGLE[what]
            stage.call(told, lambda: send(stranger), REFUSED, "never believed")

    made.each(sites, act)
