"""`GET /audit/head`: the log's head, signed, for whoever has an API token of scope `audit`. To be kept elsewhere."""

from collections.abc import Awaitable, Callable

from tenure.api.http import Answer, Call
from tenure.api.problems import problem, unrecorded, with_decision
from tenure.api.recorder import Recorder, new_id
from tenure.api.signing import Access
from tenure.domain.refusals import OursError, Reason

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)


class RefusedHeadError(Exception):
    """The log does not extend the head signed last; the message says where."""


class SignedHead:
    """Handles the route. `sign` gives the signed head's text, or RefusedHeadError."""

    def __init__(self, access: Access, sign: Callable[[], Awaitable[str]], recorder: Recorder) -> None:
        self._access = access
        self._sign = sign
        self._recorder = recorder

    async def handle(self, call: Call) -> Answer:
        """The head as a signed note, or 409 if the log has lost what was signed before."""
        decision = new_id()
        denied = await self._access.deny(call, "audit", decision)
        answer = denied or await self._head(decision)
        reason = Reason.ACCESS_DENIED if denied else None
        try:
            await self._recorder.record(
                call, decision=decision, kind="audit", status=answer.status, reason=reason,
                detail=f"{self._access.holder(call)}: {call.query}",
            )  # fmt: skip
        except OursError:
            return unrecorded(call)
        return with_decision(answer, decision)

    async def _head(self, decision: str) -> Answer:
        try:
            return Answer(200, (await self._sign()).encode(), _TEXT)
        except RefusedHeadError as error:
            detail = f"Not signed: {error}. Run tenure log verify where the log is."
            return problem(409, detail, decision=decision)
