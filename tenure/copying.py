"""Moving house: a log put into another store as it is, so that its heads stay good and its tokens stay spent.

It may be run while the source is served, and again: each run goes on where the last one stopped. It ends only when
the source is not served any more: then the source notes that it was copied (`operator.copied`), that event is copied,
too, and with the source held both heads and the keys are compared. Until then the target bears a mark: nothing is
served from it and no command writes to it. A target that holds anything which the source does not is refused: it is
another log, or it went on by itself. Of the decisions only the webhooks taken come along (`store.decision_copying`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from tenure import operators
from tenure.counting import spans
from tenure.decision_stores import decision_side_of
from tenure.domain.events import OPERATOR
from tenure.domain.ports import Append
from tenure.keydesk import keys_are_there, keys_of
from tenure.lease import lease_of
from tenure.projections.security_context import apply_all
from tenure.settings import KeySettings
from tenure.store.copying import (
    INSTALL_KEYS,
    SPENT_TOKENS,
    OtherRowsError,
    Say,
    Table,
    beyond,
    copy_events,
    copy_table,
)
from tenure.store.decision_copying import copy_deliveries, go_on_behind
from tenure.store.key_copying import UnfitKeysError, check_copyable, copy_keys, holds_keys, other_keys
from tenure.store.key_database import KeyDatabase
from tenure.store.keyring import KeyRing
from tenure.stores import COPYING, Log, is_unfinished, log_of, prepare_log
from tenure.verify import Findings, verify_live

COPIED = "copied"


class StillServedError(Exception):
    """The source is served: what it has is copied up to `position`, the rest is for the next run."""

    def __init__(self, position: int) -> None:
        super().__init__(f"everything up to position {position} is copied, but the source is served")
        self.position = position


class AwayError(Exception):
    """A store is not there, or does not answer."""


@dataclass(frozen=True, slots=True)
class Store:
    """One side, open for writing, and how it is called where no password may be."""

    settings: KeySettings
    log: Log
    keys: KeyDatabase | None
    name: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of it: the head both have, how many rows of what were written, what `log verify` says of both."""

    position: int
    hash: str
    written: dict[str, int]
    seconds: float
    source: Findings
    target: Findings


def _events(source: Store, target: Store, say: Say) -> int:
    return copy_events(source.log, target.log, apply_all, say, own_head=target.settings.on_postgres)


def _table(table: Table, source: Store, target: Store, say: Say) -> int:
    return copy_table(table, source.log.connection, target.log.connection, target.log.append_under_lock, say)


def _keys(source: Store, target: Store, say: Say) -> int:
    return copy_keys(source.keys, target.keys, say) if source.keys and target.keys else 0


def _deliveries(source: Store, target: Store, say: Say) -> int:
    with (
        decision_side_of(source.settings, source.log) as ours,
        decision_side_of(target.settings, target.log, make=True) as theirs,
    ):
        assert theirs is not None  # noqa: S101 (it was made)
        given = max((span.until for span in spans(source.log)), default=0)
        go_on_behind(theirs, max(given, ours.last() if ours is not None else 0))
        return copy_deliveries(ours, theirs, say) if ours is not None else 0


# What is copied, in this order: name, and how. Whatever else a store comes to hold is added here.
PARTS: Sequence[tuple[str, Callable[[Store, Store, Say], int]]] = (
    ("events", _events),
    ("spent_tokens", partial(_table, SPENT_TOKENS)),
    ("install_keys", partial(_table, INSTALL_KEYS)),
    ("keys", _keys),
    ("webhooks_taken", _deliveries),
)


def copy(source: KeySettings, target: KeySettings, names: tuple[str, str], say: Say) -> Copied:
    """Copies what the target lacks, and ends it if the source is not served. AwayError, StillServedError,
    OtherRowsError, BrokenChainError, and what either store raises.
    """
    began = time.monotonic()
    with _opened(source, target, names) as (here, there):
        written = _copied(here, there, say)
        position, digest = there.log.head()
    return Copied(
        position, digest, written, time.monotonic() - began, verify_live(source, None, None),
        verify_live(target, None, None),
    )  # fmt: skip


@contextmanager
def _opened(source: KeySettings, target: KeySettings, names: tuple[str, str]) -> Iterator[tuple[Store, Store]]:
    with ExitStack() as stack:
        with _named(names[0]):
            here = log_of(source, read_only=False)
            stack.callback(here.close)
            ours = keys_of(source) if keys_are_there(source) else None
            if ours is not None:
                stack.callback(ours.close)
        with _named(names[1]):
            prepare_log(target, copying=True)
            there = log_of(target, read_only=False, copying=True)
            stack.callback(there.close)
            theirs = keys_of(target) if ours is not None or keys_are_there(target) else None
            if theirs is not None:
                stack.callback(theirs.close)
        yield Store(source, here, ours, names[0]), Store(target, there, theirs, names[1])


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise AwayError(f"{name} cannot be opened: {why}") from None


def _copied(source: Store, target: Store, say: Say) -> dict[str, int]:
    _refuse_other(source, target)
    written = dict.fromkeys((name for name, _ in PARTS), 0)
    if source.log.head() == target.log.head() and not is_unfinished(target.settings, target.log):
        return written
    target.log.connection.execute(f"CREATE TABLE IF NOT EXISTS {COPYING} (name TEXT)")
    with _unserved(source) as unserved:
        if unserved:
            _note(source, target)
        for name, part in PARTS:
            written[name] = part(source, target, say)
        if not unserved:
            raise StillServedError(target.log.head()[0])
        source.log.append_under_lock(partial(_end, source, target))
    if target.keys:
        KeyRing(target.keys).cleaned()  # what it cannot overwrite now, the service does when it has started
    return written


def _refuse_other(source: Store, target: Store) -> None:
    why = beyond(source.log, target.log)
    if why:
        raise OtherRowsError(why)
    if target.log.head()[0] == 0 and not is_unfinished(target.settings, target.log) and _holds_keys(target):
        raise OtherRowsError("it holds keys but no log: they are another log's, or its log was lost")
    if source.keys:
        check_copyable(source.keys)


def _holds_keys(target: Store) -> bool:
    return target.keys is not None and holds_keys(target.keys)


def _end(source: Store, target: Store) -> Sequence[Append]:
    if source.log.head() != target.log.head():
        raise StillServedError(target.log.head()[0])
    meanwhile = other_keys(source.keys, target.keys) if source.keys and target.keys else ""
    if meanwhile:
        raise UnfitKeysError(f"{meanwhile}; run the same command again")
    target.log.connection.execute(f"DROP TABLE {COPYING}")
    return ()


def _note(source: Store, target: Store) -> None:
    # a run that was cut off behind it has said so already
    position, _ = source.log.head()
    last = next(source.log.read(after=position - 1), None) if position else None
    if last is not None and (last.type != OPERATOR + COPIED):
        operators.note(source.log, last.app_key, COPIED, to=target.name, position=position, hash=last.hash)


@contextmanager
def _unserved(source: Store) -> Iterator[bool]:
    """Whether nobody serves from the source; nobody keeps its house meanwhile."""
    lease = lease_of(source.settings)
    try:
        yield not _others(source) and lease.take()
    finally:
        lease.close()


def _others(source: Store) -> bool:
    """Whether a process that is not this one is connected to the source."""
    if not source.settings.on_postgres:
        return False
    ours = (source.log.connection, source.keys or source.log.connection)
    own = [one.execute("SELECT pg_backend_pid()").fetchone()[0] for one in ours]
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tenure' "
        "AND pid NOT IN (?, ?)"
    )
    return bool(source.log.connection.execute(sql, own).fetchone()[0])
