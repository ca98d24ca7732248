"""Webhooks: checked, de-duplicated once the upstream has taken them, and passed on as received.

Jira retries on 408, 409, 425, 429, 5xx and time-outs, never on 401. So a duplicate is answered 2xx, an upstream that
fails is 502 or 504, and a delivery signed with the secret replaced a moment ago is 425. A delivery counts as taken when
the upstream has answered 2xx: a crash before that is noted delivers it again, never loses it; so may
two processes that are handed the same delivery at the same moment.
"""

import asyncio
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from tenure.api.gate import Gate, Passage, client_key_of
from tenure.api.http import Answer, Call, only_token
from tenure.api.identity import identity_headers
from tenure.api.problems import RETRY, STATUS, problem, refusal
from tenure.api.recorder import Recorder, new_id
from tenure.domain.check import Purpose, Verdict
from tenure.domain.refusals import OursError, Reason, Refused

UPSTREAM_TIMEOUT_S = 8.0
_IDENTIFIER = b"x-atlassian-webhook-identifier"
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
     b"transfer-encoding", b"upgrade", b"content-length", b"expect")
)  # fmt: skip


class Deliveries(Protocol):
    """Which webhooks the upstream has taken."""

    def taken(self, client_key: str, identifier: str) -> bool: ...


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
        self._under_way: dict[tuple[str, str], asyncio.Future[bool]] = {}

    async def handle(self, call: Call) -> Answer:
        """The answer to a webhook: the upstream's status, 204 for a duplicate, or a refusal."""
        if self._upstream is None:
            return problem(404, "No upstream is configured for webhooks.")
        if _climbs(call.path):
            return problem(404, "There is nothing here.")
        announced = call.one(b"content-length")
        if announced.isdigit() and int(announced) > self._limit:
            return await self._refuse(call, Passage.refused(Reason.PAYLOAD_TOO_LARGE))
        passage = await self._gate.check(
            lambda: only_token(call.all(b"authorization"), call.query),
            call.method, call.path, call.query, Purpose.TRAFFIC,
        )  # fmt: skip
        if passage.verdict.reason is not None:
            return await self._refuse(call, passage)
        try:
            return await self._accepted(call, passage, self._upstream)
        except Refused as refused:
            return await self._refuse(call, replace(passage, verdict=Verdict(refused.reason)))

    async def _accepted(self, call: Call, passage: Passage, upstream: Upstream) -> Answer:
        client_key, identifier = passage.claimed, call.one(_IDENTIFIER)[:500]
        body = await call.body(self._limit)
        decision, key = new_id(), (client_key, identifier)
        taken = bool(identifier) and (self._deliveries.taken(*key) or await self._taken_meanwhile(key))
        # recorded before it is passed on: what cannot be recorded must not have happened
        try:
            await self._record(call, passage, decision, 204 if taken else 200)
        except OursError as error:
            return refusal(error.reason, decision, self._app_key)
        if taken:
            return Answer(204, headers=((b"x-tenure-decision", decision.encode()),))
        identity = identity_headers(passage.context, passage.token, self._app_key, decision)
        header = ((b"x-tenure-decision", decision.encode()),)
        if not identifier:
            return _relayed(await upstream.pass_on(call, body, identity), header)
        return _relayed(await self._deliver(upstream, call, body, identity, key), header)

    async def _taken_meanwhile(self, key: tuple[str, str]) -> bool:
        while (other := self._under_way.get(key)) is not None:
            if await asyncio.shield(other):
                return True
        return False

    async def _deliver(
        self,
        upstream: Upstream,
        call: Call,
        body: bytes,
        identity: tuple[tuple[bytes, bytes], ...],
        key: tuple[str, str],
    ) -> int:
        under_way: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._under_way[key] = under_way
        taken = False
        try:
            status = await upstream.pass_on(call, body, identity)
            taken = 200 <= status < 300
            if taken:
                await self._note(key)
        finally:
            del self._under_way[key]
            under_way.set_result(taken)
        return status

    async def _note(self, key: tuple[str, str]) -> None:
        try:
            await self._recorder.delivered(*key)
        except OursError:
            return  # the upstream has it; at worst a retry reaches it twice

    async def _refuse(self, call: Call, passage: Passage) -> Answer:
        decision, reason, retry = new_id(), passage.verdict.reason or Reason.SIGNATURE_BAD, passage.verdict.retry
        try:
            await self._record(call, passage, decision, RETRY if retry else STATUS[reason])
        except OursError as error:
            reason, retry = error.reason, False
        return refusal(reason, decision, self._app_key, retry=retry, html_wanted=call.wants_html)

    async def _record(self, call: Call, passage: Passage, decision: str, status: int) -> None:
        await self._recorder.record(
            call, decision=decision, kind="webhook", status=status, reason=passage.verdict.reason,
            detail=passage.verdict.detail, client_key=client_key_of(passage), claimed=passage.claimed,
            read_position=passage.position,
        )  # fmt: skip


def _is_ours(name: bytes) -> bool:
    # servers that map headers to variables take an underscore for a dash
    return name.replace(b"_", b"-").startswith(b"x-tenure-")


def _climbs(path: str) -> bool:
    # the upstream may resolve dots, and would then serve another route than the webhooks'
    return not {".", ".."}.isdisjoint(unquote(path).replace("\\", "/").split("/"))


def _relayed(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> Answer:
    if status in (502, 504):
        return problem(status, "The app's own receiver did not answer.", headers=headers)
    return Answer(status, headers=headers)
