"""Walks over many decisions on either store: bounded steps, and nothing missed although the clock went back."""

from collections.abc import Callable

import pytest

from support.decision_stores import DecisionStore
from support.domain_support import stamp
from tenure.domain.decisions import Wanted
from tenure.store import decision_reads


def _many(kept: DecisionStore, count: int, clock: Callable[[int], int]) -> None:
    """So many accepted webhooks, each of its own; `clock` gives the second of the day that a number was recorded in."""
    kept.fill([
        (number, f"d-{number}", stamp(clock(number)), "webhook", "accepted", "", "", f"c-{number % 7}", "", "POST", "/",
         200, 1, 0, f"wh-{number}", "", "", "{}")
        for number in range(1, count + 1)
    ])  # fmt: skip


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("wanted", [
    Wanted(identifier="wh-60001"), Wanted(identifier="wh-1"), Wanted(identifier="none"), Wanted(kid="none"),
    Wanted(kind="webhook", since=stamp(59_990), until=stamp(60_010)), Wanted(kind="sign", since=stamp(100)),
], ids=str)  # fmt: skip
def test_what_no_index_leads_to_is_walked_in_bounded_steps(
    kept: DecisionStore, wanted: Wanted, newest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks at so many rows at most, and the walk by its cursors finds exactly what a search of all finds."""
    monkeypatch.setattr(decision_reads, "LOOKED_AT", 1000)
    _many(kept, 5000, lambda number: number * 12 + 3)
    reads = kept.reader()
    whole = [one.number for one in reads.page(wanted, limit=10_000, newest_first=newest_first)]
    found: list[int] = []
    after, steps = None, 0
    while steps == 0 or after is not None:
        page, after = reads.walk(wanted, after=after, limit=7, newest_first=newest_first)
        found += [one.number for one in page]
        steps += 1
    assert found == whole
    assert steps <= 7


@pytest.mark.parametrize("newest_first", [True, False])
def test_times_are_found_although_the_clock_went_back(kept: DecisionStore, newest_first: bool) -> None:
    """Rows of a time that came twice, because the clock was set back between, are all found."""
    _many(kept, 4000, lambda number: number if number <= 2000 else number - 1500)
    found = kept.reader().page(Wanted(since=stamp(1000), until=stamp(1200)), limit=9000, newest_first=newest_first)
    assert sorted(one.number for one in found) == [*range(1000, 1201), *range(2500, 2701)]
