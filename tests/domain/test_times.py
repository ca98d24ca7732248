"""The one form of stored times, and how a time is asked for."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.domain.questions import seconds_between, stored_time
from tenure.domain.times import stored, stored_at

NOW = datetime(2026, 1, 31, 12, 30, 15, 250_000, tzinfo=UTC)


def test_a_stored_time_is_utc_with_microseconds() -> None:
    """One width, UTC, a Z at the end, whatever zone it is given in."""
    assert stored(NOW) == "2026-01-31T12:30:15.250000Z"
    assert stored(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-01-31T12:30:15.250000Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_800_000_000, "2027-01-15T08:00:00.000000Z"),
        (1_800_000_000.5, "2027-01-15T08:00:00.500000Z"),
        (1_800_000_001.000244140625, "2027-01-15T08:00:01.000244Z"),
        (59.9999999, "1970-01-01T00:00:59.999999Z"),
    ],
)
def test_unix_seconds_are_stored_in_the_same_form(seconds: float, text: str) -> None:
    """Whole seconds and the microseconds behind them, cut, never rounded up into the next second."""
    assert stored_at(seconds) == text


@given(st.integers(0, 4_000_000_000_000_000))
def test_the_order_of_texts_is_the_order_of_times(micros: int) -> None:
    """A later time has a later text, and reads back as the time it was made of."""
    earlier, later = stored_at(micros / 1_000_000), stored_at(micros / 1_000_000 + 0.001)
    assert earlier < later
    assert abs(datetime.fromisoformat(earlier).timestamp() - micros / 1_000_000) < 2e-6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", "2026-01-31T12:29:45.250000Z"),
        ("15m", "2026-01-31T12:15:15.250000Z"),
        ("12h", "2026-01-31T00:30:15.250000Z"),
        ("28d", "2026-01-03T12:30:15.250000Z"),
        ("2w", "2026-01-17T12:30:15.250000Z"),
        ("0s", "2026-01-31T12:30:15.250000Z"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00.000000Z"),
        ("2026-01-31T08:00:00.123456+02:00", "2026-01-31T06:00:00.123456Z"),
        ("0999-01-31T08:00:00Z", "0999-01-31T08:00:00.000000Z"),
    ],
)
def test_a_time_is_asked_for_by_date_or_by_age(text: str, expected: str) -> None:
    """ISO 8601 with a zone, or so many seconds, minutes, hours, days or weeks ago."""
    assert stored_time(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "12", "12y", "h12", "1.5h", "-1h",
     "12h ", "12h\n", "x12h", "9999999999s", "999999999w", "2026-13-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_said(text: str) -> None:
    """Any other text is no time, and the sentence says how one is written and quotes no more than 40 characters."""
    with pytest.raises(ValueError, match=r"is no time: write 2026-01-31T08:00:00Z or an age") as caught:
        stored_time(text, NOW)
    assert str(caught.value).startswith(f"{text} is no time")
    with pytest.raises(ValueError, match=rf"^{'x' * 40} is no time"):
        stored_time("x" * 41, NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    """A date that says no zone is nobody's: it is asked for again, not guessed."""
    text = "2026-01-31T08:00:00.000000000000000000000000"[:26]
    with pytest.raises(ValueError, match=rf"^{text} lacks a time zone: add Z or an offset"):
        stored_time(text, NOW)
    with pytest.raises(ValueError, match=rf"^{text} lacks a time zone"):
        stored_time(text, NOW)


def test_seconds_between_two_stored_times() -> None:
    """Positive if the later comes later, negative if the clock went back."""
    assert seconds_between("2026-01-31T08:00:00.000000Z", "2026-01-31T08:01:30.500000Z") == 90.5
    assert seconds_between("2026-01-31T08:01:30.500000Z", "2026-01-31T08:00:00.000000Z") == -90.5
