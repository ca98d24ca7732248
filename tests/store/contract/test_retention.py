"""Retention: what is old or too much goes, what is young stays, and neither is taken for tampering."""

import time

import pytest

from support.decided import decision, entries, ids
from support.decision_stores import DecisionStore
from tenure.domain.decisions import Amended, Count, Entry, Facts, Outcome, Wanted
from tenure.domain.times import stored_at
from tenure.store import room
from tenure.store.decision_writer import Decisions


def test_old_decisions_go(kept: DecisionStore, log: Decisions) -> None:
    """Past their days decisions and their hours go; the totals stay; numbers are never given twice."""
    log.record(entries(decision(1, at=stored_at(time.time() - 3 * 86400)), decision(2, at=stored_at(time.time()))))
    kept.swept(days=1)
    assert ids(log) == [2]
    assert log.total() == Count("", 1, 1)
    assert sum(row["counted"] for row in log.totals()) == 2
    assert log.page()[0].number == 2


@pytest.mark.parametrize("quota", [1 << 30, 1])
def test_what_retention_removed_is_no_tampering(kept: DecisionStore, log: Decisions, quota: int) -> None:
    """Retention may take every decision of a verdict, or all there are: by age, or for want of room."""
    old = stored_at(time.time() - 3 * 86400)
    log.record(entries(*(decision(n, at=old, reason="expired" if n % 2 else "") for n in range(1, 9))))
    digests = kept.digests()
    span = digests.span(0, digests.last_number())
    assert (span.accepted, span.refused) == (4, 4)
    kept.swept(days=1 if quota > 1 else 3650, quota=quota)
    assert ids(log) == []
    assert digests.problem(span) == ""


def test_what_was_not_due_and_is_gone_shows(kept: DecisionStore, log: Decisions) -> None:
    """Refusals deleted by hand show: the oldest, all of them, those behind what retention removed; so does a note of
    retention that goes past a decision still there, or past the last that ever was.
    """
    days = [-3.0, -3.0, -0.2, -0.1, -0.1]
    log.record(entries(*(decision(n, at=stored_at(time.time() + day * 86400), reason="expired")
                         for n, day in enumerate(days, 1))))  # fmt: skip
    digests = kept.digests()
    first, second = digests.span(0, 2), digests.span(2, 5)
    kept.foreign("DELETE FROM decisions WHERE number = 1")
    assert "1 refused decisions" in digests.problem(first)
    kept.swept(days=1)
    assert (digests.problem(first), digests.problem(second)) == ("", "")
    kept.foreign("DELETE FROM decisions WHERE number IN (3, 4)")
    assert "1 refused decisions" in digests.problem(second)
    kept.foreign("UPDATE let_go SET until = 5")
    assert "1 refused decisions" in digests.problem(second)
    kept.foreign("DELETE FROM decisions")
    kept.foreign("UPDATE let_go SET until = 6")
    assert "0 refused decisions" in digests.problem(second)


def test_a_wrong_clock_removes_nothing_that_is_young(kept: DecisionStore, log: Decisions) -> None:
    """A decision of a time before its days goes no sooner than those committed before it, one of a time to come no
    later than those after it; by a clock that is not believed none goes for its age.
    """
    days = [-0.5, -30, 400, -0.2]
    log.record(entries(*(decision(n, at=stored_at(time.time() + day * 86400)) for n, day in enumerate(days, 1))))
    kept.swept(days=1)
    assert ids(log) == [4, 3, 2, 1]
    kept.foreign("UPDATE decisions SET at = ? WHERE number = 1", (stored_at(time.time() - 2 * 86400),))
    kept.swept(days=1, believed=lambda: False)
    assert ids(log) == [4, 3, 2, 1]
    kept.swept(days=1)
    assert ids(log) == [4]


def test_past_the_quota_refusals_go_first(kept: DecisionStore, log: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over its bytes the log loses the oldest refusals, then the oldest of all, says so, and alarms once at 80 %."""
    monkeypatch.setattr(room, "BURST", 1e6)
    monkeypatch.setattr(room, "BURST_ALL", 1e6)
    at = stored_at(time.time())
    many = [
        decision(n, at=at, reason="expired" if n % 2 else "", facts=Facts(user_agent="u" * 200)) for n in range(4000)
    ]
    log.record(entries(*many))
    used, _ = log.size()
    found, alarms = kept.sweeper(quota=int(used * 0.6))
    found.sweep()
    found.sweep()
    assert log.size()[0] <= used * 0.6
    assert len(alarms) == 1
    total, accepted = log.total(), log.total(Wanted(verdict="accepted"))
    assert (total.counted, accepted.counted) == (4000, 2000)
    assert total.kept == len(ids(log, limit=5000))
    assert accepted.kept > total.kept - accepted.kept


def test_a_clock_set_back_is_no_tampering(kept: DecisionStore, log: Decisions) -> None:
    """A span is of numbers: decisions of a clock set back by an hour, whose ids sort among older ones, change nothing
    of what was counted; one deleted does, what forgetting takes does not.
    """
    facts = Facts(account="a-7", address="10.0.0.4", user_agent="\u00e4gent", qsh="q")
    digests = kept.digests()
    log.record(entries(*(decision(n, facts=facts) for n in range(10, 20))))
    first = digests.span(0, digests.last_number())
    log.record(entries(*(decision(n, facts=facts) for n in range(5, 10))))
    second = digests.span(first.until, digests.last_number())
    assert (first.count, second.count) == (10, 5)
    assert (digests.problem(first), digests.problem(second)) == ("", "")
    assert log.forget("a") == 15
    assert log.clean()
    assert (digests.problem(first), digests.problem(second)) == ("", "")
    kept.foreign("DELETE FROM decisions WHERE number = 3")
    assert "9 accepted decisions" in digests.problem(first)


def test_what_the_log_vouches_for_is_not_changed_by_an_answer_that_failed_late(
    kept: DecisionStore, log: Decisions
) -> None:
    """An answer that fails, or comes, after its decision was counted corrects the counters and not the row: that would
    be told as tampering. One that fails before changes the row, too.
    """
    first, second = Entry(decision(1)), Entry(decision(2))
    log.record([first])
    digests = kept.digests()
    log.seal(digests.last_number())
    span = digests.span(0, digests.last_number())
    log.record([second])
    late = Outcome("d000001", "a", "", 502, 9.0)
    log.record([Amended(first, "unexpected", 500), Amended(second, "unexpected", 500), late])
    assert digests.problem(span) == ""
    assert [stored.decision.verdict for stored in log.page()] == ["refused", "accepted"]
    assert log.counts("reason") == [Count("unexpected", 2, 1)]
    assert {row["reason"]: row["withdrawn"] for row in log.totals()} == {"": 2, "unexpected": 0}


def test_no_decision_is_refused_afterwards_where_retention_let_the_refused_go(
    kept: DecisionStore, log: Decisions
) -> None:
    """An answer that fails when the refused around it are gone leaves the row: a refusal below retention's note would
    be told as put there by somebody else.
    """
    entry = Entry(decision(1))
    log.record([entry, *entries(decision(2, reason="expired"), decision(3))])
    digests = kept.digests()
    span = digests.span(0, 3)
    kept.foreign("DELETE FROM decisions WHERE number = 2")
    kept.foreign("INSERT INTO let_go VALUES ('refused', 2)")
    log.record([Amended(entry, "unexpected", 500)])
    assert digests.problem(span) == ""
    assert ids(log, Wanted(verdict="accepted")) == [3, 1]
