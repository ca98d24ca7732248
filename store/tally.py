"""Exact counters of decisions, written once a batch in the batch's own transaction.

`totals` only grow, as a metric must; `counts` are by hour and proved tenant, for questions. A decision whose answer
turned out another than was written is counted as `withdrawn` where it stood and anew where it belongs.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import Any

from tenure.domain.decisions import WITHIN_MS, Decision

_TOTALS = ("counted", "kept", "withdrawn", "dropped", "took_ms", *(f"within_{ms}" for ms in WITHIN_MS))
_WIDTHS = {"totals": 3 + len(_TOTALS), "counts": 7, "upstream": 2}
_ADDED = {"totals": _TOTALS, "counts": ("counted", "kept"), "upstream": ("answers",)}

Execute = Callable[..., Any]


@lru_cache(maxsize=256)
def _adding(table: str, rows: int) -> str:
    row = f"({', '.join('?' * _WIDTHS[table])})"
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED[table])
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)} ON CONFLICT DO UPDATE SET {added}"


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
        totals = [(*key, *map(int, total[:4]), total[4], *map(int, total[5:])) for key, total in self._totals.items()]
        counts = [(*group, *count) for group, count in self._counts.items()]
        for table, rows in (("totals", totals), ("counts", counts), ("upstream", list(self._upstream.items()))):
            if rows:
                execute(_adding(table, len(rows)), tuple(chain.from_iterable(rows)))

    def _total(self, kind: str, verdict: str, reason: str) -> list[float]:
        return self._totals.setdefault((kind, verdict, reason), [0] * len(_TOTALS))

    def _count(self, decision: Decision, counted: int, kept: int) -> None:
        group = (decision.at[:13], decision.client_key, decision.kind, decision.verdict, decision.reason)
        self._add(*group, counted, kept)

    def _add(self, hour: str, client_key: str, kind: str, verdict: str, reason: str, counted: int, kept: int) -> None:
        count = self._counts.setdefault((hour, client_key, kind, verdict, reason), [0, 0])
        count[0] += counted
        count[1] += kept
