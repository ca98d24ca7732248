"""A tenant's life against time: lanes, gaps, races, the folded axis, and both drawings of it."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tenure.domain.decisions import Decision, Facts
from tenure.domain.events import Cause, Changed, Data, Event, EventType, Installed, Switched
from tenure.domain.times import stored
from tenure.projections.axis import MOST_FOLDS, Axis
from tenure.projections.case import Case
from tenure.projections.timeline import BEGINNING, Timeline, timeline
from tenure.projections.timeline_svg import picture
from tenure.projections.timeline_text import chart, rows
from tenure.projections.words import tame

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def at(seconds: float) -> str:
    """A stored time so long after the start."""
    return stored(START + timedelta(seconds=seconds))


def event(position: int, kind: EventType, seconds: float, secret: str = "", cause: Cause = Cause.FIRST) -> Event:
    """An event; with a secret it is an install."""
    data: Data = Installed("https://acme.atlassian.net", "sealed", secret) if secret else Switched()
    changed = Changed(cause, ("secret",)) if secret else None
    return Event(position, position, kind, "app", "acme", at(seconds), {"kind": "rs256"}, changed, data, "", "")


def call(seconds: float, reason: str = "", kind: str = "webhook", position: int = 1, **facts: int) -> Decision:
    """A call, refused if there is a reason."""
    verdict = "refused" if reason else "accepted"
    known = Facts(**facts)  # type: ignore[arg-type]
    return Decision(
        f"id-{seconds}", at(seconds), kind, verdict, reason, "", "acme", "acme", "POST", "/webhooks",
        401 if reason else 200, 1.0, position, known,
    )  # fmt: skip


HISTORY = (
    event(1, EventType.INSTALLED, 0, "aaaa"),
    event(2, EventType.ENABLED, 1),
    event(3, EventType.INSTALLED, 3600, "bbbb", Cause.ROTATION),
    event(4, EventType.UNINSTALLED, 90000),
)
CALLS = (
    *(call(60.0 * minute) for minute in range(2, 60)),
    call(3600.5, "secret_superseded", position=3),
    call(3700, position=3),
    call(90000.005, kind="disabled", position=4),
    call(90010, "tenant_uninstalled", position=4),
)


def life(history: tuple[Event, ...] = HISTORY, calls: tuple[Decision, ...] = CALLS, end: float = 90100) -> Timeline:
    """The timeline of a history."""
    return timeline(Case("acme", BEGINNING, at(end), None, history, calls))


def test_lanes_say_what_held_when() -> None:
    """Installed, enabled and each secret from the event that began it to the one that ended it."""
    found = life()
    assert [(one.since, one.until, one.position) for one in found.installed] == [(at(0), at(90000), 1)]
    assert [(one.since, one.until) for one in found.enabled] == [(at(1), at(90000))]
    secrets = [(one.label, one.since, one.until) for one in found.secrets]
    assert secrets == [("aaaa", at(0), at(3600)), ("bbbb", at(3600), at(90100))]
    assert (len(found.accepted), len(found.refused), len(found.events)) == (60, 2, 4)


def test_gaps_and_races_are_named() -> None:
    """A day without a word is a gap; the old secret after a rotation and a late callback are races."""
    found = life()
    assert [(gap.since, gap.until) for gap in found.gaps] == [(at(3700), at(90000))]
    assert found.gaps[0].label == "nothing heard for 24 h"
    told = " / ".join(race.label for race in found.races)
    assert "position 1 up to 500 ms after it was replaced" in told
    assert "disabled came after uninstalled" in told
    assert len(found.races) == 2


def test_parallel_installs_are_a_race() -> None:
    """Two installs within two seconds with different secrets are named; the same secret sent twice is none."""
    twice = (HISTORY[0], event(2, EventType.INSTALLED, 0.3, "cccc", Cause.ROTATION))
    assert "300 ms apart" in life(twice, (), 10).races[0].label
    assert life((HISTORY[0], event(2, EventType.INSTALLED, 0.3, "aaaa")), (), 10).races == ()


def test_a_quiet_healthy_life_has_neither() -> None:
    """Calls that come evenly leave no gap, and no race."""
    calls = tuple(call(60.0 * minute) for minute in range(1, 100))
    found = life(HISTORY[:2], calls, 6000)
    assert (found.gaps, found.races) == ((), ())


def test_a_part_of_it() -> None:
    """From a time on, what was so before is cut to it and still told with its event."""
    case = Case("acme", at(4000), at(90100), None, HISTORY, CALLS)
    found = timeline(case)
    assert [(one.since, one.position) for one in found.installed] == [(at(4000), 1)]
    assert [one.label for one in found.secrets] == ["bbbb"]
    assert [moment.position for moment in found.events] == [4]


@given(st.lists(st.floats(0, 1e8), min_size=1, max_size=60))
def test_the_axis_keeps_the_order(seconds: list[float]) -> None:
    """Whatever is folded, later stands never left of earlier, all lies between the ends, and folds are few."""
    times = sorted(at(one) for one in seconds)
    axis = Axis(times, 10, 500, 20)
    places = [axis.x(time) for time in times]
    assert places == sorted(places)
    assert all(9.99 <= place <= 500.01 for place in places)
    assert len([piece for piece in axis.pieces if piece.folded]) <= MOST_FOLDS
    ticks = axis.ticks(90)
    assert [tick.x for tick in ticks] == sorted(tick.x for tick in ticks)


def test_the_picture_is_xml_with_words_for_everything() -> None:
    """The SVG is well-formed, has a title and a description, and each mark says what it is."""
    root = ET.fromstring(picture(life(), links=lambda kind, key: f"/{kind}/{key}"))
    space = {"s": "http://www.w3.org/2000/svg"}
    assert "acme" in str(root.findtext("s:title", namespaces=space))
    assert "2 races" in str(root.findtext("s:desc", namespaces=space))
    marks = root.findall(".//s:rect", space)[1:]
    assert all(mark.findtext("s:title", namespaces=space) for mark in marks)
    assert {link.get("href") for link in root.findall(".//s:a", space)} >= {"/event/4", "/decision/id-3600.5"}


def test_the_text_has_the_lanes() -> None:
    """On a terminal: a line for each lane, no wider than asked for, and the moments in words by time."""
    lines = chart(life(), 100)
    assert [line.split()[0] for line in lines[1:7]] == [
        "events",
        "installed",
        "enabled",
        "secret",
        "accepted",
        "refused",
    ]
    assert max(map(len, lines)) <= 104
    assert re.search("1+2+", lines[4])
    told = rows(life())
    assert [row["at"] for row in told] == sorted(row["at"] for row in told)
    assert any(row["what"].startswith("gap: ") for row in told)


def test_a_life_of_one_moment_is_drawn() -> None:
    """One event and nothing else: both drawings hold."""
    found = life(HISTORY[:1], (), 0)
    assert picture(found)
    assert chart(found)


@given(st.text(max_size=60))
def test_text_is_tamed(text: str) -> None:
    """What is shown has no control or direction character, is not longer, and taming it again changes nothing."""
    shown = tame(text)
    assert not set(shown) & {chr(code) for code in (*range(32), 0x7F, 0x202A, 0x202E, 0x2066, 0x2028)}
    assert len(shown) <= len(text)
    assert tame(shown) == shown
