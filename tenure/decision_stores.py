"""Where decisions lie: in `decisions.db` beside the log, or in the log's database. Nobody else asks which it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tenure.settings import StoreSettings
from tenure.store.alarms import AlarmBook, sqlite_book
from tenure.store.connection import UntrustedStoreError
from tenure.store.decision_copying import Side, sqlite_side
from tenure.store.decision_desk import DecisionDesk
from tenure.store.decision_digest import DecisionDigests, SqliteDigests
from tenure.store.decision_writer import DecisionLane, Decisions
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.keeper import Keeper
from tenure.store.pace import Pace
from tenure.store.sweeper import Alarm, Retention, Sweeper
from tenure.store.veil import Veil
from tenure.stores import Log, prepare_log


def _postgres() -> Any:
    # only who uses it needs psycopg
    from tenure.store.postgres import decision_reads, decision_service, decisions, keeper  # noqa: PLC0415

    return decisions, decision_reads, decision_service, keeper


def place_of(settings: StoreSettings) -> str:
    """Where they lie, in words."""
    return "the database" if settings.on_postgres else str(settings.beside("decisions"))


def decisions_are_there(settings: StoreSettings) -> bool:
    """Whether there is a store of decisions, though it may hold none."""
    if not settings.on_postgres:
        return settings.beside("decisions").is_file()
    try:
        decision_reads_of(settings).close()
    except FileNotFoundError:
        return False
    return True


def prepare_decisions(settings: StoreSettings) -> None:
    """Makes or migrates the store of decisions; UntrustedStoreError if it cannot be kept within its bounds."""
    if not settings.on_postgres:
        open_decisions(settings.beside("decisions"))
        return
    if not decisions_are_there(settings):
        prepare_log(settings)
    reads = decision_reads_of(settings)
    try:
        if lacking := reads.lacking():
            raise UntrustedStoreError(lacking)
    finally:
        reads.close()


def decision_desk_of(settings: StoreSettings, veil: Veil, ahead: Veil, pace: Pace) -> DecisionDesk:
    """The decision log of one worker; `veil` is for its thread, `ahead` for the event loop's."""
    if settings.on_postgres:
        _, _, service, _ = _postgres()
        made: DecisionDesk = service.PostgresDesk(settings.database_url, veil, ahead)
        return made
    path = settings.beside("decisions")
    reads = SqliteDecisions(path, read_only=True)
    return DecisionDesk(DecisionLane(SqliteDecisions(path, veil=veil, pace=pace), ahead), reads, reads.close)


def sweeper_of(
    settings: StoreSettings, retention: Retention, alarm: Alarm, believed: Callable[[], bool], pace: Pace
) -> Sweeper:
    """What keeps it within its bounds."""
    if settings.on_postgres:
        *_, keeper = _postgres()
        made: Sweeper = keeper.PostgresKeeper(settings.database_url, retention, alarm, believed)
        return made
    return Keeper(settings.beside("decisions"), retention, alarm, believed, pace)


def decisions_of(settings: StoreSettings) -> Decisions:
    """The decision log on a connection of its own, to be written to."""
    return _opened(settings, read_only=False)


def decision_reads_of(settings: StoreSettings) -> Decisions:
    """The decision log on a connection of its own, to be read."""
    return _opened(settings, read_only=True)


def _opened(settings: StoreSettings, *, read_only: bool) -> Decisions:
    if settings.on_postgres:
        decisions, *_ = _postgres()
        made: Decisions = decisions.PostgresDecisions(settings.database_url, read_only=read_only)
        if not made.is_there():
            made.close()
            raise FileNotFoundError("the database of TENURE_DATABASE_URL holds no decisions")
        return made
    return SqliteDecisions(settings.beside("decisions"), read_only=read_only)


def digests_of(settings: StoreSettings) -> DecisionDigests:
    """What counts and digests them."""
    if settings.on_postgres:
        _, reads, *_ = _postgres()
        made: DecisionDigests = reads.PostgresDigests(settings.database_url)
        return made
    return SqliteDigests(settings.beside("decisions"))


@contextmanager
def decision_side_of(settings: StoreSettings, log: Log, *, make: bool = False) -> Iterator[Side | None]:
    """A side of moving house, beside an open log; None if there is none and it is not to be made."""
    if settings.on_postgres:
        from tenure.store.postgres.decision_copying import postgres_side  # noqa: PLC0415 (as above)

        yield postgres_side(log.session)  # type: ignore[attr-defined]
        return
    with sqlite_side(settings.beside("decisions"), make=make) as side:
        yield side


def alarm_book_of(settings: StoreSettings) -> AlarmBook:
    """The alarms' writing end."""
    if settings.on_postgres:
        _, reads, *_ = _postgres()
        made: AlarmBook = reads.postgres_book(settings.database_url)
        return made
    return sqlite_book(settings.beside("decisions"))
