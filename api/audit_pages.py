"""Pages of events, decisions and tenants: a question in, items and the key behind the last of them out.

`at` includes what was recorded at that very time; a position past the head means the head. Events and decisions are
told oldest first (decisions also newest first, `order=newest`), tenants by client key.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

from tenure.api.questions import Question, QuestionError
from tenure.domain.alarms import AlarmFilter, AlarmKind
from tenure.domain.decisions import Wanted
from tenure.domain.questions import EventFilter
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant
from tenure.projections.archive import Archive, By
from tenure.projections.shown import (
    ALARM_FIELDS,
    DECISION_FIELDS,
    EVENT_FIELDS,
    TENANT_FIELDS,
    alarm_fields,
    decision_fields,
    event_fields,
    tenant_fields,
)

THEN = ("at", "position")
_PAGED = ("after", "limit", *THEN)
EVENT_PARAMETERS = frozenset((*_PAGED, "tenant", "type", "since", "until", "kid", "format"))
DECISION_PARAMETERS = frozenset(
    (*_PAGED, "tenant", "claimed", "verdict", "reason", "kind", "since", "until", "identifier", "kid", "by", "order",
     "format")
)  # fmt: skip
ALARM_PARAMETERS = frozenset(("after", "limit", "tenant", "kind", "state", "since", "until", "format"))
TENANT_PARAMETERS = frozenset((*_PAGED, "kid"))
_REASONS = tuple(sorted(Reason))
_BY: dict[str, By] = {"reason": "reason", "tenant": "tenant", "hour": "hour"}


@dataclass(frozen=True, slots=True)
class Page:
    """Items, the key behind the last (None: there are no more), and the columns of a CSV. `told`: each is something
    that happened, so that it can be a CloudEvent.
    """

    items: list[dict[str, Any]]
    next: str | None
    columns: Sequence[str]
    told: bool = False


def one_tenant(archive: Archive, name: str) -> Tenant:
    """The tenant of a name, or QuestionError: 404 if there is none, 409 with the list if there are several."""
    found = archive.find(name)
    if not found:
        raise QuestionError(f"No tenant {name[:255]} is known.", 404)
    if len(found) > 1:
        keys = ", ".join(tenant.client_key for tenant in found[:20])
        raise QuestionError(f"{name[:255]} names several tenants, newest first: {keys}.", 409)
    return found[0]


def position_of(archive: Archive, question: Question) -> int | None:
    """The position asked for, as such or by a time; None: now."""
    at, position = question.time("at"), question.number("position")
    if at is not None and position is not None:
        raise QuestionError("Give at or position, not both.")
    return position if at is None else archive.events.position_at(at)


def _client_key(archive: Archive, question: Question) -> str | None:
    name = question.text("tenant")
    return one_tenant(archive, name).client_key if name is not None else None


def event_filter(archive: Archive, question: Question) -> EventFilter:
    """Which events are asked for."""
    return EventFilter(
        client_key=_client_key(archive, question),
        type=question.text("type"),
        since=question.time("since"),
        until=question.time("until"),
        kid=question.text("kid"),
    )


def event_page(archive: Archive, question: Question) -> Page:
    """A page of events; the cursor is the position of the last."""
    limit, last = question.limit(), position_of(archive, question)
    after = question.number("after") or 0
    found = archive.read(event_filter(archive, question), after, limit + 1)
    kept = list(takewhile(lambda event: last is None or event.position <= last, found))
    beyond = str(kept[limit - 1].position) if len(kept) > limit else None
    return Page([event_fields(event) for event in kept[:limit]], beyond, EVENT_FIELDS, told=True)


def decision_filter(archive: Archive, question: Question) -> Wanted:
    """Which decisions are asked for; `position` is that of an event: decisions up to its time."""
    at, position, until = question.time("at"), question.number("position"), question.time("until")
    if at is not None and position is not None:
        raise QuestionError("Give at or position, not both.")
    if position is not None:
        event = next(iter(archive.events.read(after=max(position, 1) - 1, limit=1)), None)
        at = event.recorded_at if event is not None else None
    ends = [time for time in (at, until) if time is not None]
    return Wanted(
        client_key=_client_key(archive, question),
        claimed_client_key=question.text("claimed"),
        verdict=question.one_of("verdict", ("accepted", "refused")),
        reason=question.one_of("reason", _REASONS),
        kind=question.text("kind"),
        since=question.time("since"),
        until=min(ends, default=None),
        identifier=question.text("identifier"),
        kid=question.text("kid"),
    )


def decision_page(archive: Archive, question: Question) -> Page:
    """A page of decisions; the cursor is the place in the order of commits up to which was looked: where no index leads
    to what is asked for, a page may have few items, or none, and go on all the same.
    """
    limit, newest = question.limit(), question.one_of("order", ("oldest", "newest")) == "newest"
    after = question.number("after")
    found, beyond = archive.decisions.walk(
        decision_filter(archive, question), after=after, limit=limit, newest_first=newest
    )
    items = [decision_fields(one.decision) for one in found]
    return Page(items, None if beyond is None else str(beyond), (*DECISION_FIELDS, "facts"), told=True)


def counted(archive: Archive, question: Question) -> Page:
    """How many decisions were counted, and how many of them kept, by reason, tenant or hour."""
    by = _BY[question.one_of("by", tuple(_BY)) or "reason"]
    try:
        counts = archive.decisions.counts(by, decision_filter(archive, question))
    except ValueError as error:
        raise QuestionError(f"{error}.") from None
    items = [{by: row["name"], "counted": row["counted"], "kept": row["kept"]} for row in map(asdict, counts)]
    return Page(items, None, (by, "counted", "kept"))


def alarm_filter(archive: Archive, question: Question) -> AlarmFilter:
    """Which alarms are asked for; a name that is no tenant's is taken for a client key that somebody claimed."""
    name = question.text("tenant")
    if name is not None and archive.find(name):
        name = one_tenant(archive, name).client_key
    return AlarmFilter(
        client_key=name,
        kind=question.one_of("kind", tuple(AlarmKind)),
        state=question.one_of("state", ("raised", "ended", "open")),
        since=question.time("since"),
        until=question.time("until"),
    )


def alarm_page(archive: Archive, question: Question) -> Page:
    """A page of alarms' items, oldest first; the cursor is the number of the last."""
    limit, after = question.limit(), question.number("after") or 0
    found = archive.decisions.alarms.page(alarm_filter(archive, question), after=after, limit=limit + 1)
    beyond = str(found[limit - 1].number) if len(found) > limit else None
    return Page([alarm_fields(one) for one in found[:limit]], beyond, ALARM_FIELDS, told=True)


def tenant_page(archive: Archive, question: Question) -> Page:
    """A page of tenants; of the past, those that were known then (so a page may have fewer than `limit`)."""
    limit, position, kid = question.limit(), position_of(archive, question), question.text("kid")
    keys = archive.events.kid_tenants(kid) if kid is not None else None
    found = archive.tenants(question.text("after") or "", limit + 1, keys)
    then = [archive.tenant_at(tenant, position) for tenant in found[:limit]]
    beyond = found[limit - 1].client_key if len(found) > limit else None
    return Page([tenant_fields(tenant) for tenant in then if tenant is not None], beyond, TENANT_FIELDS)
