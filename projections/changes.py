"""What changed in the security contexts between two positions, in words.

Only tenants with events in between can differ; each is folded once, to the earlier position and on to the later one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tenure.domain.events import OPERATORS, Event
from tenure.domain.ports import Transaction
from tenure.domain.tenant import Standing, Tenant, standing
from tenure.projections.life import Life


class Events(Protocol):
    """The log's reading end."""

    @property
    def connection(self) -> Transaction: ...

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs, and the sentence that says so. Secrets by position and fingerprint, never themselves."""

    field: str
    before: Any
    after: Any
    says: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed of one tenant, and the events that did it. No changes: its events left it as it was."""

    app_key: str
    client_key: str
    base_url: str
    changes: tuple[Change, ...]
    events: tuple[dict[str, Any], ...]


def differences(events: Events, earlier: int, later: int, place: tuple[str, str] | None = None) -> Iterator[Difference]:
    """What changed of each tenant (or of the one) between two positions; tenants with no events in between are left
    out. `earlier` itself is before, `later` itself is after.
    """
    places = [place] if place else _touched(events.connection, earlier, later)
    for app_key, client_key in places:
        life = Life(events.stream(app_key, client_key, later))
        before = life.at(earlier)
        between = tuple(life.behind(earlier))
        if not between:
            continue
        after = life.at(later)
        shown = after or before
        yield Difference(
            app_key, client_key, shown.base_url if shown else "", tuple(compare(before, after)),
            tuple(_told(event) for event in between),
        )  # fmt: skip


def _touched(connection: Transaction, earlier: int, later: int) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT DISTINCT app_key, client_key FROM events WHERE position > ? AND position <= ? AND client_key <> ? "
        "ORDER BY 1, 2",
        (earlier, later, OPERATORS),
    )
    return [(app_key, client_key) for app_key, client_key in rows.fetchall()]


def _told(event: Event) -> dict[str, Any]:
    return {
        "position": event.position,
        "type": event.type,
        "recorded_at": event.recorded_at,
        "cause": event.changed.cause.value if event.changed else "",
    }


def compare(before: Tenant | None, after: Tenant | None) -> Iterator[Change]:
    """The changes from one state to the other: where it stands first, then what it says of itself."""
    then, now = standing(before), standing(after)
    if then is not now:
        yield Change("standing", then.value, now.value, _stands(before, after))
    elif before and after and before.installed_at != after.installed_at and after.installed:
        yield Change("installed_at", before.installed_at, after.installed_at, f"installed anew at {after.installed_at}")
    old, new = _facts(before), _facts(after)
    for name in old:
        if old[name] != new[name] and not (now is Standing.UNKNOWN and not new[name]):
            yield Change(name, old[name], new[name], _SAYS[name](old[name], new[name]))


def _stands(before: Tenant | None, after: Tenant | None) -> str:
    if after is not None and after.erased_at:
        return f"erased at {after.erased_at}: its secret and personal fields can be read by nobody"
    if after is None:
        return "not known any more"
    if not after.installed:
        return f"uninstalled at {after.uninstalled_at}: its secret lets nothing in"
    known = standing(before) is Standing.UNINSTALLED
    return f"{'came back' if known else 'installed'} at {after.installed_at}"


def _facts(tenant: Tenant | None) -> dict[str, Any]:
    kept = None if standing(tenant) is Standing.UNKNOWN else tenant
    return {
        "enabled": bool(kept and kept.enabled),
        "disabled": bool(kept and kept.disabled),
        "secret_position": kept.secret.position if kept else 0,
        "previous_position": kept.previous.position if kept and kept.previous else 0,
        "base_url": kept.base_url if kept else "",
        "display_url": kept.display_url if kept else "",
        "product_type": kept.product_type if kept else "",
        "installation_id": kept.installation_id if kept else "",
    }


def _secret(before: int, after: int) -> str:
    if not before:
        return f"its secret is that of position {after}"
    return f"the secret of position {after} replaced that of position {before}"


def _previous(before: int, after: int) -> str:
    return (
        f"the secret of position {after} is the one recognised as replaced" if after else "no replaced secret is kept"
    )


def _text(what: str) -> Any:
    def say(before: str, after: str) -> str:
        return f"{what} was {before}, is {after or 'not told'}" if before else f"{what} is {after}"

    return say


_SAYS: dict[str, Any] = {
    "enabled": lambda before, after: "enabled" if after else "no longer enabled",
    "disabled": lambda before, after: "disabled by its admin" if after else "no longer disabled",
    "secret_position": _secret,
    "previous_position": _previous,
    "base_url": _text("the base URL"),
    "display_url": _text("the display URL"),
    "product_type": _text("the product"),
    "installation_id": _text("the installation id"),
}
