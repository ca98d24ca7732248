"""The one form in which times are stored: UTC, microseconds, of one width, so that text order is time order."""

from datetime import UTC, datetime
from functools import lru_cache


def stored(when: datetime) -> str:
    """The text of a time with zone."""
    # the zone is written as Z; strftime takes ten times as long
    return f"{when.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def stored_at(seconds: float) -> str:
    """The text of Unix seconds."""
    whole, fraction = divmod(seconds, 1)
    return f"{_second(int(whole))}.{int(fraction * 1_000_000):06}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    # this is on the path of every check, and most checks fall into a second that was just written
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
