"""The fold: every tenant's context from its events, compared with what the projection holds. Used by the check of the
projections and by their rebuilding alike, with the `evolve` that live traffic uses.

Both sides come in the order of tenants and are walked side by side, so that one tenant is held at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tenure.domain.events import Event
from tenure.domain.tenant import Tenant, evolve
from tenure.projections.security_context import NAMES, to_row

Place = tuple[str, str]
Row = tuple[Any, ...]
_SEALED = frozenset(("secret", "previous_secret"))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A tenant whose live row is not what its events say: the first field that differs, and both values. `field` empty:
    the whole row is missing live (`live` None) or no event speaks of it (`folded` None). Sealed texts are not shown.
    """

    app_key: str
    client_key: str
    field: str
    live: Any
    folded: Any

    @property
    def says(self) -> str:
        """In words."""
        if not self.field:
            if self.live is None:
                return f"tenant {self.client_key} is missing from the projection"
            return f"the projection holds tenant {self.client_key}, of whom the log says nothing"
        return (
            f"the projection of tenant {self.client_key} is not what its events say: {self.field} is {self.live!r}, "
            f"by the log {self.folded!r}"
        )


@dataclass(slots=True)
class Folded:
    """What was gone through so far: events, and the last tenant."""

    events: int = 0
    last: Place = ("", "")


def fold(events: Iterable[Event]) -> dict[Place, Tenant]:
    """Every tenant after the events, in whatever order the tenants come."""
    found: dict[Place, Tenant] = {}
    for event in events:
        place = (event.app_key, event.client_key)
        tenant = evolve(found.get(place), event)
        if tenant is not None:
            found[place] = tenant
    return found


def contexts(events: Iterable[Event], seen: Folded, limit: int | None = None) -> Iterator[tuple[Place, Tenant]]:
    """Each tenant of events that come tenant by tenant; stops behind the tenant with which `limit` is reached."""
    until = None if limit is None else seen.events + limit
    tenant, app_key, client_key = None, "", ""
    for event in events:
        if event.client_key != client_key or event.app_key != app_key:
            if tenant is not None:
                yield (app_key, client_key), tenant
            # the event at hand belongs to the next tenant: it is not counted as gone through
            if until is not None and seen.events >= until:
                return
            tenant, app_key, client_key = None, event.app_key, event.client_key
            seen.last = (app_key, client_key)
        tenant = evolve(tenant, event)
        seen.events += 1
    if tenant is not None:
        yield (app_key, client_key), tenant


def mismatches(
    live: Iterable[Row], folded: Iterable[tuple[Place, Tenant]], end: Callable[[], Place | None] = lambda: None
) -> Iterator[Mismatch]:
    """Where the rows and the fold, both in the order of tenants, are not the same. `end`, asked when the fold is done:
    the tenant behind whom rows are none of its business.
    """
    rows = iter(live)
    row = next(rows, None)
    for place, tenant in folded:
        while row is not None and (row[0], row[1]) < place:
            yield Mismatch(row[0], row[1], "", "a row", None)
            row = next(rows, None)
        if row is None or (row[0], row[1]) != place:
            yield Mismatch(*place, "", None, "a tenant")
            continue
        found = difference(row, tenant)
        if found is not None:
            yield found
        row = next(rows, None)
    last = end()
    while row is not None and (last is None or (row[0], row[1]) <= last):
        yield Mismatch(row[0], row[1], "", "a row", None)
        row = next(rows, None)


def difference(row: Row | None, tenant: Tenant | None) -> Mismatch | None:
    """What differs between a live row and the fold of one tenant; None: nothing."""
    if row is None or tenant is None:
        if row is None and tenant is None:
            return None
        app_key, client_key = row[:2] if row else (tenant.app_key, tenant.client_key) if tenant else ("", "")
        return Mismatch(app_key, client_key, "", "a row" if row else None, "a tenant" if tenant else None)
    expected = to_row(tenant)
    if expected == row:
        return None
    name, is_live, is_folded = next(
        (name, a, b) for name, a, b in zip(NAMES, row, expected, strict=True) if a != b
    )  # fmt: skip
    if name in _SEALED:
        is_live, is_folded = "another sealed text", "its own"
    return Mismatch(tenant.app_key, tenant.client_key, name, is_live, is_folded)
