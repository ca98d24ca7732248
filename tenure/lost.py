"""A log that is gone must not be begun anew unnoticed: the keys know that there was one.

Everybody who installed the app would be unknown, and the service would call itself ready. An older log put back is
another matter: it serves those it knows, its head is not signed, and `/readyz` says so.
"""

from contextlib import closing

from tenure.keydesk import keys_are_there, keys_of
from tenure.settings import StoreSettings
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.signed_head import last_signed
from tenure.stores import is_there, log_of


def check_nothing_was_lost(settings: StoreSettings) -> None:
    """Refuses an empty log, or none, beside keys of tenants or a signed head; UntrustedStoreError says what to do."""
    if not keys_are_there(settings):
        return
    with closing(keys_of(settings)) as database:
        tenants, last = KeyRing(database).tenants(), last_signed(database)
    position = last.position if last is not None else 0
    name = "the log in TENURE_DATABASE_URL" if settings.on_postgres else settings.log_path
    # the log last: of several that start at once another may be about to begin it
    if (tenants or position) and not _position(settings):
        raise UntrustedStoreError(
            f"{name} is not there or empty, but {settings.keys} holds the keys of {tenants} "
            f"tenants and a head signed at position {position}: put the log back from a backup; to begin anew on "
            'purpose run: tenure log accept --reason "..."'
        )


def _position(settings: StoreSettings) -> int:
    if not is_there(settings):
        return 0
    log = log_of(settings)
    try:
        return log.head()[0]
    finally:
        log.close()
