"""Opens the parts of a store that both the service and the commands write to."""

from tenure.projections.security_context import SecurityContextProjector
from tenure.settings import KeySettings, StoreSettings
from tenure.store.sqlite import SqliteLog
from tenure.store.vault import Vault


def open_vault(settings: KeySettings, *, admit: bool = False) -> Vault:
    """The vault beside the log. `admit`: the master key is taken as the first one if there is none yet."""
    return Vault(settings.beside("keys"), settings.master(), admit=admit)


def open_writer(settings: StoreSettings) -> SqliteLog:
    """The log to append to, with the projections that every append keeps."""
    return SqliteLog(settings.log_path, [SecurityContextProjector()])
