"""Where the keys of a store lie is known here alone: in `keys.db` beside the log, or in the database that has the log.

`keys_of` opens them for whoever works with them on a thread of its own; `worker_keys` is a worker's end, off its event
loop where a network lies between.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from tenure.domain.ports import Contexts
from tenure.domain.tenant import Tenant
from tenure.settings import KeySettings, StoreSettings
from tenure.store.connection import UntrustedStoreError
from tenure.store.key_database import KeyDatabase
from tenure.store.key_file import KeyFile
from tenure.store.lane import Lane
from tenure.store.signed_head import SignedHead, last_signed
from tenure.store.tokens import ApiTokens
from tenure.store.vault import Sealing, Vault
from tenure.stores import postgres

if TYPE_CHECKING:
    from tenure.store.postgres.keys import KeyTables

T = TypeVar("T")


class WorkerKeys(Protocol):
    """The keys of one worker. `vault` is for the loop's thread, `veiling` for that of the decision log; a tenant's key
    is there once its context was given (`contexts`), it was brought or ensured. OursError: the keys do not answer.
    """

    @property
    def vault(self) -> Sealing: ...

    @property
    def veiling(self) -> Sealing: ...

    def contexts(self, inner: Contexts) -> Contexts: ...

    async def bring(self, tenant: Tenant) -> None: ...

    async def ensure_key(self, app_key: str, client_key: str, *, within: float, yields: bool = False) -> None: ...

    async def ask(self, question: Callable[[ApiTokens], T]) -> T: ...

    async def tell(self, act: Callable[[ApiTokens], T]) -> T: ...

    async def condition(self) -> tuple[SignedHead | None, list[str]]: ...

    async def refresh(self) -> None: ...

    def close(self) -> None: ...


def keys_of(settings: StoreSettings, *, read_only: bool = False) -> KeyDatabase:
    """The keys, made if a file is to have them and is not there; FileNotFoundError if a database is to and has none
    (`stores.prepare_log` makes them with the log).
    """
    if not settings.on_postgres:
        return KeyFile(settings.beside("keys"), read_only=read_only)
    tables = _tables(settings, read_only)
    if not tables.is_there():
        tables.close()
        raise FileNotFoundError("the database of TENURE_DATABASE_URL holds no keys; serve makes what is missing")
    return tables


def keys_are_there(settings: StoreSettings) -> bool:
    """Whether there are keys, though it may be none yet: a file, or tables."""
    if not settings.on_postgres:
        return settings.beside("keys").exists()
    tables = _tables(settings, read_only=True)
    try:
        return tables.is_there()
    finally:
        tables.close()


def _tables(settings: StoreSettings, read_only: bool) -> "KeyTables":
    postgres(settings.database_url)
    from tenure.store.postgres.keys import KeyTables  # noqa: PLC0415 (only who uses it needs psycopg)

    return KeyTables(settings.database_url, read_only=read_only)


@contextmanager
def reading(settings: StoreSettings) -> Iterator[KeyDatabase]:
    """The keys, not to be changed; FileNotFoundError if there are none."""
    database = keys_of(settings, read_only=True)
    try:
        yield database
    finally:
        database.close()


def head_signed_last(settings: StoreSettings) -> SignedHead | None:
    """The head signed last; None if none was, FileNotFoundError if there are no keys at all."""
    with reading(settings) as database:
        return last_signed(database)


def worker_keys(settings: KeySettings) -> WorkerKeys:
    """The keys' end of one worker."""
    if not settings.on_postgres:
        return FileKeys(settings)
    from tenure.store.postgres.key_service import PostgresKeys  # noqa: PLC0415 (only who uses it needs psycopg)

    return PostgresKeys(settings.database_url, settings.master())


class FileKeys:
    """Read at once, on the caller's thread; made in a lane."""

    def __init__(self, settings: KeySettings) -> None:
        self._settings = settings
        self.vault, self.veiling, self._maker = (
            Vault(keys_of(settings), settings.master(), admit=False) for _ in range(3)
        )
        self._tokens = ApiTokens(keys_of(settings))
        self._lane: Lane[tuple[str, str], None] = Lane(self._make, name="keys")

    def _make(self, batch: Sequence[tuple[str, str]]) -> list[None]:
        self._maker.ensure_keys(batch)
        return [None] * len(batch)

    def contexts(self, inner: Contexts) -> Contexts:
        """As they are: keys are read where they are used."""
        return inner

    async def bring(self, tenant: Tenant) -> None:
        """Nothing to do."""

    async def ensure_key(self, app_key: str, client_key: str, *, within: float, yields: bool = False) -> None:
        """`lifecycle.Keys`."""
        if not self.vault.has_key(app_key, client_key):
            await self._lane.submit((app_key, client_key), within=within, yields=yields)

    async def ask(self, question: Callable[[ApiTokens], T]) -> T:
        """What the file says of API tokens, codes and sessions."""
        return question(self._tokens)

    async def tell(self, act: Callable[[ApiTokens], T]) -> T:
        """The same, for what writes."""
        return act(self._tokens)

    async def condition(self) -> tuple[SignedHead | None, list[str]]:
        """The head signed last, and what is wrong with the keys."""
        last, wrong = None, list[str]()
        try:
            last = head_signed_last(self._settings)
            self.vault.check()
        except UntrustedStoreError as error:
            wrong.append(str(error))
        return last, wrong

    async def refresh(self) -> None:
        """Forgets kept keys that were destroyed meanwhile."""
        self.vault.refresh()

    def close(self) -> None:
        """Writes what is queued and closes the file."""
        self._lane.close()
        for part in (self.vault, self.veiling, self._maker, self._tokens):
            part.close()
