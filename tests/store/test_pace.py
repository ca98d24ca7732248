"""How often the decision log's WAL may be cut."""

from tenure.store.pace import MOST_BYTES, QUICK_S, REST, Pace


def test_a_slow_checkpoint_rests() -> None:
    """Quick ones may come at once, a slow one only after two hundred times as long, or past the WAL's bound."""
    now = [0.0]

    def lasts(pace: Pace, seconds: float) -> None:
        with pace.measured():
            assert not pace.due(MOST_BYTES + 1), "one is under way"
            now[0] += seconds

    pace = Pace(lambda: now[0])
    assert pace.due(0)
    lasts(pace, QUICK_S / 2)
    assert pace.due(0)
    lasts(pace, 1.0)
    now[0] += REST - 1
    assert not pace.due(MOST_BYTES)
    assert pace.due(MOST_BYTES + 1)
    now[0] += 1
    assert pace.due(0)
