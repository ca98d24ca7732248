"""The time as the store writes it."""

from datetime import UTC, datetime

from tenure.domain.times import stored


def utc_now() -> str:
    """The time as it is stored: UTC, microseconds, of one width so that text order is time order."""
    return stored(datetime.now(UTC))
