"""The one file that knows all rooms: opens the store, builds the parts, hands them to each other.

`prepare` makes or migrates the store once, before any worker; `build` gives each worker its application.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import structlog

from tenure import __version__, ballast, unused
from tenure.api.app import App, Listener, Route, descriptor, healthz, openapi, readyz
from tenure.api.audit import Audit
from tenure.api.console.app import Condition, Console
from tenure.api.console.session import Sessions
from tenure.api.evidence import Witness
from tenure.api.forward_auth import ForwardAuth
from tenure.api.gate import Gate
from tenure.api.head import SignedHead
from tenure.api.http import Answer, Call
from tenure.api.lifecycle import Lifecycle, Parts
from tenure.api.lines import Lines
from tenure.api.metrics import Metrics
from tenure.api.recorder import Recorder
from tenure.api.signing import Access, Signing
from tenure.api.webhooks import Webhooks
from tenure.decision_stores import decisions_of, prepare_decisions
from tenure.domain.callbacks import Callback
from tenure.domain.check import Policy
from tenure.forgetting import clear, destroy_again, overwrite, reapply, unkeyed
from tenure.house import House, retention
from tenure.keydesk import keys_are_there, keys_of
from tenure.lost import check_nothing_was_lost
from tenure.opening import open_vault, open_writer
from tenure.operators import note
from tenure.projections import tenants
from tenure.projections.archive import Archive
from tenure.settings import Settings, SettingsError
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.veil import DECISIONS
from tenure.stores import Log, log_of, prepare_log, within
from tenure.trust import widened

log = structlog.get_logger()

INTERNAL_PORT = "TENURE_BOUND_INTERNAL_PORT"
INTERNAL_HOST = "TENURE_BOUND_INTERNAL_HOST"
START_S = 10.0


def prepare(settings: Settings) -> None:
    """Makes or migrates the store and applies every mark of erasure; UntrustedStoreError if it cannot be trusted."""
    check_nothing_was_lost(settings)
    prepare_log(settings)
    prepare_decisions(settings)
    _check_keys_are_there(settings)
    open_vault(settings, admit=True).close()
    log, ring = open_writer(settings), KeyRing(keys_of(settings))
    decisions = decisions_of(settings)
    try:
        unused.sweep(settings, log, ring)
        _reconcile(log, ring)
        clear(decisions, ring)
        lost = unkeyed(log, ring)
        if lost:
            raise UntrustedStoreError(_lost(settings, lost))
    finally:
        for part in (log, ring, decisions):
            part.close()


def _reconcile(events: Log, ring: KeyRing) -> None:
    for client_key in destroy_again(events, ring):
        log.warning("the key of an erased tenant was back: destroyed again", client_key=client_key)
    reapply(events, ring)
    overwrite(ring)


def _check_keys_are_there(settings: Settings) -> None:
    # before a new and empty key store is made in its place, or takes this master key as its first
    if _have_a_master(settings):
        return
    log = log_of(settings)
    try:
        found = [client_key for client_key, _ in tenants.sealed_secrets(log.connection)]
    finally:
        log.close()
    if found:
        raise UntrustedStoreError(_lost(settings, found))


def _have_a_master(settings: Settings) -> bool:
    if not keys_are_there(settings):
        return False
    with closing(keys_of(settings)) as database:
        return bool(KeyRing(database).masters())


def _lost(settings: Settings, found: Sequence[str]) -> str:
    return (
        f"{settings.keys} lacks the keys of {len(found)} of this log's tenants ({', '.join(found[:3])}"
        f"{', …' if len(found) > 3 else ''}): restore its newest backup; or give a tenant up, so that it must install "
        "anew: tenure erase TENANT --installed"
    )


def started(settings: Settings) -> None:
    """Appends `operator.started`: version, the settings that decide, and their digest. Once a start, no worker's."""
    log = open_writer(settings)
    try:
        with within(log, START_S):
            note(
                log, settings.app_key, "started", version=__version__, settings=settings.digest(),
                deciding=settings.deciding(),
            )  # fmt: skip
    finally:
        log.close()


def build(settings: Settings) -> App:
    """The application of one worker."""
    house = House(settings)
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
            spent=house.events,
            log=house.events,
            vault=house.vault,
            keys=house.keys,
            install_keys=house.install_keys,
            recorder=recorder,
            caller=witness.caller,
        )
    )
    webhooks = Webhooks(settings.app_key, gate, recorder, house.decisions, house.upstream, settings.webhook_limit)
    return App(
        _public(settings, lifecycle, webhooks),
        _internal(settings, house, gate, recorder),
        house.start,
        house.stop,
        lambda: int(os.environ.get(INTERNAL_PORT, "0")),
        recorder,
    )


def _internal(settings: Settings, house: House, gate: Gate, recorder: Recorder) -> Listener:
    async def notices() -> list[str]:
        trusted = widened(settings, os.environ.get(INTERNAL_HOST, "127.0.0.1"))
        lacking = ballast.missing(settings)
        return [*trusted, *([lacking] if lacking else []), *await house.notices()]

    async def condition() -> Condition:
        found, noticed = await asyncio.gather(house.problems(), notices())
        return Condition(tuple(found), tuple(noticed), settings.digest(), retention(settings).quota)

    access = Access(house.keys, house, settings.app_key)
    forward_auth = ForwardAuth(settings.app_key, gate, recorder, settings.forward_auth)
    head = SignedHead(access, house.signed_head, recorder)
    signing = Signing(
        access,
        house.find,
        house.vault,
        recorder,
        time.time,
    )
    metrics = Metrics(
        access, recorder, house.decisions, house.position, quota=retention(settings).quota, version=__version__,
        settings=settings.digest(),
    )  # fmt: skip
    house.audit = audit = Audit(access, recorder, Archive(house.audit_log, house.audit_reads, settings.app_key))
    console = Console(
        access, recorder, audit, Sessions(house.vault.derived(settings.app_key, DECISIONS, "console"), time.time),
        house.marks.mark,
        condition,
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
