"""The canonical log line of a decision: one line that says all, where it is worth the 10 us a line costs.

Always: lifecycle calls, errors (5xx), slow calls, refusals. Refusals, with whatever status, at most so many a second a
worker, because a stranger decides how many there are; how many were not written is said in the next. With `every` on,
all others too.
"""

import time
from typing import Any

import structlog

from tenure.domain.decisions import Decision

LIFECYCLE = frozenset(("installed", "uninstalled", "enabled", "disabled"))
REFUSALS_A_SECOND = 20

log = structlog.get_logger()


class Lines:
    """Writes canonical lines; `slow_ms` is from when on a call is slow."""

    def __init__(self, *, every: bool = False, slow_ms: float = 1000.0) -> None:
        self._every = every
        self._slow_ms = slow_ms
        self._second = 0
        self._written = 0
        self._unsaid = 0

    def decision(self, decision: Decision, *, status: int | None = None, took_ms: float | None = None) -> None:
        """The line of a recorded decision, if it is to have one."""
        status = decision.status if status is None else status
        took_ms = decision.took_ms if took_ms is None else took_ms
        worth = self._every or decision.kind in LIFECYCLE or status >= 500 or took_ms >= self._slow_ms
        if decision.verdict == "refused" and not self._room():
            return
        if worth or decision.verdict == "refused":
            log.info("decision", **_fields(decision, status, took_ms), **self._missed())

    def unrecordable(self, decision: Decision) -> None:
        """The line of a decision that was answered 503 because it could not be recorded."""
        if self._room():
            log.error("unrecordable", **_fields(decision, 503, decision.took_ms), **self._missed())

    def _room(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        if self._written > REFUSALS_A_SECOND:
            self._unsaid += 1
            return False
        return True

    def _missed(self) -> dict[str, int]:
        missed, self._unsaid = self._unsaid, 0
        return {"lines_left_out": missed} if missed else {}


def _fields(decision: Decision, status: int, took_ms: float) -> dict[str, Any]:
    facts = decision.facts
    fields = {
        "decision": decision.decision,
        "kind": decision.kind,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "detail": decision.detail,
        "client_key": decision.client_key,
        "claimed_client_key": decision.claimed_client_key,
        "method": decision.method,
        "path": decision.path,
        "status": status,
        "took_ms": took_ms,
        "read_position": decision.read_position,
        "trace": facts.trace,
        "gone": facts.gone,
    }
    return {name: value for name, value in fields.items() if value not in ("", False)}


def where(error: BaseException) -> str:
    """The function and line an exception was raised in; no message, no locals: they could hold a secret."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else ""
