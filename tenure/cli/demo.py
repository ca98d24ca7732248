"""`tenure demo`: the service with a simulated Jira site playing a story against it, told in words.

Everything is real but the site: a `serve` of its own, a key host, an app's receiver, signatures. The log it leaves
(with the decisions beside it) is put in place of `--log` only if there is none yet, or only a demo's: a real log is
never overwritten.
"""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pysqlite3 import DatabaseError

from tenure.cli.output import fail
from tenure.cli.rig import sent_by
from tenure.service import Service
from tenure.settings import StoreSettings
from tenure.simulator.attacker import Attacker
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.receiver import Receiver
from tenure.simulator.site import Sent, Site
from tenure.simulator.stories.stage import LATER, PASSED, REFUSED, Stage, Step
from tenure.store.connection import UntrustedStoreError, connect
from tenure.store.key_file import KeyFile
from tenure.store.masters import new_master_key
from tenure.store.tokens import ApiTokens

APP_KEY = "com.example.demo"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the story, to be driven by hand.")] = False,
    log: Annotated[Path, typer.Option("--log", help="Where the log is left to look into.")] = Path("events.db"),
) -> None:
    """A simulated Jira site plays its life against a real service, told in words. Example: tenure demo --keep"""
    _check_place(log)
    with (
        _ended_in_order(),
        tempfile.TemporaryDirectory(prefix="tenure-demo-") as name,
        KeyHost() as keys,
        Receiver() as receiver,
    ):
        folder = Path(name)
        with Service(folder, _settings(keys, receiver)) as service:
            told = _tell(service, keys, receiver)
            if keep:
                typer.echo(f"\nStaying up: public {service.url}, internal {service.internal_url}. Ctrl-C ends it.")
                typer.echo(f"Look into it: {console_link(folder, service.internal_url)} (opens once, for ten minutes)")
                _wait(service)
        _leave(folder, log)
    _closing(log)
    if not told:
        raise fail("an answer was not the expected one; see ✗ above", 1)


def console_link(folder: Path, internal_url: str) -> str:
    """A link that logs in to the console once: its code stands for a token of a day that nobody has seen."""
    tokens = ApiTokens(KeyFile(folder / "keys.db"))
    try:
        tokens.create("demo", ("audit",), 1)
        return f"{internal_url}/console/login?code={tokens.login_code('demo')}"
    finally:
        tokens.close()


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
        if _decisions_of(log).exists():
            raise fail(f"{_decisions_of(log)} lies there without {log}; name another place with --log", 2) from None
        return
    except (UntrustedStoreError, DatabaseError):
        foreign = [{}]
    if foreign:
        raise fail(f"{log} is not a demo's log and stays as it is; name another place with --log", 2)


def _decisions_of(log: Path) -> Path:
    return StoreSettings(database_url=str(log)).beside("decisions")


def _leave(folder: Path, log: Path) -> None:
    for name, place in (("decisions.db", _decisions_of(log)), ("events.db", log)):
        source, copy = connect(folder / name), folder / "copy.db"
        source.execute("VACUUM INTO ?", [str(copy)])
        source.close()
        copy.chmod(0o600)
        for leftover in (place, Path(f"{place}-wal"), Path(f"{place}-shm")):
            leftover.unlink(missing_ok=True)
        shutil.move(copy, place)


def _tell(service: Service, keys: KeyHost, receiver: Receiver) -> bool:
    stage = Stage(
        partial(Site, "https://app.example.com", app_key=APP_KEY, key_host=keys, connect_url=service.url), tell=_say
    )
    with stage.site(base_url="https://acme.atlassian.net") as site:
        _life(stage, site, service)
        _attacks(stage, site)
        _end(stage, site, receiver)
    return stage.right


def _say(step: Step) -> None:
    means = step.means if step.right else f"expected {step.expected}"
    typer.echo(f"  {'✓' if step.right else '✗'} {step.what:<62} {step.status}  {means}")


def _chapter(title: str) -> None:
    typer.echo(f"\n{title}")


def _life(stage: Stage, site: Site, service: Service) -> None:
    _chapter("An admin of acme.atlassian.net installs the app")
    stage.call("webhook before any install", site.webhook, REFUSED, "no secret is known: refused")
    stage.call("installed, RS256 by Atlassian's key", site.install, means="the first event; the secret is sealed")
    stage.call("enabled, HS256 by the new secret", site.enable, means="the second event")
    _chapter("The site calls")
    stage.traffic("webhook jira:issue_created", site, means="checked and passed on to the app")
    again = stage.call("another webhook", lambda: site.webhook(identifier="wh-1"), PASSED, "passed on")
    stage.call("the same again, as Jira retries", lambda: site.resend(again), means="a duplicate: not passed on twice")
    stage.call("a page load, asked for by the proxy", _page(site, service), PASSED, "X-Tenure-Client-Key says who")
    _chapter("Jira rotates the secret")
    old = site.secret
    stage.call("installed again, with a new secret", site.rotate, means="in force from this answer on")
    stage.call(
        "webhook signed with the old secret", lambda: site.webhook(secret=old), LATER, "come again: Jira retries"
    )
    stage.traffic("webhook signed with the new one", site, means="passed on")


def _page(site: Site, service: Service) -> Callable[[], Sent]:
    token = site.page_token("GET", "/panel", "issue=DEMO-1")
    headers = {"X-Original-Method": "GET", "X-Original-URI": f"/panel?issue=DEMO-1&jwt={token}"}
    return lambda: sent_by("GET", f"{service.internal_url}/forward-auth", headers, token)


def _attacks(stage: Stage, site: Site) -> None:
    _chapter("A stranger tries")
    stranger = Attacker(site)
    stage.call("installed, unsigned, with a secret of his own", stranger.unsigned_install, REFUSED, "refused")
    stage.call("installed, HS256 by the secret in its own body", stranger.self_signed_install, REFUSED, "refused")
    stage.call("installed, RS256 by a key nobody knows", stranger.unknown_key_install, REFUSED, "refused")
    sent = site.install()
    stage.call(
        "a captured token with another secret", lambda: stranger.captured_install(sent), REFUSED, "spent: refused"
    )
    stage.call("a webhook signed by himself", stranger.own_webhook, REFUSED, "refused")
    stage.traffic("and the honest site, after all that", site, means="passed on, as before")


def _end(stage: Stage, site: Site, receiver: Receiver) -> None:
    _chapter("The admin uninstalls, and returns")
    stage.call("uninstalled", site.uninstall, means="marked, not deleted")
    stage.call("webhook after that", site.webhook, REFUSED, "the kept secret lets no traffic in")
    stage.call("disabled, arriving late", site.disable, means="acknowledged; revives nothing")
    stage.call("installed: the return", site.rotate, means="the same tenant, its history whole")
    stage.call("enabled", site.enable)
    stage.traffic("webhook", site, means=f"passed on; the app has had {len(receiver.received) + 1} in all")


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A SIGTERM or a closed terminal leaves no service and no folder behind."""

    def ended(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, ended) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


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
        "decisions --verdict refused",
        "timeline acme.atlassian.net",
    ):
        typer.echo(f"  {where}{name} {command}")
    typer.echo(f"Or look at it in a browser: {name} demo --keep prints a link to the console.")
