"""A timeline as a picture: lanes against time, to scale but for marked folds; gaps hatched, races struck through.

The colours are the page's (the console's stylesheet); every mark says in words what it is, and leads to its
event or decision where the page has one. Calls that would lie on each other are told together.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tenure.projections.axis import Axis
from tenure.projections.svg import Canvas
from tenure.projections.timeline import Heard, Stretch, Timeline, span_ms
from tenure.projections.words import tame

LEFT, RIGHT, TOP = 92, 14, 30
LANE, BAR, FOLD = 34, 16, 34
CALL = 3
Links = Callable[[str, str], str]


def no_links(_kind: str, _key: str) -> str:
    """For a picture that stands alone."""
    return ""


def picture(life: Timeline, width: int = 980, links: Links = no_links) -> str:
    """The SVG, without a style of its own. `links` gives the address of an `event` or a `decision`, or empty text."""
    return _Picture(life, width, links).svg()


class _Picture:
    def __init__(self, life: Timeline, width: int, links: Links) -> None:
        self.life, self.links, self.width = life, links, width
        self.axis = Axis(life.times, LEFT, width - RIGHT, FOLD)
        lanes = 6
        self.bottom = TOP + lanes * LANE
        title, role = f"The life of {life.base_url or life.tenant}", "img" if links is no_links else "group"
        self.canvas = Canvas(width, self.bottom + 14, title, in_words(life), style="", role=role)

    def svg(self) -> str:
        self._grid()
        self._gaps()
        life = self.life
        self._lane(0, "events")
        for moment in life.events:
            link = self.links("event", str(moment.position))
            self._mark(0, moment.at, "tl-event", f"{moment.at}, position {moment.position}: {moment.what}", link)
        self._bars(1, "installed", life.installed, "tl-on")
        self._bars(2, "enabled", life.enabled, "tl-on")
        self._secrets(3)
        self._calls(4, "accepted", life.accepted, "tl-accepted")
        self._calls(5, "refused", life.refused, "tl-refused")
        self._races()
        return self.canvas.svg()

    def _y(self, lane: int) -> float:
        return TOP + lane * LANE + (LANE - BAR) / 2

    def _grid(self) -> None:
        for tick in self.axis.ticks(96):
            self.canvas.stroke(f"M{tick.x:.1f} {TOP} V{self.bottom}", "tl-grid")
            anchor = "end" if tick.x > self.width - 60 else "middle" if tick.x > LEFT + 60 else "start"
            self.canvas.text(round(tick.x, 1), TOP - 10, tick.words, "tl-tick", anchor)
        for piece in self.axis.pieces:
            if piece.folded:
                self.canvas.area(piece.left, TOP, FOLD, self.bottom - TOP, "tl-fold",
                                 f"folded: nothing for {span_ms(piece.until - piece.since)}")  # fmt: skip
                middle = (piece.left + piece.right) / 2
                self.canvas.text(round(middle, 1), self.bottom + 10, span_ms(piece.until - piece.since), "tl-small",
                                 "middle")  # fmt: skip

    def _lane(self, lane: int, title: str) -> None:
        self.canvas.text(8, self._y(lane) + 12, title, "tl-title")
        self.canvas.stroke(f"M{LEFT} {TOP + lane * LANE} H{self.width - RIGHT}", "tl-rule")

    def _bar(self, lane: int, one: Stretch, kind: str, words: str) -> float:
        left, right = self.axis.x(one.since), self.axis.x(one.until)
        link = self.links("event", str(one.position)) if one.position else ""
        self.canvas.area(left, self._y(lane), max(right - left, 2), BAR, kind, words, link)
        return right - left

    def _bars(self, lane: int, title: str, stretches: Sequence[Stretch], kind: str) -> None:
        self._lane(lane, title)
        for one in stretches:
            self._bar(lane, one, kind, f"{title} from {one.since} to {one.until}")

    def _secrets(self, lane: int) -> None:
        self._lane(lane, "secret")
        for number, one in enumerate(self.life.secrets, 1):
            words = f"secret {one.label} of position {one.position}, from {one.since} to {one.until}"
            width = self._bar(lane, one, f"tl-secret tl-{number % 2}", words)
            name = next((text for text in (f"{number}: {one.label[:8]}", str(number)) if len(text) * 7 + 8 < width), "")
            if name:
                self.canvas.text(round(self.axis.x(one.since) + 4, 1), self._y(lane) + 12, name, "tl-inside")

    def _mark(self, lane: int, at: str, kind: str, words: str, link: str) -> None:
        self.canvas.area(self.axis.x(at) - CALL / 2, self._y(lane), CALL, BAR, kind, words, link)

    def _calls(self, lane: int, title: str, calls: Sequence[Heard], kind: str) -> None:
        self._lane(lane, title)
        groups = list(_grouped(calls, self.axis))
        most = max((len(group) for group in groups), default=1)
        for group in groups:
            height = round(6 + (BAR + 6) * (len(group) / most if most > 1 else 0.5), 1)
            x, base = self.axis.x(group[0].at), self._y(lane) + BAR + 4
            link = self.links("decision", group[0].decision) if len(group) == 1 else ""
            self.canvas.area(x - CALL / 2, base - height, CALL, height, kind, _told(group), link)

    def _gaps(self) -> None:
        for gap in self.life.gaps:
            left, right = self.axis.x(gap.since), self.axis.x(gap.until)
            y = TOP + 4 * LANE
            self.canvas.area(left, y, right - left, 2 * LANE, "tl-gap", f"{gap.label}: {gap.since} to {gap.until}")
            if right - left > 60:
                self.canvas.text(round((left + right) / 2, 1), y + LANE + 4, "gap", "tl-small", "middle")

    def _races(self) -> None:
        for race in self.life.races:
            left, right = self.axis.x(race.since), self.axis.x(race.until)
            self.canvas.area(
                left - 2, TOP, max(right - left, 0) + 4, self.bottom - TOP, "tl-race", f"race: {race.label}"
            )


def _grouped(calls: Sequence[Heard], axis: Axis) -> Iterator[list[Heard]]:
    group: list[Heard] = []
    for call in sorted(calls, key=lambda one: one.at):
        if group and axis.x(call.at) - axis.x(group[0].at) >= CALL + 1:
            yield group
            group = []
        group.append(call)
    if group:
        yield group


def _told(group: Sequence[Heard]) -> str:
    if len(group) == 1:
        one = group[0]
        return f"{one.at}: {one.kind} answered {one.answered}{' ' if one.reason else ''}{one.reason}"
    counted = Counter(one.reason or one.kind for one in group)
    listed = ", ".join(f"{times} {name}" for name, times in counted.most_common(6))
    return f"{len(group)} calls, {group[0].at} to {group[-1].at}: {listed}"


def in_words(life: Timeline) -> str:
    """The picture for those who do not see it."""
    counted = (
        f"{len(life.events)} events", f"{len(life.secrets)} secrets", f"{len(life.accepted)} accepted calls",
        f"{len(life.refused)} refused calls", f"{len(life.gaps)} gaps", f"{len(life.races)} races",
    )  # fmt: skip
    return tame(f"From {life.since} to {life.until}: {', '.join(counted)}.")
