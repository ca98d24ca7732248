"""A decision on its way into the log is taken once, and a webhook is taken by the app if the app says so."""

import threading

import pytest

from tenure.domain.decisions import WITHIN_MS, Decision, Entry, Fate, Outcome


def decision() -> Decision:
    """Any decision."""
    return Decision("d", "2026-01-01T00:00:00.000000Z", "page", "accepted", "", "", "c", "c", "GET", "/", 200, 1.0, 1)


def test_an_entry_is_taken_once() -> None:
    """The first who asks gets it; nobody after; it begins with its fate unknown and not withdrawn."""
    entry = Entry(decision(), ("c", "w1"))
    assert (entry.fate, entry.withdrawn, entry.claim) == (Fate.UNKNOWN, False, ("c", "w1"))
    assert Entry(decision()).claim is None
    assert [entry.take(), entry.take(), entry.take()] == [True, False, False]


def test_of_many_threads_one_takes_an_entry() -> None:
    """However many ask at one moment."""
    entry, gate, got = Entry(decision()), threading.Barrier(8), list[bool]()

    def ask() -> None:
        gate.wait()
        got.append(entry.take())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(got) == [False] * 7 + [True]


def test_an_entry_takes_nothing_else() -> None:
    """What is not a field of it cannot be put into it."""
    with pytest.raises(AttributeError):
        Entry(decision()).other = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "taken"), [(199, False), (200, True), (204, True), (299, True), (300, False), (500, False), (0, False)]
)
def test_only_a_2xx_is_taken(status: int, taken: bool) -> None:
    """The app's receiver has a webhook if it answered 2xx."""
    assert Outcome("d", "c", "w", status, 1.0).taken is taken


def test_the_bounds_of_the_counted_times() -> None:
    """Answers are counted within these milliseconds, in rising order: dashboards hold on to them."""
    assert WITHIN_MS == (1, 5, 25, 100, 250, 1000, 5000)
