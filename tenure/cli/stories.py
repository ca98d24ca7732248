"""`tenure simulate`, the rest: the key host, named stories, and load."""

import threading
import uuid
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer

from tenure.cli import simulate
from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, paragraph, progress, table
from tenure.cli.rig import Rig, with_common
from tenure.simulator.load import THREADS, Send, Tally, drive
from tenure.simulator.site import Site, tls
from tenure.simulator.state import KEY_PORT, STATE_FILE, SUFFIX, SimulatorHost, State, StateError
from tenure.simulator.stories import STORIES
from tenure.simulator.stories.stage import Stage, Step

simulate_app = simulate.simulate_app
PLAYS = "Stories and load"
HOST = "The simulator itself"

Suffix = Annotated[str, typer.Option(help="What the fresh sites' host names end in.")]


def _story_names(incomplete: str) -> list[tuple[str, str]]:
    return [(name, story.teaches) for name, story in STORIES.items() if name.startswith(incomplete)]


@simulate_app.command("keys", rich_help_panel=HOST)
def simulate_keys(
    state: Annotated[Path, typer.Option(help="What the simulated sites remember.")] = Path(STATE_FILE),
    port: Annotated[int, typer.Option("--key-port", help="Port to listen on.", min=1, max=65535)] = KEY_PORT,
) -> None:
    """The simulated key host, until Ctrl-C; takes webhooks too, in the app's place. Example: tenure simulate keys"""
    try:
        key = State(state).key
        host = SimulatorHost(key, port, typer.echo)
    except StateError as error:
        raise fail(str(error), 2) from None
    except OSError as error:
        raise fail(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; give --key-port another", 2) from None
    with host:
        typer.echo(f"The key host is {host.url}. For the service, beside its own settings:")
        typer.echo(f"  export TENURE_INSTALL_KEYS_URL={host.url}")
        typer.echo(f"  export TENURE_UPSTREAM_URL={host.url}   # if the app itself is not to get the webhooks")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("ending")


@simulate_app.command("sites", rich_help_panel=HOST)
def simulate_sites(
    state: Annotated[Path, typer.Option(help="What the simulated sites remember.")] = Path(STATE_FILE),
    as_json: Json = False,
) -> None:
    """The sites known so far, and how they stand in their own eyes. Example: tenure simulate sites"""
    try:
        sites = State(state).sites
    except StateError as error:
        raise fail(str(error), 2) from None
    columns = ("base_url", "client_key", "standing")
    rows = [{"site": name} | {column: getattr(site, column) for column in columns} for name, site in sites.items()]
    table(rows, ("site", *columns), as_json)


@simulate_app.command("stories", rich_help_panel=PLAYS)
def simulate_stories(as_json: Json = False) -> None:
    """The stories there are, and what each teaches. Example: tenure simulate stories"""
    table([{"story": name, "teaches": story.teaches} for name, story in STORIES.items()], ("story", "teaches"), as_json)


@simulate_app.command("story", rich_help_panel=PLAYS)
@with_common
def simulate_story(
    made: Rig,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="STORY", help="Names of stories.", autocompletion=_story_names, show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All stories, one after the other.")] = False,
    suffix: Suffix = SUFFIX,
) -> None:
    """Plays stories with fresh sites. Example: tenure simulate story rotation captured-token"""
    wanted = list(STORIES) if every else names or []
    if not wanted:
        raise fail("name a story, or give --all (the names: tenure simulate stories)", 2)
    for name in wanted:
        if name not in STORIES:
            near = ", ".join(get_close_matches(name, STORIES)) or "see tenure simulate stories"
            raise fail(f"there is no story {name} ({near})", 2)
    if every:
        _check_upstream(made)
    right = [_play(made, name, suffix) for name in wanted]
    if not made.common.as_json and len(wanted) > 1:
        typer.echo(f"\n{sum(right)} of {len(wanted)} stories as they should be")
    if not all(right):
        raise typer.Exit(1)


def _check_upstream(made: Rig) -> None:
    # said once: without it most stories fail, each at every webhook of its own
    answer = made.make_site().send("webhooks", {}, None).response
    if answer.status_code == 404 and "upstream" in answer.text:
        raise fail(_no_upstream(made), 1)


def _no_upstream(made: Rig) -> str:
    return f"the service takes webhooks only with an upstream: set TENURE_UPSTREAM_URL={made.key_url}"


def _play(made: Rig, name: str, suffix: str) -> bool:
    story, as_json = STORIES[name], made.common.as_json

    def site(**options: object) -> Site:
        host = f"https://{name[:40]}-{uuid.uuid4().hex[:8]}{suffix}"
        return made.make_site(**{"base_url": host, **options})

    def tell(step: Step) -> None:
        if as_json:
            made.tell(name, step)
            return
        means = step.means if step.right else f"expected {step.expected}"
        paragraph(means, f"  {'✓' if step.right else '✗'} {step.what:<52} {step.came:<22} ", " " * 8)
        for label, text in (("sent", step.sent), ("next", made.next_step(step))):
            if text and not step.right:
                paragraph(text, f"      {label}: ", " " * 12)

    if not as_json:
        typer.echo(f"\n{name}: {story.teaches}")
    stage = Stage(site, made.records, tell)
    story.play(stage)
    return stage.right


class Kind(StrEnum):
    """What is sent under load."""

    WEBHOOK = "webhook"
    INSTALLED = "installed"
    ENABLED = "enabled"


@simulate_app.command("load", rich_help_panel=PLAYS)
@with_common
def simulate_load(
    made: Rig,
    sites: Annotated[int, typer.Option(help="So many fresh sites, which install first.", min=1, max=10_000)] = 10,
    rate: Annotated[float, typer.Option(help="Calls a second, of all sites together.", min=0.1, max=10_000)] = 50.0,
    seconds: Annotated[float, typer.Option(help="For so long.", min=0.1, max=86_400)] = 10.0,
    kind: Annotated[Kind, typer.Option("--call", help="What is sent.")] = Kind.WEBHOOK,
    suffix: Suffix = SUFFIX,
) -> None:
    """Calls at a steady rate, and how they fared. Example: tenure simulate load --sites 20 --rate 200 --seconds 30"""
    as_json = made.common.as_json
    crowd: list[Site] = []
    with progress(as_json) as say, _connections() as client:
        for number in range(1, sites + 1):
            site = made.make_site(base_url=f"https://load-{uuid.uuid4().hex[:12]}{suffix}", client=client)
            stage = Stage(made.make_site, made.records)
            stage.call("installed", site.install)
            if not stage.right:
                made.tell(site.base_url, stage.steps[-1])
                raise typer.Exit(1)
            crowd.append(site)
            say(f"{number} of {sites} sites have installed")
        tally = drive([_sender(site, kind) for site in crowd], rate, seconds, lambda now: say(_so_far(now)))
    _report(tally, made, kind)


def _connections() -> httpx.Client:
    """Connections that are kept, as Jira keeps them; one pool for all sites."""
    limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
    return httpx.Client(timeout=30, trust_env=False, limits=limits, verify=tls())


def _sender(site: Site, kind: Kind) -> Send:
    sends: dict[Kind, Send] = {Kind.WEBHOOK: site.webhook, Kind.INSTALLED: site.install, Kind.ENABLED: site.enable}
    return sends[kind]


def _so_far(tally: Tally) -> str:
    return f"{tally.sent} sent, {tally.accepted} accepted, {tally.refused} refused"


def _report(tally: Tally, made: Rig, kind: Kind) -> None:
    found = {
        "sent": tally.sent, "accepted": tally.accepted, "refused": tally.refused, "failed": tally.failed,
        "per_second": round(tally.sent / tally.lasted, 1), "p50_ms": tally.percentile(0.5),
        "p99_ms": tally.percentile(0.99),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
    }  # fmt: skip
    emit(found, made.common.as_json)
    if not tally.refused and not tally.failed:
        return
    if kind is Kind.WEBHOOK and tally.statuses[404]:
        raise fail(_no_upstream(made), 1)
    raise typer.Exit(1)
