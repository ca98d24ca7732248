"""Folds the log afresh, with the same `evolve`, and compares every projection with what came out."""

from collections.abc import Iterable, Iterator
from itertools import islice

from tenure.domain.events import Event
from tenure.domain.ports import Transaction
from tenure.projections.fold import Folded, Mismatch, contexts, mismatches
from tenure.projections.security_context import NOBODY

NAMED = 20


def differences(connection: Transaction, events: Iterable[Event], seen: Folded) -> list[str]:
    """What the stored contexts and the spent tokens say otherwise than the log; the first few by name. The events come
    tenant by tenant; `seen` counts them.
    """
    live = connection.execute("SELECT * FROM security_contexts ORDER BY app_key, client_key")
    found = mismatches(live, contexts(events, seen))
    wrong = [mismatch.says for mismatch in islice(found, NAMED)]
    more = _count(found)
    if [tuple(row) for row in connection.execute("SELECT * FROM nobody")] != [NOBODY]:
        wrong.append("the row read for unknown tenants (nobody) was changed")
    (unspent,) = connection.execute(
        "SELECT count(*) FROM events WHERE token_fingerprint <> '' AND NOT EXISTS "
        "(SELECT 1 FROM spent_tokens WHERE fingerprint = token_fingerprint)"
    ).fetchone()
    if unspent:
        wrong.append(f"the tokens of {unspent} events are not in the list of spent ones")
    return wrong + ([f"and {more} more projections"] if more else [])


def _count(found: Iterator[Mismatch]) -> int:
    return sum(1 for _ in found)
