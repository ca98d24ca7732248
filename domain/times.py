"""The one form in which times are stored: UTC, microseconds, of one width, so that text order is time order."""

from datetime import UTC, datetime

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def stored(when: datetime) -> str:
    """The text of a time with zone."""
    return when.astimezone(UTC).strftime(_FORM)


def stored_at(seconds: float) -> str:
    """The text of Unix seconds."""
    # isoformat is four times faster than strftime, and this is on the path of every check
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:26] + "Z"
