"""Forgets tenants: the data key is destroyed, `erased` is appended, the projection loses what it held.

The order: under the log's lock (nobody appends meanwhile) the key is marked and destroyed in `keys.db` and `erased` is
appended; then `keys.db` is rewritten and its WAL cut. Whichever says that a tenant was erased is believed, the vault or
the log: what was left half done, and what a log restored from before an erasure brings back, is erased again from the
marks (`reapply`); a key that a restored `keys.db` brings back is destroyed again by the events (`destroy_again`). What
is personal in the tenant's decisions goes last, from the marks again (`clear`): of those made before the mark, because
whoever returns has decisions anew. All of it before the service is ready.

Only an uninstalled tenant is due, and only an uninstalled one is erased by hand, unless it is said otherwise: the
deletion of a site sends no event, so a tenant that is long gone may still stand as installed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from tenure.decision_stores import decisions_are_there, decisions_of
from tenure.domain.events import Draft, Erased, EventType
from tenure.domain.ports import Append, Appended
from tenure.domain.refusals import OursError, Reason
from tenure.domain.tenant import Tenant
from tenure.domain.times import stored, stored_at
from tenure.projections import tenants
from tenure.projections.security_context import current
from tenure.settings import StoreSettings
from tenure.store.decision_writer import Decisions
from tenure.store.keyring import Erasure, KeyRing
from tenure.store.vault import key_id_of
from tenure.stores import Log

SETTLED_S = 60.0


class StillInstalledError(Exception):
    """The tenant has not uninstalled the app."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A tenant that was erased: by which event, of which key, and whether no byte of that key is left in `keys.db`."""

    app_key: str
    client_key: str
    key_id: str
    position: int
    clean: bool


def forget(
    log: Log,
    ring: KeyRing,
    chosen: Sequence[Tenant],
    *,
    by: str,
    origin: str,
    why: str,
    installed_too: bool = False,
    before: str = "",
) -> list[Forgotten]:
    """Erases tenants, all under one lock; those erased already are passed over. StillInstalledError before anything is
    done if one is installed, unless `installed_too`. `before`: only who is uninstalled since before that stored time,
    others are passed over as well. A tenant whose key is not there is erased as any other.
    """

    def decide() -> Sequence[Append]:
        found = [current(log.connection, tenant.app_key, tenant.client_key) for tenant in chosen]
        now = [tenant for tenant in found if tenant is not None and not tenant.erased_at]
        if before:
            now = [tenant for tenant in now if not tenant.installed and tenant.uninstalled_at < before]
        for tenant in now:
            if tenant.installed and not installed_too:
                raise StillInstalledError(f"{tenant.client_key} has not uninstalled the app")
        for tenant in now:
            ring.erase(tenant.app_key, tenant.client_key, by, origin, why, key_id_of(tenant.secret.sealed))
        return [_erased(log, _mark(ring, tenant)) for tenant in now]

    results = log.append_under_lock(decide)
    clean = not results or ring.clean()
    return [_forgotten(result, clean) for result in results]


def _mark(ring: KeyRing, tenant: Tenant) -> Erasure:
    mark = ring.erasure_of(key_id_of(tenant.secret.sealed))
    if mark is None:
        raise OursError(Reason.STORE_UNAVAILABLE, f"the secret of {tenant.client_key} is under a key unknown here")
    return mark


def _erased(log: Log, mark: Erasure) -> Append:
    data = Erased(mark.by, mark.origin, mark.key_id, mark.why)
    draft = Draft(EventType.ERASED, {"kind": "vault", "erased_at": mark.erased_at}, data)
    return Append(mark.app_key, mark.client_key, log.version(mark.app_key, mark.client_key), draft, None)


def _forgotten(result: object, clean: bool) -> Forgotten:
    if not isinstance(result, Appended) or result.event is None or not isinstance(result.event.data, Erased):
        raise OursError(Reason.STORE_UNAVAILABLE, "the erasure was not appended")
    event = result.event
    return Forgotten(event.app_key, event.client_key, result.event.data.key_id, event.position, clean)


def reapply(log: Log, ring: KeyRing, after: int = 0) -> tuple[list[Forgotten], int]:
    """Appends `erased` wherever a mark (from number `after` on) says so and the log does not: what was done, and the
    number of the last mark that was looked at.
    """
    found, last = [], after
    for mark in ring.erasures(after):
        last = mark.number

        def decide(mark: Erasure = mark) -> Sequence[Append]:
            now = current(log.connection, mark.app_key, mark.client_key)
            missing = now is not None and not now.erased_at and key_id_of(now.secret.sealed) == mark.key_id
            return [_erased(log, mark)] if missing else []

        if decide():
            found += [_forgotten(result, True) for result in log.append_under_lock(decide)]
    return found, last


def clear(decisions: Decisions, ring: KeyRing, after: int | None = None) -> bool:
    """Takes what is personal out of the decisions that erased tenants (marked from number `after` on) had until then;
    False if it is done but not every byte of it is overwritten yet. `after` None: from where the decisions note that
    this was done, which is then noted anew.
    """
    marks = list(ring.erasures(_cleared(decisions, ring) if after is None else after))
    oldest = decisions.oldest()
    touched = [mark for mark in marks if oldest and mark.erased_at >= oldest]
    for mark in touched:
        decisions.forget(mark.client_key, mark.erased_at)
    # of one marked just now a decision may be under way still
    settled = [mark for mark in marks if mark.erased_at < stored_at(time.time() - SETTLED_S)]
    if after is None and settled:
        decisions.note_cleared(settled[-1].number, settled[-1].erased_at)
    return not touched or decisions.clean()


def _cleared(decisions: Decisions, ring: KeyRing) -> int:
    number, at = decisions.cleared()
    mark = next(iter(ring.erasures(number - 1)), None) if number else None
    # keys put back from a backup may have given the number to another
    return number if mark is not None and (mark.number, mark.erased_at) == (number, at) else 0


def clear_now(settings: StoreSettings, client_keys: Sequence[str]) -> bool:
    """As `clear`, of tenants erased this moment: all their decisions, whatever time they bear."""
    if not client_keys or not decisions_are_there(settings):
        return True
    decisions = decisions_of(settings)
    try:
        for client_key in client_keys:
            decisions.forget(client_key)
        return decisions.clean()
    finally:
        decisions.close()


def destroy_again(log: Log, ring: KeyRing) -> list[str]:
    """Marks and destroys every key that an `erased` event names and the vault does not say is destroyed: the client
    keys of those that were still there. Call `ring.clean` after it.
    """
    known, found = ring.key_ids(), []
    marked = {mark.key_id for mark in ring.erasures()}
    for event in log.read(kind=EventType.ERASED):
        data = event.data
        if not isinstance(data, Erased) or not data.key_id or (data.key_id in marked and data.key_id not in known):
            continue
        at = str(event.proof.get("erased_at") or event.recorded_at)
        ring.destroy(Erasure(0, data.key_id, event.app_key, event.client_key, at, data.by, data.origin, data.why))
        if data.key_id in known:
            found.append(event.client_key)
    return found


def overwrite(ring: KeyRing) -> None:
    """Tries again to overwrite what is left of destroyed keys; a line in the log if it has to wait."""
    if not ring.cleaned():
        structlog.get_logger().warning(
            "destroyed keys are not yet overwritten", why="others hold keys.db", again="in a minute"
        )


def due_before(days: int, now: datetime | None = None) -> str:
    """The stored time before which a tenant must have uninstalled to be due; empty (nobody is) if `days` is 0."""
    return stored((now or datetime.now(UTC)) - timedelta(days=days)) if days else ""


def due(log: Log, days: int, app_key: str | None = None, now: datetime | None = None) -> list[Tenant]:
    """The tenants that uninstalled longer ago than `days`; none if `days` is 0."""
    before = due_before(days, now)
    return [
        tenant
        for tenant in (tenants.uninstalled_before(log.connection, before) if before else ())
        if not app_key or app_key == tenant.app_key
    ]


def unkeyed(log: Log, ring: KeyRing) -> list[str]:
    """The client keys of tenants whose secret is under a key that is neither there nor marked as destroyed."""
    known = ring.key_ids() | {mark.key_id for mark in ring.erasures()}
    return [client for client, sealed in tenants.sealed_secrets(log.connection) if key_id_of(sealed) not in known]
