"""What can be wrong with an installation, each as a small check that changes nothing and never raises.

A check gives findings: `ok`, `warn` (works, but see to it) or `bad` (calls are refused, lost or not safe), a sentence,
and the next step. What one check needs and cannot have is another check's finding, not its own.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pysqlite3

from tenure.decision_stores import decision_reads_of, decisions_are_there
from tenure.domain.refusals import REASONS, Reason
from tenure.forgetting import unkeyed
from tenure.keydesk import keys_are_there, reading
from tenure.projections import tenants
from tenure.settings import KeySettings, Settings, SettingsError, StoreSettings
from tenure.store.connection import SOUND_SQLITE, UntrustedStoreError, check_permissions, refuse_other
from tenure.store.keyring import KeyRing
from tenure.stores import database_errors, log_of, missing_standbys, schema_problems, sentence_of
from tenure.trust import widened

LITTLE_SPACE = 1 << 30
NO_SPACE = 100 << 20
CLOCK_BAD_S = 30.0
CLOCK_WARN_S = 5.0
TIMEOUT_S = 4.0
RECENT = 2000


class Level(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `next` is empty if nothing need be done."""

    name: str
    level: Level
    sentence: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is looked at. `settings` and `keys` are None where they are wrong; `wrong` says how."""

    store: StoreSettings
    keys: KeySettings | None
    settings: Settings | None
    wrong: tuple[str, ...] = ()
    url: str | None = None
    internal: str | None = None
    offline: bool = False


Check = Callable[[Installation], Iterator[Finding]]


def examine(installation: Installation) -> Iterator[Finding]:
    """All findings, as they are made. Errors a check did not foresee are findings too."""
    for check in CHECKS:
        try:
            yield from check(installation)
        except _expected() as error:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            told = f"could not be looked at: {sentence_of(error)}"
            yield Finding(name, Level.BAD, told, "See to that, then ask again.")


def _expected() -> tuple[type[Exception], ...]:
    return (OSError, UntrustedStoreError, SettingsError, *database_errors())


def check_sqlite(_: Installation) -> Iterator[Finding]:
    """The library loses no commits."""
    version = pysqlite3.sqlite_version
    if pysqlite3.sqlite_version_info < SOUND_SQLITE:
        yield Finding("sqlite", Level.BAD, f"SQLite {version} can lose commits", "Install pysqlite3 0.6.1 or later.")
    else:
        yield Finding("sqlite", Level.OK, f"SQLite {version} is sound")


def check_settings(installation: Installation) -> Iterator[Finding]:
    """The settings are whole, and what they widen."""
    for line in installation.wrong:
        yield Finding("settings", Level.BAD, line, "Until it is put right, serve does not start.")
    if installation.settings is None:
        return
    yield Finding("settings", Level.OK, f"the settings of {installation.settings.app_key} are whole")
    for sentence in widened(installation.settings):
        yield Finding("trust", Level.WARN, sentence, "Take it back unless you mean it.")


def check_files(installation: Installation) -> Iterator[Finding]:
    """Nobody else may read or write the store and the master key."""
    store = installation.store
    if store.on_postgres:
        return
    found = False
    for path in store.files():
        found |= path.exists()
        try:
            check_permissions(path)
        except UntrustedStoreError as error:
            yield Finding("permissions", Level.BAD, str(error), "Until then serve does not start.")
            continue
        if path.exists():
            yield from _usable(path)
    folder = store.log_path.absolute().parent
    if not folder.is_dir():
        yield Finding("permissions", Level.BAD, f"{folder} is no folder", "Make it, or set TENURE_DATABASE_URL.")
    elif not os.access(folder, os.W_OK):
        yield Finding("permissions", Level.BAD, f"{folder} cannot be written to", "serve makes its files there.")
    elif not found:
        yield Finding("permissions", Level.OK, f"no store in {folder} yet; serve makes it")


def _usable(path: Path) -> Iterator[Finding]:
    if os.access(path, os.R_OK | os.W_OK):
        yield Finding("permissions", Level.OK, f"{path} is its owner's alone")
    else:
        yield Finding("permissions", Level.BAD, f"{path} is not ours to write", "Run as the service's account.")


def check_master_key(installation: Installation) -> Iterator[Finding]:
    """The master key opens the tenants' keys."""
    if installation.keys is None:
        return
    try:
        installation.keys.master()
    except SettingsError as error:
        yield Finding("master key", Level.BAD, str(error), "Until then serve does not start.")
        return
    place = installation.store.keys
    if not keys_are_there(installation.store):
        if _newest(installation.store) is not None:
            yield Finding(
                "master key",
                Level.BAD,
                f"{place} is gone: no secret of the log opens without it",
                "Restore it from its own backup.",
            )
        else:
            yield Finding("master key", Level.OK, f"the master key is well-formed; {place} is not made yet")
        return
    try:
        yield _opened(installation.store, installation.keys)
    except UntrustedStoreError as error:
        yield Finding(
            "master key",
            Level.BAD,
            str(error),
            "Or restore the keys from their own backup; serve does not start before.",
        )


def _opened(store: StoreSettings, keys: KeySettings) -> Finding:
    with reading(store) as database:
        ring = KeyRing(database, keys.master())
        lost = _lost(store, ring)
        if lost:
            return Finding(
                "master key",
                Level.BAD,
                f"{store.keys} lacks the keys of {len(lost)} of this log's tenants ({', '.join(lost[:3])})",
                "Restore its newest backup, or give a tenant up: tenure erase TENANT --installed",
            )
        newest = _newest(store)
        key_id = ring.key_id(*newest) if newest is not None else None
        if key_id is not None:
            ring.raw(key_id)
    return Finding("master key", Level.OK, f"the master key opens the keys in {store.keys}")


def _lost(store: StoreSettings, ring: KeyRing) -> list[str]:
    try:
        log = log_of(store)
    except OSError:
        return []  # as below
    with closing(log):
        return unkeyed(log, ring)


def _newest(store: StoreSettings) -> tuple[str, str] | None:
    try:
        log = log_of(store)
    except OSError:
        return None  # none yet, or out of reach: what is so is another check's finding
    with closing(log):
        kept = [tenant for tenant in tenants.listing(log.connection) if not tenant.erased_at]
    return (kept[0].app_key, kept[0].client_key) if kept else None


def check_log(installation: Installation) -> Iterator[Finding]:
    """The log's tables, indexes and triggers are as they were made, and its head is its last event."""
    try:
        log = log_of(installation.store)
    except FileNotFoundError:
        return
    with closing(log):
        refuse_other(schema_problems(installation.store, log))
        last = log.connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0]
        head, _ = log.head()
        missing = missing_standbys(installation.store, log)
    if missing:
        yield Finding("standbys", Level.BAD, missing, "Start one, or change synchronous_standby_names.")
    if last != head:
        yield Finding("log", Level.BAD, f"the head says {head}, the last event is {last}", "Run: tenure log verify")
    else:
        yield Finding("log", Level.OK, f"{head} events, the triggers stand (the chain: tenure log verify)")


def check_disk(installation: Installation) -> Iterator[Finding]:
    """There is space to write to."""
    folder = installation.store.log_path.absolute().parent
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    level = Level.BAD if free < NO_SPACE else Level.WARN if free < LITTLE_SPACE else Level.OK
    step = "" if level is Level.OK else "Make room: when the disk is full every call is refused with 503."
    yield Finding("disk", level, f"{free / (1 << 30):.1f} GiB free in {folder}", step)


def check_key_hosts(installation: Installation) -> Iterator[Finding]:
    """The key hosts answer, and this machine's clock is theirs."""
    if installation.settings is None or installation.offline:
        return
    drifts = []
    for host in installation.settings.install_keys_url:
        try:
            # as the service asks: past any proxy that the environment names
            answer = httpx.get(f"{host}/tenure-doctor", timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        except httpx.HTTPError as error:
            yield Finding(
                "key host",
                Level.BAD,
                f"{host} cannot be reached ({type(error).__name__})",
                "Installs by a new key get 503 until then: open the way out, or set INSTALL_KEYS_URL.",
            )
            continue
        expected = answer.status_code == 404
        yield Finding(
            "key host",
            Level.OK if expected else Level.BAD,
            f"{host} answers ({answer.status_code} to a key nobody has)",
            "" if expected else "A key host answers 404 to that: is a proxy or a portal in between?",
        )
        if "date" in answer.headers:
            drifts.append(time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp())
    if drifts:
        yield _clock(min(drifts, key=abs))


def _clock(drift: float) -> Finding:
    off = abs(drift)
    level = Level.BAD if off > CLOCK_BAD_S else Level.WARN if off > CLOCK_WARN_S else Level.OK
    told = f"this clock is {off:.0f} s {'ahead of' if drift > 0 else 'behind'} the key host's"
    if level is Level.OK:
        return Finding("clock", level, "this clock agrees with the key host's")
    return Finding("clock", level, told, "Set the clock (NTP): tokens are taken with 30 s of leeway, no more.")


def check_listeners(installation: Installation) -> Iterator[Finding]:
    """The running service answers, and the base URL leads to it with its path whole."""
    if installation.url is not None and installation.settings is not None:
        yield from _public(installation.url.rstrip("/"), installation.settings)
    if installation.internal is not None:
        yield _ready(installation.internal.rstrip("/"))


def _public(url: str, settings: Settings) -> Iterator[Finding]:
    told, ours = urlsplit(url).path.rstrip("/"), settings.base_path
    if told != ours:
        yield Finding(
            "base URL",
            Level.BAD,
            f"{url} has the path {told or '/'}, BASE_URL has {ours or '/'}",
            "They must be one: every signature covers the path as Jira calls it.",
        )
    asked = f"{url}{settings.installed_path}"
    try:
        answer = httpx.get(asked, timeout=TIMEOUT_S, follow_redirects=False)
    except httpx.HTTPError as error:
        yield Finding(
            "base URL",
            Level.BAD,
            f"nothing answers at {asked} ({type(error).__name__})",
            "Start the service, or see to name, port and proxy.",
        )
        return
    if answer.status_code == 405 and "POST" in answer.headers.get("allow", ""):
        yield Finding("base URL", Level.OK, f"{asked} is Tenure's route")
    else:
        yield Finding(
            "base URL",
            Level.BAD,
            f"{asked} answers {answer.status_code}, Tenure's route would say 405",
            "A proxy strips or adds a part of the path, redirects, or leads elsewhere.",
        )


def _ready(internal: str) -> Finding:
    try:
        answer = httpx.get(f"{internal}/readyz", timeout=TIMEOUT_S, trust_env=False)
        body = answer.json()
        problems = "; ".join(map(str, body["problems"]))
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return Finding(
            "ready",
            Level.BAD,
            f"{internal}/readyz gives no answer of Tenure's ({type(error).__name__})",
            "Start the service, or name its internal listener with --internal.",
        )
    if answer.status_code != 200:
        return Finding("ready", Level.BAD, f"the service is not ready: {problems}", "Run: tenure log verify")
    return Finding("ready", Level.OK, "the running service is ready")


SYMPTOMS: dict[Reason, str] = {
    Reason.QSH_MISMATCH: "A proxy changes path or query on the way, or BASE_URL lacks the path (ask with --url).",
    Reason.AUDIENCE_MISMATCH: "BASE_URL must be the descriptor's baseUrl, letter for letter.",
    Reason.APP_MISMATCH: "APP_KEY must be the descriptor's key.",
    Reason.EVENT_TYPE_MISMATCH: "The descriptor's lifecycle paths and the …_PATH settings must agree.",
    Reason.SITE_NOT_ALLOWED: "See which site it was; if it is a customer's, ALLOWED_SITES must cover it.",
    Reason.EXPIRED: "Compare the clocks of both sides.",
    Reason.NOT_YET_VALID: "Compare the clocks of both sides.",
    Reason.KEY_UNAVAILABLE: "The way out to INSTALL_KEYS_URL is shut or slow.",
    Reason.UNRECORDABLE: "The disk is slow or full.",
    Reason.STORE_UNAVAILABLE: "The disk is slow or full.",
    Reason.REQUEST_AMBIGUOUS: "FORWARD_AUTH must name the proxy that asks.",
}


def check_refusals(installation: Installation) -> Iterator[Finding]:
    """What the recent refusals say about settings, clock and proxy."""
    if not decisions_are_there(installation.store):
        return
    with closing(decision_reads_of(installation.store)) as decisions:
        if lacking := decisions.lacking():
            yield Finding("decisions", Level.BAD, lacking, "Until then serve does not start.")
        recent = decisions.read(limit=RECENT)
    reasons = Counter(str(row["reason"]) for row in recent if row["reason"])
    told = {reason: reasons[reason] for reason in SYMPTOMS if reasons[reason] > _tolerated(reason, len(recent))}
    for reason, count in sorted(told.items(), key=lambda item: -item[1]):
        example = next(row for row in reversed(recent) if row["reason"] == reason)
        yield Finding(
            "refusals",
            Level.WARN,
            f"{count} of the last {len(recent)} decisions: {reason.value}, last on "
            f"{example['method']} {example['path']} at {example['at']}. {REASONS[reason].sentence}",
            SYMPTOMS[reason],
        )
    if not told:
        yield Finding("refusals", Level.OK, f"none of the last {len(recent)} decisions points to a wrong setting")


def _tolerated(reason: Reason, decisions: int) -> int:
    # looked at before the signature: any stranger can cause them
    return decisions // 20 if reason in (Reason.EXPIRED, Reason.NOT_YET_VALID) else 0


CHECKS: tuple[Check, ...] = (
    check_sqlite,
    check_settings,
    check_files,
    check_master_key,
    check_log,
    check_disk,
    check_key_hosts,
    check_listeners,
    check_refusals,
)
