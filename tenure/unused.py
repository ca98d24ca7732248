"""Data keys that nothing was ever sealed under for good: the key was made, and then the install was not appended.

They are swept at the start, before any worker: a key more than an hour old, of a tenant without any event and without
a mark of erasure. Not while another service runs here (it holds the lease, and may just be sealing under that key), and
not if the log does not extend the head signed last: the events that use the key may be in the log that is missing. A
client key that begins with a space is no tenant's, but ours.
"""

from datetime import UTC, datetime, timedelta

import structlog

from tenure.domain.times import stored
from tenure.keydesk import head_signed_last
from tenure.lease import lease_of
from tenure.projections import tenants
from tenure.settings import StoreSettings
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.signed_head import does_not_extend
from tenure.store.vault import key_id_of
from tenure.stores import Log

SPARED = timedelta(hours=1)

log = structlog.get_logger()


def sweep(settings: StoreSettings, events: Log, ring: KeyRing) -> list[str]:
    """The client keys whose unused data keys were destroyed; call `ring.clean` after it."""
    lease = lease_of(settings)
    try:
        if not lease.take() or not _whole(settings, events):
            return []
        # one read of all contexts, so that only the few keys without one cost a question each
        used = {key_id_of(sealed) for _, sealed in tenants.sealed_secrets(events.connection)}
        before = stored(datetime.now(UTC) - SPARED)
        # asked of each right before it goes: in the meantime the lease may have been lost, and a service begun
        found = ring.sweep(before, used, lambda *tenant: lease.take() and not events.version(*tenant))
    finally:
        lease.close()
    for client_key in found:
        log.warning("a data key that no event uses was destroyed", client_key=client_key)
    return found


def _whole(settings: StoreSettings, events: Log) -> bool:
    try:
        last = head_signed_last(settings)
    except UntrustedStoreError:
        return False
    return last is None or not does_not_extend(events, last.position, last.hash)
