"""Gives every decision its id and has it recorded before it is answered.

What cannot be recorded within 250 ms is answered 503 (`unrecordable`), not passed: a pass nobody could later explain
is worse than a retry. Ids are UUIDv7 (RFC 9562): sortable by time, not guessable.
"""

import asyncio
import os
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol

from tenure.api.http import Call
from tenure.domain.decisions import Decision, Delivery
from tenure.domain.refusals import OursError, Reason

BOUND_S = 0.25


class DecisionLog(Protocol):
    """The decision log's writing end."""

    async def submit(self, item: Decision | Delivery) -> None: ...


def new_id() -> str:
    """A new decision id."""
    raw = bytearray(int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10))
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


class Recorder:
    """Records decisions and taken deliveries."""

    def __init__(self, log: DecisionLog) -> None:
        self._log = log

    async def record(
        self,
        call: Call,
        *,
        decision: str,
        kind: str,
        status: int,
        reason: Reason | None = None,
        detail: str = "",
        client_key: str = "",
        claimed: str = "",
        read_position: int = 0,
        method: str = "",
        path: str = "",
    ) -> None:
        """Stores one decision, or OursError (`unrecordable`). `method` and `path` where they are not the call's."""
        entry = Decision(
            decision=decision,
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            kind=kind,
            verdict="refused" if reason or status >= 400 else "accepted",
            reason=reason.value if reason else "",
            detail=_clean(detail),
            client_key=_clean(client_key),
            claimed_client_key=_clean(claimed),
            method=_clean(method or call.method),
            path=_clean(path or call.path),
            status=status,
            took_ms=round((time.perf_counter() - call.started) * 1000, 3),
            read_position=read_position,
        )
        await self._submit(entry)

    async def delivered(self, client_key: str, identifier: str) -> None:
        """Remembers a webhook that the upstream has taken."""
        await self._submit(Delivery(client_key, _clean(identifier)))

    async def _submit(self, item: Decision | Delivery) -> None:
        try:
            async with asyncio.timeout(BOUND_S):
                await self._log.submit(item)
        except (TimeoutError, OursError):
            raise OursError(Reason.UNRECORDABLE) from None


def _clean(text: str) -> str:
    # latin-1 in, so no surrogates; NUL and length are what a stranger could still hurt a row with
    return text[:500].replace("\0", "\ufffd")
