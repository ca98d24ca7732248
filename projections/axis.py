"""Time along a line: to scale, but for long stretches in which nothing stands. Those are folded to a fixed width.

A life of months in which things happened within seconds, and days of silence between, is to be seen at once. So an
empty stretch longer than a quarter of the rest is folded, again and again, until none is or eight are; whoever draws
the line marks the folds and says how long they are.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

MOST_FOLDS = 8
SHARE = 4.0
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200,
          14400, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time from `since` to `until` (Unix seconds) and where it lies on the line; folded or to scale."""

    since: float
    until: float
    left: float
    right: float
    folded: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the line, with its words; `day` if these name a day or a year."""

    x: float
    words: str
    day: bool = False


class Axis:
    """Places stored times between `left` and `right`. `times` are sorted: where something stands, first and last."""

    def __init__(self, times: Sequence[str], left: float, right: float, fold_width: float) -> None:
        points = sorted({seconds_of(time) for time in times})
        if len(points) < 2:
            points = [points[0] - 0.5, points[0], points[0] + 0.5]
        folds = _folds(points)
        scaled = points[-1] - points[0] - sum(until - since for since, until in folds)
        room = right - left - fold_width * len(folds)
        self.pieces: list[Piece] = []
        x = left
        edges = sorted({points[0], points[-1], *(edge for fold in folds for edge in fold)})
        for since, until in pairwise(edges):
            folded = (since, until) in folds
            width = fold_width if folded else room * (until - since) / scaled
            self.pieces.append(Piece(since, until, x, x + width, folded))
            x += width
        self._starts = [piece.since for piece in self.pieces]
        self.scaled = scaled
        self.room = room

    def x(self, time: str) -> float:
        """Where a stored time lies; what is outside lies at the end."""
        return self.x_of(seconds_of(time))

    def x_of(self, seconds: float) -> float:
        """The same for Unix seconds."""
        piece = self.pieces[max(bisect_right(self._starts, seconds) - 1, 0)]
        share = (seconds - piece.since) / (piece.until - piece.since)
        return piece.left + (piece.right - piece.left) * min(max(share, 0.0), 1.0)

    def ticks(self, distance: float) -> list[Tick]:
        """Marks at round times, at least so far from each other; none within a fold."""
        wanted = self.scaled * distance / self.room
        step = next((step for step in _STEPS if step >= wanted), _STEPS[-1])
        found: list[Tick] = []
        last, day = float("-inf"), ""
        for piece in self.pieces:
            if piece.folded:
                continue
            count = int(piece.since / step) + (piece.since % step > 0)
            while count * step <= piece.until:
                x, today = self.x_of(count * step), _utc(count * step).strftime("%Y-%m-%d")
                # the words of a day are longer
                if x - last >= distance * (1.75 if found and found[-1].day else 1):
                    new_day = today != day
                    found.append(Tick(x, _words(count * step, step, today if new_day else ""), new_day))
                    last, day = x, today
                count += 1
        return found or [Tick(self.pieces[0].left, _words(self.pieces[0].since, 1, "day"), True)]


def _folds(points: Sequence[float]) -> set[tuple[float, float]]:
    empty = sorted(pairwise(points), key=lambda pair: pair[0] - pair[1])
    rest, folds = points[-1] - points[0], set()
    for since, until in empty[: min(MOST_FOLDS, len(empty) - 1)]:
        if until - since <= rest / SHARE:
            break
        folds.add((since, until))
        rest -= until - since
    return folds


def seconds_of(time: str) -> float:
    """Unix seconds of a stored time."""
    return (datetime.fromisoformat(time) - _EPOCH) / timedelta(seconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _utc(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=round(seconds, 3))


def _words(seconds: float, step: float, day: str) -> str:
    when = _utc(seconds)
    if step >= 86400:
        return when.strftime("%Y-%m-%d")
    text = when.strftime("%H:%M" if step >= 60 else "%H:%M:%S")
    if step < 1:
        text += f".{when.microsecond // 1000:03}"
    return f"{when:%Y-%m-%d} {text}" if day else text
