"""Which store a DATABASE_URL names: the log's end of a worker, and the log for commands, on SQLite or PostgreSQL."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

from pysqlite3 import DatabaseError

from tenure.domain.events import Event
from tenure.domain.ports import Append, AppendResult, Contexts, EventLog, Spend, Transaction
from tenure.projections.security_context import SecurityContextProjector, SecurityContexts, current_of, schema
from tenure.settings import SettingsError, StoreSettings
from tenure.store.connection import UntrustedStoreError
from tenure.store.install_keys import SqliteInstallKeys
from tenure.store.lane import Lane
from tenure.store.sqlite import SqliteLog, open_log

# there while a copy into the log is not finished; its name keeps it out of the comparison of schemas
COPYING = "copy_beside"


class Log(EventLog, Protocol):
    """A log whose projections can be read beside it, and that can be examined as it lies there."""

    @property
    def connection(self) -> Transaction: ...

    def by_tenant(self) -> Iterator[Event]: ...

    def stored_rows(self) -> Iterator[tuple[bytes, ...]]: ...

    def snapshot(self) -> None: ...

    def schema_problems(self, projections: Sequence[tuple[str, str]] = ...) -> list[str]: ...

    def damage(self) -> list[str]: ...


class KeyStore(Protocol):
    """Where install keys are kept."""

    async def get(self, host: str, kid: str) -> str | None: ...

    async def put(self, host: str, kid: str, pem: str) -> None: ...


class Events(Protocol):
    """The log of one worker, off its event loop."""

    contexts: Contexts
    key_store: KeyStore

    async def append(self, request: Append, *, within: float, yields: bool = False) -> AppendResult: ...

    def refuses(self, within: float, *, yields: bool = False) -> bool: ...

    async def spent(self, fingerprint: str) -> Spend | None: ...

    async def ask(self, question: Callable[[Log], Any]) -> Any: ...

    def close(self) -> None: ...


class SqliteEvents:
    """Reads at once, on the caller's thread; appends in a lane."""

    def __init__(self, settings: StoreSettings) -> None:
        self._reader = SqliteLog(settings.log_path)
        self._writer = SqliteLog(settings.log_path, [SecurityContextProjector()])
        self._lane: Lane[Append, AppendResult] = Lane(self._writer.append, name="log")
        self._keys = SqliteInstallKeys(settings.log_path)
        self.contexts: Contexts = SecurityContexts(self._reader.connection)
        self.key_store: KeyStore = self._keys

    async def append(self, request: Append, *, within: float, yields: bool = False) -> AppendResult:
        """`ports.AsyncLog`."""
        return await self._lane.submit(request, within=within, yields=yields)

    def refuses(self, within: float, *, yields: bool = False) -> bool:
        """`ports.AsyncLog`."""
        return self._lane.refuses(within, yields=yields)

    async def spent(self, fingerprint: str) -> Spend | None:
        """`ports.SpentTokens`."""
        return self._reader.spent(fingerprint)

    async def ask(self, question: Callable[[Log], Any]) -> Any:
        """The answer of the log to any other question."""
        return question(self._reader)

    def close(self) -> None:
        """Writes what is queued and closes everything."""
        self._lane.close()
        for part in (self._reader, self._writer, self._keys):
            part.close()


def postgres(url: str) -> Any:
    """The modules for PostgreSQL, or SettingsError: they are not installed, or the URL is none."""
    try:
        from tenure.store.postgres import log, service, session  # noqa: PLC0415 (only who uses it needs psycopg)
    except ImportError:
        raise SettingsError("TENURE_DATABASE_URL: PostgreSQL needs the extra: pip install 'tenure[postgres]'") from None
    try:
        session.parameters_of(url)
    except ValueError as error:
        raise SettingsError(f"TENURE_DATABASE_URL: {error} (see docs/how-to/postgresql.md)") from None
    return log, service


def events_of(settings: StoreSettings) -> Events:
    """The log's end of one worker."""
    if not settings.on_postgres:
        return SqliteEvents(settings)
    _, service = postgres(settings.database_url)
    made: Events = service.PostgresEvents(settings.database_url, current_of, [SecurityContextProjector()])
    return made


def is_there(settings: StoreSettings) -> bool:
    """Whether there is a log, though it may be empty."""
    if not settings.on_postgres:
        return settings.log_path.exists() and settings.log_path.stat().st_size > 0
    log, _ = postgres(settings.database_url)
    made: Log = log.PostgresLog(settings.database_url, read_only=True)
    try:
        return _holds_a_log(made)
    finally:
        made.close()


def _holds_a_log(log: Log) -> bool:
    return log.connection.execute("SELECT to_regclass('log_head')").fetchone()[0] is not None


def prepare_log(settings: StoreSettings, *, copying: bool = False) -> None:
    """Makes or migrates the log; UntrustedStoreError if it cannot be trusted as it is. `copying`: also one that a copy
    has not finished.
    """
    if settings.on_postgres:
        log, _ = postgres(settings.database_url)
        log.open_log(settings.database_url, [schema("postgres")])
    else:
        open_log(settings.log_path, [schema()])
    if not copying:
        log_of(settings, read_only=False).close()


def log_of(settings: StoreSettings, *, read_only: bool = True, copying: bool = False) -> Log:
    """The log for a command. To write to one that a copy has not finished, without `copying`: UntrustedStoreError."""
    projectors = () if read_only else (SecurityContextProjector(),)
    made: Log
    if settings.on_postgres:
        log, _ = postgres(settings.database_url)
        made = log.PostgresLog(settings.database_url, projectors, read_only=read_only)
        if not _holds_a_log(made):
            made.close()
            raise FileNotFoundError("the database of TENURE_DATABASE_URL holds no log")
    else:
        made = SqliteLog(settings.log_path, projectors, read_only=read_only)
    if not read_only and not copying and is_unfinished(settings, made):
        made.close()
        raise UntrustedStoreError("a copy into this log is not finished: run the same tenure copy again")
    return made


def is_unfinished(settings: StoreSettings, log: Log) -> bool:
    """Whether a copy into the log has begun and not ended: it is not the log it is to be yet."""
    if settings.on_postgres:
        return log.connection.execute("SELECT to_regclass(?::text)", (COPYING,)).fetchone()[0] is not None
    sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?"
    return bool(log.connection.execute(sql, (COPYING,)).fetchone()[0])


@contextmanager
def within(log: Log, seconds: float) -> Iterator[None]:
    """Ends what the log waits for after so many seconds: OursError. A commit may wait for a standby without end."""
    with log.session.within(seconds) if hasattr(log, "session") else nullcontext():
        yield


def missing_standbys(settings: StoreSettings, log: Log) -> str:
    """Why no append would return just now, though the database answers; empty if nothing is known of that sort."""
    if not settings.on_postgres:
        return ""
    from tenure.store.postgres import standbys  # noqa: PLC0415 (only who uses it needs psycopg)

    return standbys.missing_standbys(log.connection)


def schema_problems(settings: StoreSettings, log: Log) -> list[str]:
    """What of the log's and its projections' schema is not as it was made, in words."""
    half = ["a copy into this log is not finished (tenure copy)"] if is_unfinished(settings, log) else []
    return half + log.schema_problems([schema("postgres" if settings.on_postgres else "")])


def database_errors() -> tuple[type[Exception], ...]:
    """What the databases in use raise; asked when something was raised, for by then the one in use is loaded."""
    psycopg = sys.modules.get("psycopg")
    return (DatabaseError, psycopg.Error) if psycopg else (DatabaseError,)


def damage() -> tuple[type[Exception], ...]:
    """What they raise where something in them is not as it was made; that a server went away is not among it."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None:
        return (DatabaseError,)
    return (DatabaseError, psycopg.DataError, psycopg.InternalError, psycopg.ProgrammingError)


def sentence_of(error: Exception) -> str:
    """What a database said, in one line; PostgreSQL's details quote rows, and are left out."""
    diagnosis = getattr(error, "diag", None)
    return getattr(diagnosis, "message_primary", None) or str(error).partition("\n")[0]
