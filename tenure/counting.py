"""What the log says of the decisions: `operator.decisions` events, each with count and digest of a span of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenure.domain.events import OPERATOR, OPERATORS, Operated
from tenure.domain.ports import EventLog
from tenure.store.decision_digest import Span

DECISIONS = "decisions"


def span_of(particulars: dict[str, Any]) -> Span:
    """The span that an `operator.decisions` event speaks of."""
    given = {**particulars, "columns": tuple(particulars["columns"])}
    return Span(**{name: given[name] for name in Span.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Counted:
    """A span, and when (Unix seconds) it was counted."""

    span: Span
    at: float


def spans(events: EventLog) -> Iterator[Span]:
    """Every span that was counted."""
    for event in events.read(client_key=OPERATORS, kind=OPERATOR + DECISIONS):
        if isinstance(event.data, Operated):
            yield span_of(event.data.particulars)


def last_count(events: EventLog) -> Counted | None:
    """What the last `operator.decisions` event says."""
    found = None
    for event in events.read(client_key=OPERATORS, kind=OPERATOR + DECISIONS):
        if isinstance(event.data, Operated):
            found = Counted(span_of(event.data.particulars), datetime.fromisoformat(event.recorded_at).timestamp())
    return found
