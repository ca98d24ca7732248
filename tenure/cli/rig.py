"""What the commands of `tenure simulate` share: whom they drive, what they remember, how they tell what came back.

Settings of the service are taken from the same TENURE_ variables, so that in the service's own shell nothing need be
said. Where the service's store lies in the working directory, the reason of each refusal is read from it.
"""

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from tenure.cli.audit import Json
from tenure.cli.output import emit, fail, paragraph, settings_of
from tenure.decision_stores import decision_reads_of
from tenure.domain.refusals import REASONS, Reason
from tenure.settings import StoreSettings
from tenure.simulator.site import Sent, Site, tls
from tenure.simulator.state import KEY_PORT, STATE_FILE, SiteState, State, StateError, hosting
from tenure.simulator.stories.stage import Stage, Step
from tenure.store.connection import UntrustedStoreError
from tenure.stores import database_errors, log_of

RECENT = 500
WHOM = "The service, and the simulator's own"


class Target(StoreSettings):
    """The settings of the service that a site needs to know; all have defaults, options go before them."""

    app_key: str = "com.example.app"
    base_url: str = "http://127.0.0.1:8000"
    installed_path: str = "/installed"
    uninstalled_path: str = "/uninstalled"
    enabled_path: str = "/enabled"
    disabled_path: str = "/disabled"
    webhooks_path: str = "/webhooks"
    forward_auth: str = "nginx"

    @property
    def paths(self) -> dict[str, str]:
        """Paths by kind, as `Site` takes them."""
        kinds = ("installed", "uninstalled", "enabled", "disabled", "webhooks")
        return {kind: str(getattr(self, f"{kind}_path")) for kind in kinds}


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command of a site takes."""

    url: Annotated[
        str | None,
        typer.Option(help="Its base URL (default: TENURE_BASE_URL, or http://127.0.0.1:8000).", rich_help_panel=WHOM),
    ] = None
    connect: Annotated[
        str | None, typer.Option(help="Where calls really go, if not to the base URL.", rich_help_panel=WHOM)
    ] = None
    app_key: Annotated[
        str | None,
        typer.Option(help="The app's key (default: TENURE_APP_KEY, or com.example.app).", rich_help_panel=WHOM),
    ] = None
    state: Annotated[
        Path, typer.Option(help="What the simulated sites remember; made on first use, 0600.", rich_help_panel=WHOM)
    ] = Path(STATE_FILE)
    key_port: Annotated[
        int, typer.Option(help="Port of the simulated key host.", min=1, max=65535, rich_help_panel=WHOM)
    ] = KEY_PORT
    as_json: Json = False


def with_common(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its first parameter a `Rig` made from the common options, which are added to its own."""
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = list(inspect.signature(Common).parameters.values())
    names = [parameter.name for parameter in shared]

    def run(**values: Any) -> None:
        common = Common(**{name: values.pop(name) for name in names})
        with rig(common) as made:
            command(made, **values)

    kinds = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(kinds)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in kinds}
    return run


class LocalRecords:
    """The service's own records, if its store is here: told by a decision of its being in it."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._same = False

    def reason(self, decision: str) -> str | None:
        """Why a call was refused (empty: it was not); None if the decision is not here."""
        try:
            store = decision_reads_of(self._settings)
            try:
                rows = store.read(limit=RECENT)
            finally:
                store.close()
        except (OSError, UntrustedStoreError):
            return None
        except database_errors():
            return None
        found = next((str(row["reason"]) for row in rows if row["decision"] == decision), None)
        self._same |= found is not None
        return found

    def history(self, client_key: str) -> list[str] | None:
        """The types of a tenant's events, of a store that has proved to be this service's."""
        if not self._same:
            return None
        log = log_of(self._settings)
        try:
            return [str(event.type) for event in log.read(client_key=client_key)]
        finally:
            log.close()


@contextmanager
def rig(common: Common) -> Iterator["Rig"]:
    """The rig, with the key host there while it lasts; what goes wrong becomes a line and an exit status."""
    made = None
    try:
        made = Rig(common)
        with hosting(made.state.key, common.key_port):
            yield made
    except StateError as error:
        raise fail(str(error), 2) from None
    except httpx.UnsupportedProtocol:
        raise fail(f"{made.where if made else ''} is no http or https URL (--url, --connect)", 2) from None
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise fail(
                f"the certificate of {_asked(error)} is not trusted here ({error}); "
                "name its authority's file in SSL_CERT_FILE", 1
            ) from None  # fmt: skip
        raise fail(
            f"nothing answers at {_asked(error)} ({type(error).__name__}); start it with `tenure serve`, "
            "or name the service with --url (and --connect, if its base URL does not lead there)", 1
        ) from None  # fmt: skip


def _asked(error: httpx.TransportError) -> str:
    try:
        return str(error.request.url.copy_with(query=None))
    except RuntimeError:
        return "the service"


class Rig:
    """One command's run: the sites it uses, and what it tells."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.target = settings_of(Target)
        self.base_url = (common.url or self.target.base_url).rstrip("/")
        self.where = (common.connect or self.base_url).rstrip("/")
        self.app_key = common.app_key or self.target.app_key
        self.state = State(common.state)
        self.key_url = f"http://127.0.0.1:{common.key_port}"
        self.records = LocalRecords(self.target)

    def make_site(self, **options: Any) -> Site:
        """A site of this rig's key host that calls this rig's service; the options are those of `Site`."""
        usual = {"app_key": self.app_key, "key_host": self.state.key, "paths": self.target.paths}
        return Site(self.base_url, **{**usual, "connect_url": self.common.connect, **options})

    def known_site(self, name: str) -> tuple[Site, SiteState]:
        """The site of that name as the state file knows it."""
        kept = self.state.site(name)
        site = self.make_site(client_key=kept.client_key, base_url=kept.base_url)
        site.secret, site.secrets = kept.secret, list(kept.secrets)
        return site, kept

    def each(self, names: list[str], act: Callable[[Stage, Site, SiteState], None]) -> None:
        """Does the same with every site, all at once, remembers them and tells; exit 1 if an answer was wrong."""

        def one(name: str) -> list[Step]:
            site, kept = self.known_site(name)
            stage = Stage(self.make_site, self.records)
            try:
                act(stage, site, kept)
            finally:
                kept.keep(site)
                self.state.remember(name)
            return stage.steps

        unique = list(dict.fromkeys(names))
        for name in unique:
            self.state.site(name)
        with ThreadPoolExecutor(min(32, len(unique))) as pool:
            told = list(zip(unique, pool.map(one, unique), strict=True))
        for name, steps in told:
            for step in steps:
                self.tell(name, step)
        if not all(step.right for _, steps in told for step in steps):
            raise typer.Exit(1)

    def tell(self, site: str, step: Step) -> None:
        """What was sent, what came back, and what should have."""
        if self.common.as_json:
            emit({"site": site, **asdict(step), "next": self.next_step(step)}, True)
            return
        typer.echo(f"{'✓' if step.right else '✗'} {site}: {step.what}")
        lines = [("sent", step.sent), ("came", step.came), ("expected", step.expected), ("next", self.next_step(step))]
        if step.means:
            lines[2] = ("expected", f"{step.expected}: {step.means}")
        for name, text in lines:
            if text:
                paragraph(text, f"    {name:<9} ", " " * 14)

    def next_step(self, step: Step) -> str:
        """What to do about an answer that is not what it should be; empty if it is."""
        if step.right or not step.status:
            return ""
        hosts = f"set TENURE_INSTALL_KEYS_URL={self.key_url} for the service and start it again"
        own = {
            "key_unavailable": f"The service got no key, so its key host is not the simulator: {hosts}",
            "kid_unknown": f"The service asks another key host than the simulator: {hosts}",
            "app_mismatch": "Give with --app-key what the service has as TENURE_APP_KEY",
            "audience_mismatch": "Give with --url what the service has as TENURE_BASE_URL (--connect: where it is)",
            "site_not_allowed": "Let TENURE_ALLOWED_SITES of the service cover the site's host",
        }
        if step.reason in own:
            return own[step.reason]
        if step.reason:
            return REASONS[Reason(step.reason)].next if step.reason in set(Reason) else ""
        return self._by_status(step, hosts)

    def _by_status(self, step: Step, hosts: str) -> str:
        if step.status == 404 and self.target.webhooks_path in step.sent:
            return f"The service takes webhooks only with an upstream: set TENURE_UPSTREAM_URL={self.key_url}"
        if step.status == 404 and "/forward-auth" in step.sent:
            return f"The service asks for no proxy: set TENURE_FORWARD_AUTH={self.target.forward_auth} for it"
        if step.status == 404:
            return "No such route: --url must have the path of TENURE_BASE_URL, and the paths must be the service's"
        if step.status in (502, 504):
            return "The app's own receiver (TENURE_UPSTREAM_URL) did not answer"
        if step.status == 401:
            return (
                f"Where the service's store is: tenure decisions --verdict refused (decision {step.decision}). "
                f"Often its key host is not the simulator: {hosts}; or --url is not its TENURE_BASE_URL"
            )
        return "Look at the service's own output"


def sent_by(method: str, url: str, headers: dict[str, str], token: str, server_name: str | None = None) -> Sent:
    """A request that is no site's own: a proxy's question to /forward-auth, or a page load (`server_name`: TLS's)."""
    extensions = {"sni_hostname": server_name} if server_name else {}
    with httpx.Client(timeout=30, trust_env=False, verify=tls()) as client:
        response = client.request(method, url, headers=headers, extensions=extensions)
    return Sent(method, url, headers, b"", token, response)
