"""The one file that knows all rooms: opens the store, builds the parts, hands them to each other.

`prepare` makes or migrates the store once, before any worker; `build` gives each worker its application.
"""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp

from tenure.api.app import App, Listener, Route, descriptor, healthz, openapi, readyz
from tenure.api.forward_auth import ForwardAuth
from tenure.api.gate import Gate
from tenure.api.http import Answer, Call
from tenure.api.install_keys import InstallKeys
from tenure.api.lifecycle import Lifecycle, Parts
from tenure.api.recorder import Recorder
from tenure.api.signing import Access, Signing
from tenure.api.webhooks import Upstream, Webhooks
from tenure.domain.callbacks import Callback
from tenure.domain.check import Policy
from tenure.domain.decisions import Decision, Delivery
from tenure.domain.refusals import OursError
from tenure.domain.tenant import Tenant
from tenure.projections import tenants
from tenure.settings import KeySettings, Settings, SettingsError
from tenure.store.connection import UntrustedStoreError
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.lane import Lane
from tenure.store.tokens import ApiTokens
from tenure.store.vault import Vault
from tenure.stores import Log, events_of, log_of, prepare_log

INTERNAL_PORT = "TENURE_BOUND_INTERNAL_PORT"


def prepare(settings: Settings) -> None:
    """Makes or migrates the store; UntrustedStoreError if it cannot be trusted as it is."""
    prepare_log(settings)
    open_decisions(settings.beside("decisions"))
    vault = open_vault(settings)
    log = log_of(settings)
    try:
        newest = tenants.listing(log.connection)[:1]
        if newest and not vault.has_key(newest[0].app_key, newest[0].client_key):
            raise UntrustedStoreError(
                f"{settings.beside('keys')} lacks the keys of this log's tenants: restore it from its own backup"
            )
    finally:
        log.close()
        vault.close()


def open_vault(settings: KeySettings) -> Vault:
    """The vault beside the log."""
    return Vault(settings.beside("keys"), settings.master())


class _House:
    """The parts of one worker, made and ended with it."""

    def __init__(self, settings: Settings) -> None:
        self.events = events_of(settings)
        self.vault = open_vault(settings)
        self.tokens = ApiTokens(settings.beside("keys"))
        self.deliveries = SqliteDecisions(settings.beside("decisions"))
        self.install_keys = InstallKeys(settings.install_keys_url, self.events.key_store)
        self.upstream = Upstream(settings.upstream_url) if settings.upstream_url else None
        recorder = SqliteDecisions(settings.beside("decisions"))
        self.decisions: Lane[Decision | Delivery, None] = Lane(recorder.record, name="decisions")
        key_writer = open_vault(settings)
        self._new_keys: Lane[tuple[str, str], None] = Lane(_key_maker(key_writer), name="keys")
        self._readers = (self.vault, self.tokens, self.deliveries, self.events)
        self._writers = (recorder, key_writer)

    async def ensure_key(self, app_key: str, client_key: str) -> None:
        """`lifecycle.Keys`."""
        if not self.vault.has_key(app_key, client_key):
            await self._new_keys.submit((app_key, client_key))

    async def problems(self) -> list[str]:
        """`app.Readiness`: the store answers and the projection is at the head (both move in one transaction)."""
        try:
            at_head = await self.events.ask(_at_head)
        except OursError:
            return ["the store does not answer"]
        return [] if at_head else ["the log's head is not at its last event"]

    async def find(self, name: str) -> list[Tenant]:
        """The tenants of a name."""
        found: list[Tenant] = await self.events.ask(lambda log: tenants.find(log.connection, name))
        return found

    async def start(self) -> None:
        """Opens the ways out."""
        session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            connector=aiohttp.TCPConnector(limit=256),
        )
        self.install_keys.session = session
        if self.upstream is not None:
            self.upstream.session = session

    async def stop(self) -> None:
        """Writes what is queued and closes everything."""
        if self.install_keys.session is not None:
            await self.install_keys.session.close()
        for lane in (self.decisions, self._new_keys):
            lane.close()
        for part in (*self._readers, *self._writers):
            part.close()


def _at_head(log: Log) -> bool:
    position, _ = log.head()
    row = log.connection.execute("SELECT max(position) FROM events").fetchone()
    return bool((row[0] or 0) == position)


def _key_maker(vault: Vault) -> Any:
    def make(batch: Sequence[tuple[str, str]]) -> list[None]:
        for tenant in batch:
            vault.ensure_key(*tenant)
        return [None] * len(batch)

    return make


def build(settings: Settings) -> App:
    """The application of one worker."""
    house = _House(settings)
    recorder = Recorder(house.decisions)
    policy = Policy(settings.audiences, settings.refuse_disabled, settings.legacy_install)
    gate = Gate(settings.app_key, settings.base_path, house.events.contexts, house.vault, policy, time.time)
    gate.prepare()
    lifecycle = Lifecycle(
        Parts(
            app_key=settings.app_key,
            base_path=settings.base_path,
            sites=settings.allowed_sites,
            policy=policy,
            clock=time.time,
            gate=gate,
            contexts=house.events.contexts,
            spent=house.events,
            log=house.events,
            vault=house.vault,
            keys=house,
            install_keys=house.install_keys,
            recorder=recorder,
        )
    )
    webhooks = Webhooks(settings.app_key, gate, recorder, house.deliveries, house.upstream, settings.webhook_limit)
    forward_auth = ForwardAuth(settings.app_key, gate, recorder, settings.forward_auth)
    signing = Signing(
        Access(house.tokens),
        _of_app(house, settings.app_key),
        house.vault,
        recorder,
        time.time,
    )
    return App(
        _public(settings, lifecycle, webhooks),
        Listener(
            {
                "/forward-auth": Route(forward_auth.handle, ()),
                "/sign": Route(signing.handle),
                "/readyz": Route(readyz(house), ("GET", "HEAD")),
                "/openapi.json": Route(openapi, ("GET", "HEAD")),
            }
        ),
        house.start,
        house.stop,
        lambda: int(os.environ.get(INTERNAL_PORT, "0")),
    )


def _of_app(house: _House, app_key: str) -> Callable[[str], Awaitable[list[Tenant]]]:
    async def find(name: str) -> list[Tenant]:
        return [tenant for tenant in await house.find(name) if tenant.app_key == app_key]

    return find


def _public(settings: Settings, lifecycle: Lifecycle, webhooks: Webhooks) -> Listener:
    paths = {
        Callback.INSTALLED: settings.installed_path,
        Callback.UNINSTALLED: settings.uninstalled_path,
        Callback.ENABLED: settings.enabled_path,
        Callback.DISABLED: settings.disabled_path,
    }
    routes = {"/healthz": Route(healthz, ("GET", "HEAD"))}
    for callback, path in paths.items():
        routes[settings.base_path + path] = Route(_bound(lifecycle, callback))
    if settings.descriptor_file is not None:
        raw = read_descriptor(settings)
        routes[settings.base_path + "/atlassian-connect.json"] = Route(descriptor(raw), ("GET", "HEAD"))
    hooks = settings.base_path + settings.webhooks_path
    routes[hooks] = Route(webhooks.handle)
    return Listener(routes, f"{hooks}/", routes[hooks])


def read_descriptor(settings: Settings) -> bytes:
    """The configured descriptor's bytes, or SettingsError."""
    if settings.descriptor_file is None:
        return b""
    try:
        return settings.descriptor_file.read_bytes()
    except OSError as error:
        raise SettingsError(f"TENURE_DESCRIPTOR_FILE: {settings.descriptor_file}: {error.strerror}") from None


def _bound(lifecycle: Lifecycle, callback: Callback) -> Any:
    async def handle(call: Call) -> Answer:
        return await lifecycle.handle(callback, call)

    return handle
