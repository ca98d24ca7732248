"""The one file that knows all rooms: opens the store, builds the parts, hands them to each other.

`prepare` makes or migrates the store once, before any worker; `build` gives each worker its application.
"""

import os
import time
from collections.abc import Sequence
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
from tenure.domain.ports import Append, AppendResult, Spend
from tenure.projections import tenants
from tenure.projections.security_context import SecurityContextProjector, SecurityContexts, schema
from tenure.settings import KeySettings, Settings, SettingsError
from tenure.store.connection import UntrustedStoreError
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.install_keys import SqliteInstallKeys
from tenure.store.lane import Lane
from tenure.store.sqlite import SqliteLog, open_log
from tenure.store.tokens import ApiTokens
from tenure.store.vault import Vault

INTERNAL_PORT = "TENURE_BOUND_INTERNAL_PORT"


def prepare(settings: Settings) -> None:
    """Makes or migrates the store; UntrustedStoreError if it cannot be trusted as it is."""
    open_log(settings.log_path, [schema()])
    open_decisions(settings.beside("decisions"))
    vault = open_vault(settings)
    log = SqliteLog(settings.log_path, read_only=True)
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
        self.log = SqliteLog(settings.log_path)
        self.contexts = SecurityContexts(self.log.connection)
        self.vault = open_vault(settings)
        self.tokens = ApiTokens(settings.beside("keys"))
        self.deliveries = SqliteDecisions(settings.beside("decisions"))
        self.key_store = SqliteInstallKeys(settings.log_path)
        self.install_keys = InstallKeys(settings.install_keys_url, self.key_store)
        self.upstream = Upstream(settings.upstream_url) if settings.upstream_url else None
        writer = SqliteLog(settings.log_path, [SecurityContextProjector()])
        self._appends: Lane[Append, AppendResult] = Lane(writer.append, name="log")
        recorder = SqliteDecisions(settings.beside("decisions"))
        self.decisions: Lane[Decision | Delivery, None] = Lane(recorder.record, name="decisions")
        key_writer = open_vault(settings)
        self._new_keys: Lane[tuple[str, str], None] = Lane(_key_maker(key_writer), name="keys")
        self._readers = (self.log, self.vault, self.tokens, self.deliveries, self.key_store)
        self._writers = (writer, recorder, key_writer)

    async def append(self, request: Append) -> AppendResult:
        """`ports.AsyncLog`."""
        return await self._appends.submit(request)

    async def spent(self, fingerprint: str) -> Spend | None:
        """`ports.SpentTokens`."""
        return self.log.spent(fingerprint)

    async def ensure_key(self, app_key: str, client_key: str) -> None:
        """`lifecycle.Keys`."""
        if not self.vault.has_key(app_key, client_key):
            await self._new_keys.submit((app_key, client_key))

    def problems(self) -> list[str]:
        """`app.Readiness`: the store answers and the projection is at the head (both move in one transaction)."""
        position, _ = self.log.head()
        row = self.log.connection.execute("SELECT max(position) FROM events").fetchone()
        return [] if (row[0] or 0) == position else ["the log's head is not at its last event"]

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
        for lane in (self._appends, self.decisions, self._new_keys):
            lane.close()
        for part in (*self._readers, *self._writers):
            part.close()


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
    gate = Gate(settings.app_key, settings.base_path, house.contexts, house.vault, policy, time.time)
    gate.prepare()
    lifecycle = Lifecycle(
        Parts(
            app_key=settings.app_key,
            base_path=settings.base_path,
            sites=settings.allowed_sites,
            policy=policy,
            clock=time.time,
            gate=gate,
            contexts=house.contexts,
            spent=house,
            log=house,
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
        lambda name: [t for t in tenants.find(house.log.connection, name) if t.app_key == settings.app_key],
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
