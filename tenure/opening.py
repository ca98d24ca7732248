"""Opens the parts of a store that both the service and the commands write to."""

from tenure.keydesk import keys_of
from tenure.settings import KeySettings, StoreSettings
from tenure.store.vault import Vault
from tenure.stores import Log, log_of


def open_vault(settings: KeySettings, *, admit: bool = False) -> Vault:
    """The vault of the log's tenants. `admit`: the master key is taken as the first one if there is none yet."""
    return Vault(keys_of(settings), settings.master(), admit=admit)


def open_writer(settings: StoreSettings) -> Log:
    """The log to append to, with the projections that every append keeps."""
    return log_of(settings, read_only=False)
