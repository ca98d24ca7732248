"""`GET /metrics`: Prometheus text, for any API token in force; who is refused is recorded (kind `audit`).

The counters lie in the decision log's store, so any worker's answer is that of all of them, and a restart loses none.
They only grow: a decision that was answered otherwise than it was first written is counted in both places, and in
`withdrawn` where it does not belong. Names and meanings: docs/reference/metrics.md.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tenure.api.http import Answer, Call
from tenure.api.problems import problem, unrecorded
from tenure.api.recorder import Recorder, new_id
from tenure.api.signing import Access
from tenure.domain.alarms import AlarmKind
from tenure.domain.decisions import WITHIN_MS
from tenure.domain.refusals import OursError, Reason


class AlarmCounters(Protocol):
    """What was said unasked, by kind."""

    def raised(self) -> list[tuple[str, int]]: ...

    def open_kinds(self) -> list[tuple[str, int]]: ...


class Counters(Protocol):
    """What the decision log counts, and how large it is."""

    def totals(self) -> list[dict[str, Any]]: ...

    def upstream(self) -> list[tuple[int, int]]: ...

    def size(self) -> tuple[int, int]: ...

    def oldest(self) -> str: ...

    @property
    def alarms(self) -> AlarmCounters: ...


class Asked(Protocol):
    """Where the counters are asked."""

    async def ask(self, question: "Callable[[Counters], _Counted]") -> "_Counted": ...


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the decision log's store said, all at once."""

    totals: list[dict[str, Any]]
    upstream: list[tuple[int, int]]
    raised: list[tuple[str, int]]
    open_kinds: list[tuple[str, int]]
    size: tuple[int, int]
    oldest: str


def _count(counters: Counters) -> _Counted:
    alarms = counters.alarms
    return _Counted(
        counters.totals(), counters.upstream(), alarms.raised(), alarms.open_kinds(), counters.size(),
        counters.oldest(),
    )  # fmt: skip


class Metrics:
    """Handles `/metrics`. `head` gives the event log's last position."""

    def __init__(
        self, access: Access, recorder: Recorder, counters: Asked, head: Callable[[], Awaitable[int]], *, quota: int,
        version: str, settings: str,
    ) -> None:  # fmt: skip
        self._access = access
        self._head = head
        self._recorder = recorder
        self._counters = counters
        self._quota = quota
        self._info = [version, settings]

    async def handle(self, call: Call) -> Answer:
        """The metrics as text."""
        decision = new_id()
        denied = await self._access.deny(call, None, decision)
        if denied is not None:
            return await self._refused(call, denied, decision)
        try:
            counted = await self._counters.ask(_count)
        except OursError:
            return problem(503, "The decision log does not answer.", headers=((b"retry-after", b"5"),))
        head = None  # what lies beside the log is told even where the log does not answer
        with suppress(OursError):
            head = await self._head()
        registry = CollectorRegistry()
        registry.register(_Collector(counted, head, self._quota, self._info))
        return Answer(200, generate_latest(registry), ((b"content-type", CONTENT_TYPE_LATEST.encode()),))

    async def _refused(self, call: Call, denied: Answer, decision: str) -> Answer:
        try:
            await self._recorder.record(
                call, decision=decision, kind="audit", status=denied.status, reason=Reason.ACCESS_DENIED
            )
        except OursError:
            return unrecorded(call)
        return denied


class _Collector(Collector):
    def __init__(self, counted: _Counted, head: int | None, quota: int, info: list[str]) -> None:
        self._counted = counted
        self._head = head
        self._quota = quota
        self._info = info

    def describe(self) -> Iterator[Metric]:
        return iter(())  # nothing is read before it is asked for

    def collect(self) -> Iterator[Metric]:
        totals = self._counted.totals
        yield from _decisions(totals)
        yield _took(totals)
        answers = CounterMetricFamily(
            "tenure_upstream_answers", "Answers of the app's own receiver to webhooks passed on.", labels=["status"]
        )
        for status, number in self._counted.upstream:
            answers.add_metric([str(status)], number)
        yield answers
        yield from self._alarms()
        yield from self._gauges()

    def _alarms(self) -> Iterator[Metric]:
        raised = CounterMetricFamily("tenure_alarms", "Alarms raised about tenants.", labels=["kind"])
        still = GaugeMetricFamily("tenure_alarms_open", "Alarms raised and not ended.", labels=["kind"])
        for family, found in ((raised, self._counted.raised), (still, self._counted.open_kinds)):
            counts = dict.fromkeys(AlarmKind, 0) | dict(found)
            for kind, number in counts.items():
                family.add_metric([str(kind)], number)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        used, held = self._counted.size
        oldest = self._counted.oldest
        age = time.time() - datetime.fromisoformat(oldest).timestamp() if oldest else 0.0
        for name, text, value in (
            ("tenure_decision_log_used_bytes", "Bytes in use in the decision log's file.", used),
            ("tenure_decision_log_file_bytes", "Bytes of the decision log's file, free pages included.", held),
            ("tenure_decision_log_quota_bytes", "Bytes the decision log may use (DECISIONS_MB).", self._quota),
            ("tenure_decision_log_oldest_seconds", "Age of the oldest decision kept.", max(0.0, age)),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        if self._head is not None:
            yield GaugeMetricFamily("tenure_log_position", "Position of the last event of the log.", value=self._head)
        info = GaugeMetricFamily("tenure_info", "1, with version and settings digest.", labels=["version", "settings"])
        info.add_metric(self._info, 1)
        yield info


def _decisions(totals: list[dict[str, Any]]) -> Iterator[Metric]:
    for column, name, text in (
        ("counted", "tenure_decisions", "Decisions answered."),
        ("kept", "tenure_decisions_kept", "Decisions that were kept as rows."),
        ("withdrawn", "tenure_decisions_withdrawn", "Decisions counted here, but answered otherwise."),
        ("dropped", "tenure_decisions_dropped", "Decisions answered unrecordable, of which there is no row."),
    ):
        family = CounterMetricFamily(name, text, labels=["kind", "verdict", "reason"])
        for row in totals:
            if column in ("counted", "kept") or row[column]:
                family.add_metric([row["kind"], row["verdict"], row["reason"]], row[column])
        yield family


def _took(totals: list[dict[str, Any]]) -> Metric:
    family = HistogramMetricFamily(
        "tenure_decision_seconds", "Time from a call's head to its decision.", labels=["kind", "verdict"]
    )
    sums: dict[tuple[str, str], list[float]] = {}
    for row in totals:
        found = sums.setdefault((row["kind"], row["verdict"]), [0.0] * (len(WITHIN_MS) + 2))
        for slot, ms in enumerate(WITHIN_MS):
            found[slot] += row[f"within_{ms}"]
        found[-2] += row["counted"] - row["dropped"]
        found[-1] += row["took_ms"] / 1000
    for labels, (*within, counted, total) in sums.items():
        running, buckets = 0.0, []
        for ms, number in zip(WITHIN_MS, within, strict=True):
            running += number
            buckets.append((str(ms / 1000), running))
        family.add_metric(list(labels), [*buckets, ("+Inf", counted)], total)
    return family
