"""Folds the log afresh, with the same `evolve`, and compares every projection with what came out."""

from collections.abc import Iterable

from tenure.domain.events import Event
from tenure.domain.ports import Transaction
from tenure.domain.tenant import Tenant, evolve
from tenure.projections.security_context import to_row

NAMED = 20


def fold(events: Iterable[Event]) -> dict[tuple[str, str], Tenant]:
    """Every tenant after the events."""
    found: dict[tuple[str, str], Tenant] = {}
    for event in events:
        place = (event.app_key, event.client_key)
        tenant = evolve(found.get(place), event)
        if tenant is not None:
            found[place] = tenant
    return found


def differences(connection: Transaction, events: Iterable[Event]) -> list[str]:
    """What the stored contexts and the spent tokens say otherwise than the log; the first few by name."""
    expected = fold(events)
    wrong = []
    for row in connection.execute("SELECT * FROM security_contexts"):
        tenant = expected.pop((row[0], row[1]), None)
        if tenant is None:
            wrong.append(f"the projection holds tenant {row[1]}, of whom the log says nothing")
        elif to_row(tenant) != tuple(row):
            wrong.append(f"the projection of tenant {row[1]} is not what its events say")
    wrong += [f"tenant {client_key} is missing from the projection" for _, client_key in expected]
    (unspent,) = connection.execute(
        "SELECT count(*) FROM events WHERE token_fingerprint <> '' AND NOT EXISTS "
        "(SELECT 1 FROM spent_tokens WHERE fingerprint = token_fingerprint)"
    ).fetchone()
    if unspent:
        wrong.append(f"the tokens of {unspent} events are not in the list of spent ones")
    more = [f"and {len(wrong) - NAMED} more projections"] if len(wrong) > NAMED else []
    return wrong[:NAMED] + more
