"""Rebuilding the contexts of a log in PostgreSQL: compared in one snapshot, mended where they differ.

Nothing is swapped there: what differs is folded anew and put in its place tenant by tenant, with the log held, so that
no event comes in between. Readers see a tenant's old row or its new one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from tenure.domain.ports import Append
from tenure.domain.tenant import fold_stream
from tenure.projections.fold import Folded, Place, contexts, mismatches
from tenure.projections.security_context import put
from tenure.rebuild import Compared, Rebuilt, Say
from tenure.settings import StoreSettings
from tenure.store.folding import BrokenChainError, gapless
from tenure.stores import Log, log_of

AT_ONCE = 100
ROWS = 2000
SAID_EVERY = 5000


def refold(settings: StoreSettings, say: Say, note: Callable[[Compared], int]) -> Rebuilt:
    """Compares, and mends what differs; `note` tells of it in the log, the position of what it said. BrokenChainError
    before anything is mended.
    """
    began = time.monotonic()
    found, places = _compare(settings, say)
    position = 0
    if places:
        _mend(settings, places)
        position = note(found)
    return Rebuilt(not places, found.events, time.monotonic() - began, found.different, found.first, position)


def _compare(settings: StoreSettings, say: Say) -> tuple[Compared, list[Place]]:
    log = log_of(settings)
    try:
        log.snapshot()
        if not gapless(log.connection):
            raise BrokenChainError(log.head()[0])
        seen = Folded()
        wrong = list(mismatches(_live(log), _said(contexts(log.by_tenant(), seen), seen, say)))
    finally:
        log.close()
    places = [(one.app_key, one.client_key) for one in wrong]
    return Compared(seen.events, len(wrong), wrong[0] if wrong else None), places


def _said(folded: Iterator[Any], seen: Folded, say: Say) -> Iterator[Any]:
    told = 0
    for one in folded:
        if seen.events - told >= SAID_EVERY:
            say(seen.events - told)
            told = seen.events
        yield one
    say(seen.events - told)


def _live(log: Log) -> Iterator[tuple[Any, ...]]:
    after: Place = ("", "")
    sql = "SELECT * FROM security_contexts WHERE (app_key, client_key) > (?, ?) ORDER BY app_key, client_key LIMIT ?"
    while rows := log.connection.execute(sql, (*after, ROWS)).fetchall():
        yield from rows
        after = rows[-1][:2]


def _mend(settings: StoreSettings, places: list[Place]) -> None:
    log = log_of(settings, read_only=False)
    left = iter(places)
    try:
        while some := list(islice(left, AT_ONCE)):
            log.append_under_lock(partial(_anew, log, some))
    finally:
        log.close()


def _anew(log: Log, places: list[Place]) -> Sequence[Append]:
    for place in places:
        log.connection.execute("DELETE FROM security_contexts WHERE app_key = ? AND client_key = ?", place)
        tenant = fold_stream(log.stream(*place))
        if tenant is not None:
            put(log.connection, tenant)
    return ()  # nothing is appended: only nobody else may meanwhile
