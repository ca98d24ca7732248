"""`tenure demo`: the service with a simulated Jira site playing a story against it, told in words.

Everything is real but the site: a `serve` of its own, a key host, an app's receiver, signatures. The log it leaves is
put in place of `--log` only if there is none yet, or only a demo's: a real log is never overwritten.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pysqlite3 import DatabaseError

from tenure.cli.output import fail
from tenure.service import Service
from tenure.simulator.attacker import Attacker
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.receiver import Receiver
from tenure.simulator.site import Sent, Site
from tenure.store.connection import UntrustedStoreError, connect
from tenure.store.masters import new_master_key

APP_KEY = "com.example.demo"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the story, to be driven by hand.")] = False,
    log: Annotated[Path, typer.Option("--log", help="Where the log is left to look into.")] = Path("events.db"),
) -> None:
    """A simulated Jira site plays its life against a real service, told in words. Example: tenure demo --keep"""
    _check_place(log)
    with tempfile.TemporaryDirectory(prefix="tenure-demo-") as name, KeyHost() as keys, Receiver() as receiver:
        folder = Path(name)
        with Service(folder, _settings(keys, receiver)) as service:
            told = _tell(service, keys, receiver)
            if keep:
                typer.echo(f"\nStaying up: public {service.url}, internal {service.internal_url}. Ctrl-C ends it.")
                _wait(service)
        _leave(folder, log)
    _closing(log)
    if not told:
        raise fail("an answer was not the expected one; see ✗ above", 1)


def _settings(keys: KeyHost, receiver: Receiver) -> dict[str, str]:
    return {
        "APP_KEY": APP_KEY,
        "BASE_URL": "https://app.example.com",
        "MASTER_KEY": new_master_key(),
        "INSTALL_KEYS_URL": keys.url,
        "UPSTREAM_URL": receiver.url,
        "FORWARD_AUTH": "nginx",
    }


def _check_place(log: Path) -> None:
    try:
        database = connect(log, read_only=True)
        foreign = list(database.query("SELECT 1 FROM events WHERE app_key <> ? LIMIT 1", [APP_KEY]))
        database.close()
    except FileNotFoundError:
        return
    except (UntrustedStoreError, DatabaseError):
        foreign = [{}]
    if foreign:
        raise fail(f"{log} is not a demo's log and stays as it is; name another place with --log", 2)


def _leave(folder: Path, log: Path) -> None:
    source, copy = connect(folder / "events.db"), folder / "copy.db"
    source.execute("VACUUM INTO ?", [str(copy)])
    source.close()
    copy.chmod(0o600)
    for leftover in (log, Path(f"{log}-wal"), Path(f"{log}-shm")):
        leftover.unlink(missing_ok=True)
    shutil.move(copy, log)


def _tell(service: Service, keys: KeyHost, receiver: Receiver) -> bool:
    teller = _Teller()
    with Site(
        "https://app.example.com",
        app_key=APP_KEY,
        key_host=keys,
        base_url="https://acme.atlassian.net",
        connect_url=service.url,
    ) as site:
        _life(teller, site, service)
        _attacks(teller, site)
        _end(teller, site, receiver)
    return teller.right


class _Teller:
    """Says what is sent, what comes back, and whether it is what should."""

    def __init__(self) -> None:
        self.right = True

    def chapter(self, title: str) -> None:
        typer.echo(f"\n{title}")

    def step(self, what: str, status: int, expected: int, means: str) -> None:
        good = status == expected
        self.right &= good
        typer.echo(f"  {'✓' if good else '✗'} {what:<62} {status}  {means}")

    def call(self, what: str, send: Callable[[], Sent], expected: int, means: str) -> Sent:
        sent = send()
        self.step(what, sent.status, expected, means)
        return sent


def _life(teller: _Teller, site: Site, service: Service) -> None:
    teller.chapter("An admin of acme.atlassian.net installs the app")
    teller.call("webhook before any install", site.webhook, 401, "no secret is known: refused")
    teller.call("installed, RS256 by Atlassian's key", site.install, 204, "the first event; the secret is sealed")
    teller.call("enabled, HS256 by the new secret", site.enable, 204, "the second event")
    teller.chapter("The site calls")
    teller.call("webhook jira:issue_created", site.webhook, 200, "checked and passed on to the app")
    again = teller.call("another webhook", lambda: site.webhook(identifier="wh-1"), 200, "passed on")
    teller.call("the same again, as Jira retries", lambda: site.resend(again), 204, "a duplicate: not passed on twice")
    teller.step("a page load, asked for by the proxy", _page(site, service), 200, "X-Tenure-Client-Key says who")
    teller.chapter("Jira rotates the secret")
    old = site.secret
    teller.call("installed again, with a new secret", site.rotate, 204, "in force from this answer on")
    teller.call("webhook signed with the old secret", lambda: site.webhook(secret=old), 425, "come again: Jira retries")
    teller.call("webhook signed with the new one", site.webhook, 200, "passed on")


def _page(site: Site, service: Service) -> int:
    token = site.page_token("GET", "/panel", "issue=DEMO-1")
    headers = {"X-Original-Method": "GET", "X-Original-URI": f"/panel?issue=DEMO-1&jwt={token}"}
    return httpx.get(f"{service.internal_url}/forward-auth", headers=headers, trust_env=False).status_code


def _attacks(teller: _Teller, site: Site) -> None:
    teller.chapter("A stranger tries")
    attacker = Attacker(site)
    teller.call("installed, unsigned, with a secret of his own", attacker.unsigned_install, 401, "refused")
    teller.call("installed, HS256 by the secret in its own body", attacker.self_signed_install, 401, "refused")
    teller.call("installed, RS256 by a key nobody knows", attacker.unknown_key_install, 401, "refused")
    captured = site.install()
    teller.call(
        "a captured token with another secret", lambda: attacker.captured_install(captured), 401, "spent: refused"
    )
    teller.call("a webhook signed by himself", attacker.own_webhook, 401, "refused")
    teller.call("and the honest site, after all that", site.webhook, 200, "passed on, as before")


def _end(teller: _Teller, site: Site, receiver: Receiver) -> None:
    teller.chapter("The admin uninstalls, and returns")
    teller.call("uninstalled", site.uninstall, 204, "marked, not deleted")
    teller.call("webhook after that", site.webhook, 401, "the kept secret lets no traffic in")
    teller.call("disabled, arriving late", site.disable, 204, "acknowledged; revives nothing")
    teller.call("installed: the return", site.rotate, 204, "the same tenant, its history whole")
    teller.call("enabled", site.enable, 204, "")
    teller.call("webhook", site.webhook, 200, f"passed on; the app has had {len(receiver.received) + 1} in all")


def _wait(service: Service) -> None:
    try:
        service.wait()
    except KeyboardInterrupt:
        typer.echo("ending")


def _closing(log: Path) -> None:
    where = "" if log == Path("events.db") else f"TENURE_DATABASE_URL={log} "
    name = "tenure" if shutil.which("tenure") else sys.argv[0]
    typer.echo(f"\nThe log is left in {log}. Look into it:")
    for command in (
        "tenant list",
        "tenant show acme.atlassian.net",
        "tenant show acme.atlassian.net --position 2",
        "events",
        "event 1 --json",
    ):
        typer.echo(f"  {where}{name} {command}")
