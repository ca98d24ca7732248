"""The one file that knows all rooms: opens the store, builds the parts, hands them to each other.

`prepare` makes or migrates the store once, before any worker; `build` gives each worker its application.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import structlog

from tenure import __version__
from tenure.api.app import App, Listener, Route, descriptor, healthz, openapi, readyz
from tenure.api.audit import Audit
from tenure.api.console.app import Condition, Console
from tenure.api.console.session import Sessions
from tenure.api.evidence import Witness
from tenure.api.forward_auth import ForwardAuth
from tenure.api.gate import Gate
from tenure.api.head import RefusedHeadError, SignedHead
from tenure.api.http import Answer, Call
from tenure.api.install_keys import InstallKeys
from tenure.api.lifecycle import Lifecycle, Parts
from tenure.api.lines import Lines
from tenure.api.metrics import Metrics
from tenure.api.recorder import Recorder
from tenure.api.signing import Access, Signing
from tenure.api.webhooks import Upstream, Webhooks
from tenure.domain.callbacks import Callback
from tenure.domain.check import Policy
from tenure.domain.decisions import FailedToken
from tenure.domain.ports import Append, AppendResult
from tenure.forgetting import clear, destroy_again, reapply, unkeyed
from tenure.housekeeping import Housekeeping
from tenure.lost import check_nothing_was_lost
from tenure.opening import open_vault, open_writer
from tenure.operators import note
from tenure.projections import tenants
from tenure.projections.archive import Archive
from tenure.projections.clock import ClockWatch
from tenure.projections.security_context import SecurityContexts, schema
from tenure.settings import Settings, SettingsError
from tenure.store.connection import UntrustedStoreError
from tenure.store.decisions import DecisionLane, SqliteDecisions, open_decisions
from tenure.store.install_keys import SqliteInstallKeys, VouchedKeys
from tenure.store.keeper import Keeper, Retention
from tenure.store.keyring import KeyRing
from tenure.store.lane import Lane
from tenure.store.signed_head import HeadRefusedError, HeadSigner, does_not_extend, last_signed
from tenure.store.sqlite import SqliteLog, open_log
from tenure.store.tokens import ApiTokens
from tenure.store.vault import KEPT_S, Vault
from tenure.store.veil import DECISIONS, Veil
from tenure.trust import widened

log = structlog.get_logger()

INTERNAL_PORT = "TENURE_BOUND_INTERNAL_PORT"
INTERNAL_HOST = "TENURE_BOUND_INTERNAL_HOST"


def prepare(settings: Settings) -> None:
    """Makes or migrates the store and applies every mark of erasure; UntrustedStoreError if it cannot be trusted."""
    check_nothing_was_lost(settings)
    open_log(settings.log_path, [schema()])
    open_decisions(settings.beside("decisions"))
    _check_keys_are_there(settings)
    open_vault(settings, admit=True).close()
    log, ring = open_writer(settings), KeyRing(settings.beside("keys"))
    decisions = SqliteDecisions(settings.beside("decisions"))
    try:
        _reconcile(log, ring)
        clear(decisions, ring)
        lost = unkeyed(log, ring)
        if lost:
            raise UntrustedStoreError(_lost(settings, lost))
    finally:
        for part in (log, ring, decisions):
            part.close()


def _reconcile(events: SqliteLog, ring: KeyRing) -> None:
    for client_key in destroy_again(events, ring):
        log.warning("the key of an erased tenant was back: destroyed again", client_key=client_key)
    reapply(events, ring)
    if ring.unclean() and not ring.clean():
        log.warning("destroyed keys are not yet overwritten", why="others hold keys.db", again="in a minute")


def _check_keys_are_there(settings: Settings) -> None:
    # before a new and empty key store is made in its place
    if settings.beside("keys").exists():
        return
    log = SqliteLog(settings.log_path, read_only=True)
    try:
        found = [client_key for client_key, _ in tenants.sealed_secrets(log.connection)]
    finally:
        log.close()
    if found:
        raise UntrustedStoreError(_lost(settings, found))


def _lost(settings: Settings, found: Sequence[str]) -> str:
    return (
        f"{settings.beside('keys')} lacks the keys of {len(found)} of this log's tenants ({', '.join(found[:3])}"
        f"{', …' if len(found) > 3 else ''}): restore its newest backup; or give a tenant up, so that it must install "
        "anew: tenure erase TENANT --installed"
    )


def started(settings: Settings) -> None:
    """Appends `operator.started`: version, the settings that decide, and their digest. Once a start, no worker's."""
    log = open_writer(settings)
    try:
        note(
            log, settings.app_key, "started", version=__version__, settings=settings.digest(),
            deciding=settings.deciding(),
        )  # fmt: skip
    finally:
        log.close()


def retention(settings: Settings) -> Retention:
    """How long decisions are kept, and in how many bytes."""
    return Retention(settings.decisions_days, settings.decisions_mb * 1024 * 1024)


def _nearly_full(used: int, quota: int) -> None:
    log.warning("the decision log is nearly full", used_bytes=used, quota_bytes=quota, setting="DECISIONS_MB")


class _House:
    """The parts of one worker, made and ended with it."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.beside("keys")
        self.log = SqliteLog(settings.log_path)
        self.contexts = SecurityContexts(self.log.connection)
        self.vault = open_vault(settings)
        self.tokens = ApiTokens(settings.beside("keys"))
        self.reads = SqliteDecisions(settings.beside("decisions"), read_only=True)
        self.key_store = SqliteInstallKeys(settings.log_path)
        self.install_keys = InstallKeys(
            settings.install_keys_url, VouchedKeys(self.key_store, self.vault, settings.app_key)
        )
        self.upstream = Upstream(settings.upstream_url) if settings.upstream_url else None
        writer = open_writer(settings)
        self._appends: Lane[Append, AppendResult] = Lane(writer.append, name="log")
        veil_vault = open_vault(settings)
        self.decisions = DecisionLane(
            settings.beside("decisions"), Veil(veil_vault, settings.app_key, account_ids=settings.store_account_ids)
        )
        self.marks = Veil(self.vault, settings.app_key)
        watched = SqliteLog(settings.log_path, read_only=True)
        self.watch, self._doubted = ClockWatch(watched), False
        self.keeper = Keeper(settings.beside("decisions"), retention(settings), _nearly_full, self._believed)
        key_writer = open_vault(settings)
        self._new_keys: Lane[tuple[str, str], None] = Lane(_key_maker(key_writer), name="keys")
        signer = HeadSigner(settings.beside("keys"), settings.master(), settings.app_key)
        signed = SqliteLog(settings.log_path, read_only=True)
        self._heads: Lane[None, str | HeadRefusedError] = Lane(_head_signer(signer, signed), name="head")
        self._housekeeping = Housekeeping(settings)
        self._refreshing: asyncio.Task[None] | None = None
        self.audit_log = SqliteLog(settings.log_path, read_only=True)
        self.audit_reads = SqliteDecisions(settings.beside("decisions"), read_only=True)
        self._readers = (
            self.log, self.vault, self.tokens, self.reads, self.key_store, self.audit_log, self.audit_reads
        )  # fmt: skip
        self.audit: Audit | None = None
        self.check_dummy: Callable[[], None] = lambda: None
        self._writers = (writer, key_writer, veil_vault, signer, signed, watched)

    async def append(self, request: Append) -> AppendResult:
        """`ports.AsyncLog`."""
        return await self._appends.submit(request)

    async def ensure_key(self, app_key: str, client_key: str) -> None:
        """`lifecycle.Keys`."""
        if not self.vault.has_key(app_key, client_key):
            await self._new_keys.submit((app_key, client_key))

    def failures(self, address: str) -> int:
        """`signing.Failures`."""
        return self.reads.failures(self.marks.mark(address))

    def failed(self, address: str) -> None:
        """`signing.Failures`."""
        self.decisions.post(FailedToken(self.marks.mark(address), time.time()))

    async def signed_head(self) -> str:
        """The head's signed text, or RefusedHeadError."""
        found = await self._heads.submit(None)
        if isinstance(found, HeadRefusedError):
            raise RefusedHeadError(str(found))
        return found

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(KEPT_S)
            self.vault.refresh()

    def problems(self) -> list[str]:
        """`app.Readiness`: the store answers, the projection is at the head (both move in one transaction), that
        head can be signed, and the master key is in force: a worker left on one that was retired opens nothing.
        """
        position, _ = self.log.head()
        row = self.log.connection.execute("SELECT max(position) FROM events").fetchone()
        found = [] if (row[0] or 0) == position else ["the log's head is not at its last event"]
        try:
            last = last_signed(self._keys)
            unsigned = does_not_extend(self.log, last.position, last.hash) if last is not None else ""
            found += [f"{unsigned} (tenure log verify)"] if unsigned else []
            self.vault.check()
            self.check_dummy()
        except UntrustedStoreError as error:
            found.append(str(error))
        return found

    def _believed(self) -> bool:
        problem = self.watch.problem()
        if problem and not self._doubted:
            log.error("the clock is in doubt", why=problem, held="erasures, removal of old decisions")
        self._doubted = bool(problem)
        return not problem

    def notices(self) -> list[str]:
        """What an operator should look at, though calls are answered."""
        problem = self.watch.problem()
        return [f"{problem}: nobody is erased and no decision removed for its age"] if problem else []

    async def start(self) -> None:
        """Opens the ways out."""
        session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            connector=aiohttp.TCPConnector(limit=256),
        )
        self.keeper.start()
        self.install_keys.session = session
        if self.upstream is not None:
            self.upstream.session = session
        self._refreshing = asyncio.create_task(self._refresh())
        self._housekeeping.start()

    async def stop(self) -> None:
        """Writes what is queued and closes everything."""
        if self.install_keys.session is not None:
            await self.install_keys.session.close()
        if self.audit is not None:
            self.audit.close()
        if self._refreshing is not None:
            self._refreshing.cancel()
        await asyncio.to_thread(self._housekeeping.stop)
        for lane in (self._appends, self.decisions, self._new_keys, self._heads):
            lane.close()
        self.keeper.close()
        for part in (*self._readers, *self._writers):
            part.close()


def _key_maker(vault: Vault) -> Any:
    def make(batch: Sequence[tuple[str, str]]) -> list[None]:
        for tenant in batch:
            vault.ensure_key(*tenant)
        return [None] * len(batch)

    return make


def _head_signer(signer: HeadSigner, log: SqliteLog) -> Callable[[Sequence[None]], list[str | HeadRefusedError]]:
    def sign(batch: Sequence[None]) -> list[str | HeadRefusedError]:
        # one signature answers all who wait
        found: str | HeadRefusedError
        try:
            found = signer.sign(log).note
        except HeadRefusedError as error:
            found = error
        return [found] * len(batch)

    return sign


def build(settings: Settings) -> App:
    """The application of one worker."""
    house = _House(settings)
    witness = Witness(settings.digest(), settings.trusted_proxies, settings.base_path)
    recorder = Recorder(
        house.decisions,
        witness,
        Lines(every=settings.log_calls == "all", slow_ms=settings.slow_ms),
    )
    policy = Policy(settings.audiences, settings.refuse_disabled, settings.legacy_install)
    gate = Gate(settings.app_key, settings.base_path, house.contexts, house.vault, policy, time.time)
    gate.prepare()
    house.check_dummy = gate.check_dummy
    lifecycle = Lifecycle(
        Parts(
            app_key=settings.app_key,
            base_path=settings.base_path,
            sites=settings.allowed_sites,
            policy=policy,
            clock=time.time,
            gate=gate,
            contexts=house.contexts,
            spent=house.log,
            log=house,
            vault=house.vault,
            keys=house,
            install_keys=house.install_keys,
            recorder=recorder,
            caller=witness.caller,
        )
    )
    webhooks = Webhooks(settings.app_key, gate, recorder, house.reads, house.upstream, settings.webhook_limit)
    return App(
        _public(settings, lifecycle, webhooks),
        _internal(settings, house, gate, recorder),
        house.start,
        house.stop,
        lambda: int(os.environ.get(INTERNAL_PORT, "0")),
        recorder,
    )


def _internal(settings: Settings, house: _House, gate: Gate, recorder: Recorder) -> Listener:
    def notices() -> list[str]:
        return [*widened(settings, os.environ.get(INTERNAL_HOST, "127.0.0.1")), *house.notices()]

    access = Access(house.tokens, house, settings.app_key)
    forward_auth = ForwardAuth(settings.app_key, gate, recorder, settings.forward_auth)
    head = SignedHead(access, house.signed_head, recorder)
    signing = Signing(
        access,
        lambda name: [t for t in tenants.find(house.log.connection, name) if t.app_key == settings.app_key],
        house.vault,
        recorder,
        time.time,
    )
    metrics = Metrics(
        access, recorder, house.reads, lambda: house.log.head()[0], quota=retention(settings).quota,
        version=__version__, settings=settings.digest(),
    )  # fmt: skip
    house.audit = audit = Audit(access, recorder, Archive(house.audit_log, house.audit_reads, settings.app_key))
    console = Console(
        access, recorder, audit, Sessions(house.vault.derived(settings.app_key, DECISIONS, "console"), time.time),
        house.marks.mark,
        lambda: Condition(tuple(house.problems()), tuple(notices()), settings.digest(), retention(settings).quota),
    )  # fmt: skip
    return Listener(
        {
            "/forward-auth": Route(forward_auth.handle, (), "forward-auth"),
            "/sign": Route(signing.handle, kind="sign"),
            "/metrics": Route(metrics.handle, ("GET", "HEAD"), "audit"),
            "/audit/head": Route(head.handle, ("GET", "HEAD"), "audit"),
            "/readyz": Route(readyz(house, notices), ("GET", "HEAD")),
            "/openapi.json": Route(openapi, ("GET", "HEAD")),
        },
        {
            "/audit/": Route(audit.handle, ("GET", "HEAD"), "audit"),
            "/console/": Route(console.handle, ("GET", "HEAD", "POST"), "audit"),
        },
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
        routes[settings.base_path + path] = Route(_bound(lifecycle, callback), kind=callback.value)
    if settings.descriptor_file is not None:
        raw = read_descriptor(settings)
        routes[settings.base_path + "/atlassian-connect.json"] = Route(descriptor(raw), ("GET", "HEAD"))
    hooks = settings.base_path + settings.webhooks_path
    routes[hooks] = Route(webhooks.handle, kind="webhook")
    return Listener(routes, {f"{hooks}/": routes[hooks]})


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
