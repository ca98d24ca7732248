"""Exact counters of decisions, written once a batch in the batch's own transaction.

`totals` only grow, as a metric must; `counts` are by hour and proved tenant, for questions, `hours` the same for all
tenants together. A decision whose answer turned out another than was written is counted as `withdrawn` where it stood
and anew where it belongs.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tenure.domain.decisions import WITHIN_MS, Decision

Execute = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Summed:
    """A table of counters: what they are of, and the columns that are added to."""

    name: str
    key: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in the table's order."""
        return (*self.key, *self.added)

    def adding(self, rows: str) -> str:
        """The statement that adds rows, which are VALUES or a SELECT."""
        sums = ", ".join(f"{name} = {self.name}.{name} + excluded.{name}" for name in self.added)
        return f"INSERT INTO {self.name} {rows} ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {sums}"


_GROUP = ("kind", "verdict", "reason")
TOTALS = Summed(
    "totals", _GROUP, ("counted", "kept", "withdrawn", "dropped", "took_ms", *(f"within_{ms}" for ms in WITHIN_MS))
)
COUNTS = Summed("counts", ("hour", "client_key", *_GROUP), ("counted", "kept"))
HOURS = Summed("hours", ("hour", *_GROUP), ("counted", "kept"))
UPSTREAM = Summed("upstream", ("status",), ("answers",))


class Tally:
    """What one batch adds to the counters."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, ...], list[float]] = {}
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._upstream: dict[int, int] = {}

    def add(self, decision: Decision, *, kept: bool) -> None:
        """One decision, as it is written."""
        total = self._total(decision.kind, decision.verdict, decision.reason)
        total[0] += 1
        total[1] += kept
        total[4] += decision.took_ms
        slot = bisect_left(WITHIN_MS, decision.took_ms)
        if slot < len(WITHIN_MS):
            total[5 + slot] += 1
        self._count(decision, 1, int(kept))

    def amend(self, before: Decision, after: Decision, *, kept: bool) -> None:
        """A decision that was answered otherwise than it was written; `kept`: its row says so, too."""
        self._total(before.kind, before.verdict, before.reason)[2] += 1
        self._count(before, -1, -int(kept))
        total = self._total(after.kind, after.verdict, after.reason)
        total[0] += 1
        total[1] += kept
        self._count(after, 1, int(kept))

    def drop(self, kind: str, hour: str, times: int) -> None:
        """Decisions that were answered `unrecordable` and are nowhere as rows."""
        total = self._total(kind, "refused", "unrecordable")
        total[0] += times
        total[3] += times
        self._add(hour, "", kind, "refused", "unrecordable", times, 0)

    def answered(self, status: int) -> None:
        """An answer of the app's own receiver."""
        self._upstream[status] = self._upstream.get(status, 0) + 1

    def sums(self) -> Iterator[tuple[Summed, list[tuple[Any, ...]]]]:
        """The rows to be added, table by table; tables without any are left out."""
        totals = [(*key, *map(int, total[:4]), total[4], *map(int, total[5:])) for key, total in self._totals.items()]
        counts = [(*key, *count) for key, count in self._counts.items()]
        for table, rows in (
            (TOTALS, totals), (COUNTS, counts), (HOURS, self._hours()), (UPSTREAM, list(self._upstream.items())),
        ):  # fmt: skip
            if rows:
                yield table, rows

    def _hours(self) -> list[tuple[Any, ...]]:
        found: dict[tuple[str, ...], list[int]] = {}
        for (hour, _, *group), count in self._counts.items():
            sums = found.setdefault((hour, *group), [0, 0])
            sums[0] += count[0]
            sums[1] += count[1]
        return [(*key, *count) for key, count in found.items()]

    def _total(self, kind: str, verdict: str, reason: str) -> list[float]:
        return self._totals.setdefault((kind, verdict, reason), [0] * len(TOTALS.added))

    def _count(self, decision: Decision, counted: int, kept: int) -> None:
        group = (decision.at[:13], decision.client_key, decision.kind, decision.verdict, decision.reason)
        self._add(*group, counted, kept)

    def _add(self, hour: str, client_key: str, kind: str, verdict: str, reason: str, counted: int, kept: int) -> None:
        count = self._counts.setdefault((hour, client_key, kind, verdict, reason), [0, 0])
        count[0] += counted
        count[1] += kept
