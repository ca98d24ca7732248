"""How an audit question is asked, the same on the command line and over HTTP: filters and times by these names.

A page goes on after a key that never moves (keyset): the position of an event, the place of a decision in its log, the
client key of a tenant. So a walk neither repeats nor skips while appends go on, and no cursor is more than a value
that is looked up as a parameter.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STORED = "%Y-%m-%dT%H:%M:%S.%fZ"
MAX_POSITION = (1 << 63) - 1

_AGE = re.compile(r"([0-9]{1,9})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None: any. `since` and `until` are stored times, both included; `kid` of the install key."""

    client_key: str | None = None
    type: str | None = None
    since: str | None = None
    until: str | None = None
    kid: str | None = None


@dataclass(frozen=True, slots=True)
class StatusCount:
    """So many decisions of a kind that were answered with a status, for a reason (empty: accepted)."""

    kind: str
    reason: str
    status: int
    times: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody without a proof tried, so many times, lastly at `last`."""

    kind: str
    reason: str
    path: str
    kid: str
    user_agent: str
    count: int
    last: str


def stored_time(text: str, now: datetime) -> str:
    """A time as it is stored, from ISO 8601 with zone or an age such as 12h, 28d; ValueError with a sentence."""
    age = _AGE.match(text)
    try:
        when = now - timedelta(**{_UNITS[age[2]]: int(age[1])}) if age else datetime.fromisoformat(text)
        stored = when.astimezone(UTC).strftime(STORED)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]} is no time: write 2026-01-31T08:00:00Z or an age such as 12h, 28d") from None
    if when.tzinfo is None:
        raise ValueError(f"{text[:40]} lacks a time zone: add Z or an offset such as +02:00")
    # strftime does not pad years before 1000, and text order is to be time order
    return stored.zfill(27)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one stored time to another; negative if the clock went back."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
