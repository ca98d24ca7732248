"""What a comparison is: two contestants measured in turn, A B A B, inside one run, and the ratios of neighbours.

The machine's speed drifts; a ratio of two samples taken one after the other does not care. The median of these ratios
is the figure, the least and the greatest are its spread. No figure of another run or machine enters.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Sampler = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure has to reach: at least `limit` (`least`), or at most; `goal` is what we would like."""

    limit: float
    goal: float | None = None
    least: bool = True

    def met(self, figure: float) -> bool:
        """Whether the figure is within the limit."""
        return figure >= self.limit if self.least else figure <= self.limit


@dataclass(slots=True)
class Figure:
    """One line of the table. `samples` are by contestant, in `unit`; `spread` the least and greatest single figure."""

    name: str
    unit: str
    figure: float
    spread: tuple[float, float]
    bound: Bound | None
    samples: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kind: str = "ratio"

    @property
    def verdict(self) -> str:
        """met, missed, or told (nothing is asked of it)."""
        if self.bound is None:
            return "told"
        return "met" if self.bound.met(self.figure) else "missed"

    def as_json(self) -> dict[str, Any]:
        """All of it, for latest.json."""
        return {**asdict(self), "verdict": self.verdict}


def in_turn(contestants: Mapping[str, Sampler], rounds: int) -> dict[str, list[float]]:
    """`rounds` samples of each contestant, taken in turn; every other round starts from the far end."""
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for number in range(rounds):
        for name in order if number % 2 == 0 else reversed(order):
            samples[name].append(contestants[name]())
    return samples


def ratio(name: str, unit: str, ours: Sequence[float], theirs: Sequence[float], bound: Bound | None,
          *notes: str, labels: tuple[str, str] = ("tenure", "peer")) -> Figure:  # fmt: skip
    """The median of ours / theirs over neighbouring samples."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Figure(
        name, unit, statistics.median(ratios), (min(ratios), max(ratios)), bound,
        {labels[0]: list(ours), labels[1]: list(theirs)}, list(notes),
    )  # fmt: skip


def difference(name: str, unit: str, ours: Sequence[float], theirs: Sequence[float], bound: Bound | None,
               *notes: str, labels: tuple[str, str] = ("tenure", "peer")) -> Figure:  # fmt: skip
    """The median of ours - theirs over neighbouring samples, in the unit itself."""
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    return Figure(
        name, unit, statistics.median(gaps), (min(gaps), max(gaps)), bound,
        {labels[0]: list(ours), labels[1]: list(theirs)}, list(notes), "difference",
    )  # fmt: skip


def rate(work: Callable[[int], object], count: int) -> float:
    """Calls a second of `work`, which is told how many to make."""
    start = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - start)
