"""A real `tenure serve` with the parties it meets: key host, sites, the app's receiver; and its log to read."""

import socket
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from tenure.decision_stores import decision_reads_of
from tenure.domain.decisions import Decision
from tenure.domain.events import Event
from tenure.domain.tenant import Tenant
from tenure.keydesk import keys_of
from tenure.projections import tenants
from tenure.service import Service
from tenure.settings import StoreSettings
from tenure.simulator import tokens
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.receiver import Receiver
from tenure.simulator.site import Sent, Site
from tenure.store.decision_reads import DecisionReads, plain_fields
from tenure.store.key_database import KeyDatabase
from tenure.store.masters import new_master_key
from tenure.stores import Log, log_of

APP_KEY = "com.example.app"
BASE_URL = "https://app.example.com"


@dataclass(frozen=True, slots=True)
class Trail:
    """What a refused call must leave untouched: the log's head and the tenant's context."""

    head: tuple[int, str]
    tenant: Tenant | None


class ThriftyKeyHost(KeyHost):
    """A key host whose many kids share a few keys, because making keys is slow."""

    def new_key(self, bits: int = 2048) -> str:
        kid = str(uuid.uuid4())
        self._keys[kid] = tokens.pooled_key("host", len(self._keys) % 4, bits)
        return kid


class House:
    """One running service; `settings` add to or replace the usual ones, `arguments` go to `serve`."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, *arguments: str) -> None:
        self.folder = folder
        self.keys = ThriftyKeyHost()
        self.receiver = Receiver()
        self.settings = {
            "APP_KEY": APP_KEY,
            "BASE_URL": BASE_URL,
            "MASTER_KEY": new_master_key(),
            "INSTALL_KEYS_URL": self.keys.url,
            "UPSTREAM_URL": self.receiver.url,
            "FORWARD_AUTH": "nginx",
            "BALLAST_MB": "0",  # 8 MB a test would be much
            **(settings or {}),
        }
        self.arguments = arguments
        try:
            self.service = self._serve()
        except BaseException:
            self._end_others()
            raise

    def _serve(self) -> Service:
        given = {name: value for name, value in self.settings.items() if value}
        return Service(self.folder, given, *self.arguments)

    def restart(self, *, kill: bool = False) -> None:
        """The same store under a new process; `kill` ends the old one with kill -9."""
        if kill:
            self.service.kill()
        self.service.stop()
        self.service = self._serve()

    def close(self) -> None:
        """Ends the service and the others."""
        self.service.stop()
        self._end_others()

    def _end_others(self) -> None:
        self.keys.close()
        self.receiver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the other parties

    @property
    def url(self) -> str:
        return self.service.url

    def site(self, **options: Any) -> Site:
        """A site that has not installed the app yet."""
        return Site(
            self.settings["BASE_URL"],
            **{"app_key": APP_KEY, "key_host": self.keys, "connect_url": self.service.url, **options},
        )

    def again(self, site: Site) -> Site:
        """The same site, calling where the service listens now."""
        same = self.site(client_key=site.client_key, base_url=site.base_url)
        same.kid, same.secret, same.secrets = site.kid, site.secret, site.secrets
        return same

    def installed(self, **options: Any) -> Site:
        """A site that has installed and enabled the app."""
        site = self.site(**options)
        assert site.install().status == 204
        assert site.enable().status == 204
        return site

    # -- what the log says

    @property
    def store(self) -> StoreSettings:
        """Where its store is, from any folder."""
        return StoreSettings(database_url=self.settings.get("DATABASE_URL") or str(self.folder / "events.db"))

    def key_database(self) -> KeyDatabase:
        """Where its keys lie; to be closed."""
        return keys_of(self.store)

    @contextmanager
    def log(self) -> Iterator[Log]:
        """The log, read-only."""
        log = log_of(self.store)
        try:
            yield log
        finally:
            log.close()

    def head(self) -> tuple[int, str]:
        """Position and hash of the last event."""
        with self.log() as log:
            return log.head()

    def tenant(self, client_key: str) -> Tenant | None:
        """The context of a tenant as it is projected now."""
        with self.log() as log:
            found = tenants.find(log.connection, client_key)
            return found[0] if found else None

    def known(self, client_key: str) -> Tenant:
        """As `tenant`, of one that must be there."""
        tenant = self.tenant(client_key)
        assert tenant is not None
        return tenant

    def events(self, client_key: str) -> list[Event]:
        """The stream of a tenant."""
        with self.log() as log:
            return list(log.stream(APP_KEY, client_key))

    def kinds(self, client_key: str) -> list[str]:
        """The types of a tenant's events."""
        return [event.type for event in self.events(client_key)]

    def trail(self, client_key: str) -> Trail:
        """What a refused call must leave as it was (ask with no other calls under way)."""
        return Trail(self.head(), self.tenant(client_key))

    @contextmanager
    def decisions(self) -> Iterator[DecisionReads]:
        """The decision log, read-only."""
        url = self.settings.get("DATABASE_URL") or str(self.folder / "events.db")
        decisions = decision_reads_of(StoreSettings(database_url=url))
        try:
            yield decisions
        finally:
            decisions.close()

    def recorded(self) -> list[dict[str, Any]]:
        """The recorded decisions, as plain fields."""
        with self.decisions() as decisions:
            return list(decisions.read(limit=5000))

    def stored(self, response: httpx.Response) -> Decision:
        """The recorded decision behind an answer, with its facts."""
        with self.decisions() as decisions:
            found = decisions.one(response.headers["x-tenure-decision"])
        assert found is not None, "the decision was not kept"
        return found.decision

    def decision(self, response: httpx.Response) -> dict[str, Any]:
        """The recorded decision behind an answer, as plain fields."""
        return plain_fields(self.stored(response))

    def reason(self, sent: Sent | httpx.Response) -> str:
        """Why a call was refused; empty if it was not."""
        response = sent.response if isinstance(sent, Sent) else sent
        return str(self.decision(response)["reason"])

    # -- the internal listener

    def forward_auth(self, headers: Mapping[str, str] | list[tuple[str, str]], query: str = "") -> httpx.Response:
        """What a proxy asks."""
        url = f"{self.service.internal_url}/forward-auth{query}"
        return httpx.get(url, headers=headers, trust_env=False, timeout=15)

    def page(self, site: Site, token: str | None = None, uri: str = "/page") -> httpx.Response:
        """A proxy of the nginx family asks for a page load with the token in its header."""
        token = token or site.page_token("GET", uri)
        return self.forward_auth({"X-Original-Method": "GET", "X-Original-URI": uri, "Authorization": f"JWT {token}"})


def at_once(calls: list[Any], workers: int = 20) -> list[Any]:
    """The results of calls made at the same time, in their order."""
    with ThreadPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def raw_exchange(url: str, request: bytes, timeout: float = 12.0) -> bytes:
    """The bytes a server answers to bytes, until it closes or `timeout` is over (TimeoutError)."""
    host, _, port = url.removeprefix("http://").partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        try:
            connection.sendall(request)
            while piece := connection.recv(65536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer
