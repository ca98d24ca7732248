"""Webhooks: checked, de-duplicated once the upstream has taken them, and passed on as received.

Jira retries on 408, 409, 425, 429, 5xx and time-outs, never on 401. So a duplicate is answered 2xx, an upstream that
fails is 502 or 504, and a delivery signed with the secret replaced a moment ago is 425. A delivery counts as taken when
the upstream has answered 2xx: a crash before that is noted delivers it again, never loses it. Who passes it on claims
it first, in the transaction that records the decision, for 10 s: copies that come at the same moment, at whichever
worker, wait for what comes of it, so that the upstream gets one.
"""

import asyncio
import time
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from tenure.api.evidence import Asked, identifier_of
from tenure.api.gate import Gate, Passage
from tenure.api.http import Answer, Call, SlowCallerError, only_token
from tenure.api.identity import identity_headers
from tenure.api.problems import problem, refusal
from tenure.api.recorder import Recorder, new_id
from tenure.domain.check import Purpose, Verdict
from tenure.domain.decisions import Claim
from tenure.domain.refusals import OursError, Reason, Refused

KIND = "webhook"
UPSTREAM_TIMEOUT_S = 8.0
WAIT_S = 12.0  # longer than a claim lives
LOOK_EVERY_S = 0.02
PASSED_ON = 0  # the status recorded until the upstream's is known
_IDENTIFIER = b"x-atlassian-webhook-identifier"
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
     b"transfer-encoding", b"upgrade", b"content-length", b"expect")
)  # fmt: skip


class Deliveries(Protocol):
    """Which webhooks someone is passing on just now."""

    async def busy(self, client_key: str, identifier: str) -> bool: ...


class Upstream:
    """The app's own receiver. `session` is set while the service runs."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self.session: aiohttp.ClientSession | None = None

    async def pass_on(self, call: Call, body: bytes, identity: tuple[tuple[bytes, bytes], ...]) -> int:
        """The upstream's status; 502 if it cannot be reached, 504 if it takes too long."""
        if self.session is None:
            return 502
        query = f"?{call.query}" if call.query else ""
        named = {name.strip().lower().encode() for value in call.all(b"connection") for name in value.split(",")}
        kept = [pair for pair in call.headers if pair[0] not in _HOP_BY_HOP | named and not _is_ours(pair[0])]
        headers = CIMultiDict((k.decode("latin-1"), v.decode("latin-1")) for k, v in (*kept, *identity))
        url = URL(f"{self._url}{call.path}{query}", encoded=True)
        try:
            async with (
                asyncio.timeout(UPSTREAM_TIMEOUT_S),
                self.session.request(call.method, url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return response.status
        except TimeoutError:
            return 504
        except (aiohttp.ClientError, OSError, ValueError):
            return 502


class Webhooks:
    """Handles the webhook routes of one app."""

    def __init__(
        self,
        app_key: str,
        gate: Gate,
        recorder: Recorder,
        deliveries: Deliveries,
        upstream: Upstream | None,
        limit: int,
    ) -> None:
        self._app_key = app_key
        self._gate = gate
        self._recorder = recorder
        self._deliveries = deliveries
        self._upstream = upstream
        self._limit = limit

    async def handle(self, call: Call) -> Answer:
        """The answer to a webhook: the upstream's status, 204 for a duplicate, or a refusal."""
        if self._upstream is None:
            return problem(404, "No upstream is configured for webhooks.")
        if _climbs(call.path):
            return problem(404, "There is nothing here.")
        asked = Asked(identifier=identifier_of(call.one(_IDENTIFIER)))
        announced = call.one(b"content-length")
        if announced.isdigit() and int(announced) > self._limit:
            return await self._refuse(call, Passage.refused(Reason.PAYLOAD_TOO_LARGE), asked)
        passage = await self._gate.check(
            lambda: only_token(call.all(b"authorization"), call.query),
            call.method, call.path, call.query, Purpose.TRAFFIC,
        )  # fmt: skip
        if passage.verdict.reason is not None:
            return await self._refuse(call, passage, asked)
        try:
            body = await call.body(self._limit)
        except Refused as refused:
            return await self._refuse(call, replace(passage, verdict=Verdict(refused.reason)), asked)
        except SlowCallerError:
            return await self._refuse(call, replace(passage, verdict=Verdict(Reason.BODY_INCOMPLETE)), asked)
        return await self._accepted(call, passage, asked, body, self._upstream)

    async def _accepted(self, call: Call, passage: Passage, asked: Asked, body: bytes, upstream: Upstream) -> Answer:
        decision, key = new_id(), (passage.claimed, asked.identifier)
        # recorded before it is passed on: what cannot be recorded must not have happened
        try:
            claim = await self._recorded(call, passage, asked, decision)
        except OursError as error:
            return refusal(error.reason, decision, self._app_key)
        if claim is Claim.BUSY:
            late = Verdict(Reason.STORE_UNAVAILABLE, "another copy is being passed on for too long")
            return await self._refuse(call, replace(passage, verdict=late), asked)
        header = ((b"x-tenure-decision", decision.encode()),)
        if claim is Claim.TAKEN:
            return Answer(204, headers=header)
        identity = identity_headers(passage.context, passage.token, self._app_key, decision)
        status = await upstream.pass_on(call, body, identity)
        await self._recorder.passed_on(call, status, key)
        return _relayed(status, header)

    async def _recorded(self, call: Call, passage: Passage, asked: Asked, decision: str) -> Claim:
        """OURS: recorded as passed on, and nobody else passes it on; TAKEN: recorded as a duplicate."""
        key = (passage.claimed, asked.identifier)
        claim, ends = key if asked.identifier else None, time.monotonic() + WAIT_S
        while True:
            found = await self._recorder.record(
                call, decision=decision, kind=KIND, status=PASSED_ON, passage=passage, asked=asked, claim=claim
            )
            if found is not Claim.BUSY or time.monotonic() > ends:
                return found
            while await self._deliveries.busy(*key) and time.monotonic() < ends:  # noqa: ASYNC110 (by another process)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _refuse(self, call: Call, passage: Passage, asked: Asked) -> Answer:
        return await self._recorder.settle(call, passage, KIND, self._app_key, lambda _: Answer(204), asked)


def _is_ours(name: bytes) -> bool:
    # servers that map headers to variables take an underscore for a dash
    return name.replace(b"_", b"-").startswith(b"x-tenure-")


def _climbs(path: str) -> bool:
    # the upstream may resolve dots, and would then serve another route than the webhooks'
    return not {".", ".."}.isdisjoint(unquote(path).replace("\\", "/").split("/"))


def _relayed(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> Answer:
    if not 200 <= status < 600:
        status = 502
    if status in (502, 504):
        return problem(status, "The app's own receiver did not answer.", headers=headers)
    return Answer(status, headers=headers)
