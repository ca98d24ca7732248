"""Gives every decision its id and has it recorded before it is answered.

What cannot be recorded within 250 ms is answered 503 (`unrecordable`), not passed: a pass nobody could later explain
is worse than a retry. It is then withdrawn, or amended if the writer had it already, and counted as dropped if it is
nowhere: recorded, or counted as dropped, equals answered. Ids are UUIDv7 (RFC 9562, with a fraction of the
millisecond): sortable by time, not guessable.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from tenure.api.evidence import NOTHING, Asked, Witness
from tenure.api.gate import Passage
from tenure.api.http import Answer, Call
from tenure.api.lines import Lines
from tenure.api.problems import RETRY, STATUS, refusal
from tenure.domain.check import Verdict
from tenure.domain.decisions import Amended, Claim, Entry, FailedToken, Item, Outcome
from tenure.domain.refusals import OursError, Reason

BOUND_S = 0.25


class DecisionLog(Protocol):
    """The decision log's writing end."""

    async def submit(self, item: Item, *, within: float | None = None) -> Claim: ...

    def post(self, item: Item) -> None: ...

    def drop(self, kind: str) -> None: ...


_tails: list[bytes] = []


def new_id() -> str:
    """A new decision id."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    if not _tails:
        drawn = os.urandom(8 * 256)
        _tails.extend(drawn[at : at + 8] for at in range(0, len(drawn), 8))
    tail = _tails.pop()
    text = f"{milliseconds:012x}7{fraction:03x}{tail[0] & 0x3F | 0x80:02x}{tail[1:].hex()}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Recorder:
    """Records decisions, and what became of webhooks that were passed on."""

    def __init__(self, log: DecisionLog, witness: Witness | None = None, lines: Lines | None = None) -> None:
        self._log = log
        self._witness = witness or Witness()
        self._lines = lines or Lines()

    async def record(
        self,
        call: Call,
        *,
        decision: str,
        kind: str,
        status: int,
        reason: Reason | None = None,
        detail: str = "",
        client_key: str | None = None,
        claimed: str | None = None,
        read_position: int | None = None,
        passage: Passage | None = None,
        asked: Asked = NOTHING,
        claim: tuple[str, str] | None = None,
    ) -> Claim:
        """Stores one decision, or OursError (`unrecordable`). With a passage its verdict counts, else `reason` and
        `detail`. `claim`: a webhook's (clientKey, identifier); BUSY means that nothing was recorded."""
        made = self._witness.decision(
            call, passage or Passage(Verdict(reason, detail)), decision=decision, kind=kind, status=status,
            asked=asked, client_key=client_key, claimed=claimed, read_position=read_position,
        )  # fmt: skip
        entry = Entry(made, claim)
        try:
            found = await self._log.submit(entry, within=BOUND_S)
        except OursError:
            call.entry = entry
            self._withdraw(entry)
            raise OursError(Reason.UNRECORDABLE) from None
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise
        if found is not Claim.BUSY:
            call.entry = entry
            # a webhook's line waits for what its receiver answers
            if made.status or found is Claim.TAKEN:
                self._lines.decision(made, status=made.status or 204)
        return found

    def _withdraw(self, entry: Entry) -> None:
        entry.withdrawn = True
        if entry.take():
            self._log.drop(entry.decision.kind)
        else:
            reason = Reason.UNRECORDABLE
            self._log.post(Amended(entry, reason.value, STATUS[reason]))
        self._lines.unrecordable(entry.decision)

    async def passed_on(self, call: Call, status: int, key: tuple[str, str]) -> None:
        """Notes how the app's receiver answered; that it could not be noted costs a repeat at worst."""
        assert call.entry is not None  # noqa: S101 (what was passed on had been recorded)
        decision = call.entry.decision
        took_ms = round((time.perf_counter() - call.started) * 1000, 3)
        outcome = Outcome(decision.decision, *key, status, took_ms, call.gone)
        with suppress(OursError):
            await self._log.submit(outcome, within=BOUND_S)
        self._lines.decision(decision, status=status, took_ms=took_ms)

    async def failed(self, call: Call, kind: str, reason: Reason, detail: str = "") -> str:
        """Records that a call ended in a fault, also after it had been recorded otherwise; the decision's id."""
        if call.entry is not None:
            if not call.entry.withdrawn:
                self._log.post(Amended(call.entry, reason.value, STATUS[reason]))
            call.entry.withdrawn = True
            return call.entry.decision.decision
        decision = new_id()
        with suppress(OursError):
            await self.record(call, decision=decision, kind=kind, status=STATUS[reason], reason=reason, detail=detail)
        return decision

    def failed_token(self, address_mark: str) -> None:
        """Notes an API token that opened nothing."""
        self._log.post(FailedToken(address_mark, time.time()))

    async def settle(
        self, call: Call, passage: Passage, kind: str, app_key: str, accepted: Callable[[str], Answer],
        asked: Asked = NOTHING,
    ) -> Answer:  # fmt: skip
        """Records a decision and answers it: `accepted` makes the 200 from the id, everything else is a refusal."""
        decision, reason, retry = new_id(), passage.verdict.reason, passage.verdict.retry
        status = (RETRY if retry else STATUS[reason]) if reason else 200
        try:
            await self.record(call, decision=decision, kind=kind, status=status, passage=passage, asked=asked)
        except OursError as error:
            reason, retry = error.reason, False
        if reason is None:
            return accepted(decision)
        return refusal(reason, decision, app_key, retry=retry, html_wanted=call.wants_html)
