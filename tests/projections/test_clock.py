"""Whether a clock may be believed, by what the log bears."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.domain.times import stored_at
from tenure.operators import note
from tenure.projections.clock import DAY_S, ClockWatch
from tenure.projections.security_context import SecurityContextProjector, schema
from tenure.store.sqlite import SqliteLog, open_log

BEGAN = 1_800_000_000.0


class Clocks:
    """A clock that is set, and one that only counts."""

    def __init__(self) -> None:
        self.now, self.steady = BEGAN, 0.0

    def passes(self, days: float) -> None:
        self.now += days * DAY_S
        self.steady += days * DAY_S

    def jumps(self, days: float) -> None:
        self.now += days * DAY_S


@pytest.fixture
def clocks() -> Clocks:
    """Both at their beginning."""
    return Clocks()


@pytest.fixture
def log(tmp_path: Path, clocks: Clocks) -> Iterator[SqliteLog]:
    """A log that is written by the clock that is set."""
    open_log(tmp_path / "events.db", [schema()])
    opened = SqliteLog(tmp_path / "events.db", [SecurityContextProjector()], clock=lambda: stored_at(clocks.now))
    yield opened
    opened.close()


def watch(log: SqliteLog, clocks: Clocks) -> ClockWatch:
    """A process that begins now."""
    return ClockWatch(log, lambda: clocks.now, lambda: clocks.steady)


def test_a_log_that_goes_on_is_believed(log: SqliteLog, clocks: Clocks) -> None:
    """An empty log, a young one, and one with an event every few days: the clock is believed."""
    found = watch(log, clocks)
    assert found.problem() == ""
    for _ in range(10):
        note(log, "app", "started")
        clocks.passes(3)
        assert found.problem() == watch(log, clocks).problem() == ""


def test_a_jump_ahead_is_not_believed_for_seven_days(log: SqliteLog, clocks: Clocks) -> None:
    """A clock 90 days ahead is not believed, whatever is recorded under it and however often the process begins anew,
    until the log has gone on for seven days.
    """
    note(log, "app", "started")
    running = watch(log, clocks)
    clocks.jumps(90)
    assert "for the 90 days before" in running.problem()
    for _ in range(7):
        note(log, "app", "started")
        clocks.passes(0.99)
        assert running.problem() != ""
        assert watch(log, clocks).problem() != ""
    clocks.passes(1)
    assert watch(log, clocks).problem() == ""


def test_a_clock_that_was_put_right_is_believed(log: SqliteLog, clocks: Clocks) -> None:
    """What was recorded under a clock far ahead is no reason against the right one."""
    note(log, "app", "started")
    clocks.jumps(90)
    note(log, "app", "started")
    clocks.jumps(-90)
    clocks.passes(3)
    assert watch(log, clocks).problem() == ""


def test_a_service_nobody_calls_is_believed_by_its_running(log: SqliteLog, clocks: Clocks) -> None:
    """With nothing recorded for ten days a process that ran through them is believed, one that begins is not; a jump
    on the way makes it wait anew.
    """
    note(log, "app", "started")
    running = watch(log, clocks)
    for _ in range(10):
        clocks.passes(1)
        assert running.problem() == ""
    assert watch(log, clocks).problem() != ""
    clocks.jumps(30)
    assert running.problem() != ""
    clocks.passes(7)
    assert running.problem() == ""
