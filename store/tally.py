"""Exact counters of decisions, written once a batch in the batch's own transaction.

`totals` only grow, as a metric must; `counts` are by hour and proved tenant, for questions. A decision whose answer
turned out another than was written is counted as `withdrawn` where it stood and anew where it belongs.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from tenure.domain.decisions import WITHIN_MS, Decision

_TOTALS = ("counted", "kept", "withdrawn", "dropped", "took_ms", *(f"within_{ms}" for ms in WITHIN_MS))
_ADD_TOTALS = (
    f"INSERT INTO totals VALUES (?, ?, ?, {', '.join('?' * len(_TOTALS))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _TOTALS)
)
_ADD_COUNTS = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "counted = counted + excluded.counted, kept = kept + excluded.kept"
)
_ADD_UPSTREAM = "INSERT INTO upstream VALUES (?, ?) ON CONFLICT DO UPDATE SET answers = answers + excluded.answers"

Execute = Callable[..., Any]


class Tally:
    """What one batch adds to the counters."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str, str], list[float]] = {}
        self._counts: dict[tuple[str, str, str, str, str], list[int]] = {}
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
        """A decision that was answered otherwise than it was written."""
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

    def write(self, execute: Execute) -> None:
        """Adds everything to the file, in the open transaction."""
        for key, total in self._totals.items():
            numbers = [int(value) for value in total]
            execute(_ADD_TOTALS, (*key, *numbers[:4], total[4], *numbers[5:]))
        for hour, count in self._counts.items():
            execute(_ADD_COUNTS, (*hour, *count))
        for status in self._upstream.items():
            execute(_ADD_UPSTREAM, status)

    def _total(self, kind: str, verdict: str, reason: str) -> list[float]:
        return self._totals.setdefault((kind, verdict, reason), [0] * len(_TOTALS))

    def _count(self, decision: Decision, counted: int, kept: int) -> None:
        group = (decision.at[:13], decision.client_key, decision.kind, decision.verdict, decision.reason)
        self._add(*group, counted, kept)

    def _add(self, hour: str, client_key: str, kind: str, verdict: str, reason: str, counted: int, kept: int) -> None:
        count = self._counts.setdefault((hour, client_key, kind, verdict, reason), [0, 0])
        count[0] += counted
        count[1] += kept
