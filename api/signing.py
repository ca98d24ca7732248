"""`POST /sign`: tokens for the app's own calls to a site, for callers with an API token of scope `sign`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tenure.api.http import Answer, Call
from tenure.api.problems import problem, refusal, unrecorded, with_decision
from tenure.api.recorder import Recorder, new_id
from tenure.domain.outgoing import Outgoing, sign
from tenure.domain.ports import Vault
from tenure.domain.refusals import OursError, Reason
from tenure.domain.tenant import Tenant

T = TypeVar("T")
BODY_LIMIT = 64 * 1024
KIND = "sign"
FAILURES = 60


class ApiTokens(Protocol):
    """Which scopes a token has."""

    def scopes_of(self, token: str) -> tuple[str, ...] | None: ...

    def name_of(self, token: str) -> str: ...

    def scopes_of_name(self, name: str) -> tuple[str, ...] | None: ...

    def redeem(self, code: str) -> str: ...

    def end_session(self, identifier: str, until: float) -> None: ...

    def session_ended(self, identifier: str) -> bool: ...


class Tokens(Protocol):
    """Where API tokens are asked: what reads, and what writes."""

    async def ask(self, question: Callable[[ApiTokens], T]) -> T: ...

    async def tell(self, act: Callable[[ApiTokens], T]) -> T: ...


class Failures(Protocol):
    """Counts the failed API tokens of an address in the last minute, in all workers."""

    async def failures(self, address: str) -> int: ...

    def failed(self, address: str) -> None: ...


class Access:
    """Lets API tokens in by scope; 60 failures a minute and address, then 429.

    Failures lie in the decision log's store, so that workers share them; those of one moment are written together, so a
    burst may pass the limit by as many as were under way at once.
    """

    def __init__(self, tokens: Tokens, failures: Failures, app_key: str) -> None:
        self._tokens = tokens
        self._failures = failures
        self._app_key = app_key

    async def deny(self, call: Call, scope: str | None, decision: str) -> Answer | None:
        """None if the caller has the scope (`None`: any scope at all), else the answer: 401, 403 or 429. The decision
        is the caller's to record.
        """
        return await self.judge(call, _bearer(call), scope, decision)

    async def judge(self, call: Call, token: str, scope: str | None, decision: str) -> Answer | None:
        """The same for a token that came otherwise than in the header."""
        scopes = await self._scopes_of(token)
        if scopes is None:
            return await self._failed(call, decision)
        if scope is not None and scope not in scopes:
            return _denied(403, f"This API token lacks the scope {scope}.", decision)
        return None

    async def _scopes_of(self, token: str) -> tuple[str, ...] | None:
        return await self._tokens.ask(lambda tokens: tokens.scopes_of(token)) if token else None

    async def allows(self, call: Call, scope: str) -> bool:
        """Whether the caller has the scope still; one who has it no more has not tried another's token."""
        return scope in (await self._scopes_of(_bearer(call)) or ())

    async def holder(self, call: Call) -> str:
        """The name of the caller's token; empty if it is none of ours."""
        bearer = _bearer(call)
        return await self.name_of(bearer) if bearer else ""

    async def name_of(self, token: str) -> str:
        """The name of a token; empty if it is none of ours."""
        return await self._tokens.ask(lambda tokens: tokens.name_of(token))

    async def holds(self, name: str, scope: str) -> bool:
        """Whether the token of a name is in force, with this scope."""
        return scope in (await self._tokens.ask(lambda tokens: tokens.scopes_of_name(name)) or ())

    async def end(self, session: str, until: float) -> None:
        """Ends a session of the console in every worker; it would have ended by itself at `until` (Unix seconds)."""
        await self._tokens.tell(lambda tokens: tokens.end_session(session, until))

    async def ended(self, session: str) -> bool:
        """Whether a session was ended before its time."""
        return await self._tokens.ask(lambda tokens: tokens.session_ended(session))

    async def redeem(self, call: Call, code: str, scope: str, decision: str) -> str | Answer:
        """The token's name that a login code stands for, once; else the answer."""
        name = await self._tokens.tell(lambda tokens: tokens.redeem(code))
        return name if name and await self.holds(name, scope) else await self._failed(call, decision)

    def unknown(self, call: Call, decision: str) -> Answer:
        """The 401 to who showed nothing at all."""
        return refusal(Reason.ACCESS_DENIED, decision, self._app_key, html_wanted=call.wants_html)

    async def _failed(self, call: Call, decision: str) -> Answer:
        if await self._failures.failures(call.peer) >= FAILURES:
            sentence = "Too many failed API tokens from this address."
            return _denied(429, sentence, decision, (b"retry-after", b"60"))
        self._failures.failed(call.peer)
        return self.unknown(call, decision)


def _denied(status: int, sentence: str, decision: str, *headers: tuple[bytes, bytes]) -> Answer:
    return with_decision(problem(status, sentence, headers=headers, decision=decision), decision)


def _bearer(call: Call) -> str:
    values = call.all(b"authorization")
    bearer = values[0][7:].strip() if len(values) == 1 and values[0][:7].lower() == "bearer " else ""
    return bearer if bearer.isascii() else ""


class SignRequest(BaseModel):
    """The body of `POST /sign`."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    tenant: str
    method: str
    url: str


class SigningError(Exception):
    """Why no token was made: an HTTP status, a reason and a sentence."""

    def __init__(self, status: int, sentence: str, reason: Reason) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


def choose(found: Sequence[Tenant], name: str) -> Tenant:
    """The one tenant of a name, or SigningError; uninstalled tenants are refused."""
    if not found:
        raise SigningError(404, f"No tenant {name} is known.", Reason.TENANT_UNKNOWN)
    if len(found) > 1:
        keys = ", ".join(tenant.client_key for tenant in found)
        raise SigningError(409, f"{name} names several tenants, newest first: {keys}.", Reason.REQUEST_AMBIGUOUS)
    if not found[0].installed:
        raise SigningError(409, "The tenant has uninstalled the app.", Reason.TENANT_UNINSTALLED)
    return found[0]


def sign_for(tenant: Tenant, vault: Vault, method: str, url: str, now: int) -> Outgoing:
    """A token for one call to the tenant's site, or SigningError."""
    secret = vault.open(tenant.app_key, tenant.client_key, tenant.secret.version, "secret", tenant.secret.sealed)
    try:
        return sign(tenant.app_key, secret, tenant.base_url, method, url, now)
    except ValueError as error:
        raise SigningError(400, str(error), Reason.PAYLOAD_INVALID) from None


class Signing:
    """Handles `POST /sign`."""

    def __init__(
        self, access: Access, find: Callable[[str], Awaitable[list[Tenant]]], vault: Vault, recorder: Recorder,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._access = access
        self._find = find
        self._vault = vault
        self._recorder = recorder
        self._clock = clock

    async def handle(self, call: Call) -> Answer:
        """A token, when it ends and for which site."""
        decision = new_id()
        denied = await self._access.deny(call, "sign", decision)
        if denied is not None:
            return await self._refused(call, decision, denied, Reason.ACCESS_DENIED)
        try:
            request = SignRequest.model_validate_json(await call.body(BODY_LIMIT))
        except ValidationError:
            wrong = problem(400, 'The body is {"tenant": …, "method": …, "url": …}, all text.', decision=decision)
            return await self._refused(call, decision, wrong, Reason.PAYLOAD_INVALID)
        tenant: Tenant | None = None
        try:
            tenant = choose(await self._find(request.tenant), request.tenant)
            outgoing = sign_for(tenant, self._vault, request.method, request.url, int(self._clock()))
        except SigningError as error:
            answer = problem(error.status, str(error), decision=decision)
            return await self._refused(call, decision, answer, error.reason, tenant)
        try:
            await self._record(call, decision, 200, tenant, None)
        except OursError:
            return unrecorded(call)
        ends = datetime.fromtimestamp(outgoing.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"token": outgoing.token, "expires_at": ends, "base_url": tenant.base_url}
        return with_decision(Answer(200, orjson.dumps(body), ((b"content-type", b"application/json"),)), decision)

    async def _refused(
        self, call: Call, decision: str, answer: Answer, reason: Reason, tenant: Tenant | None = None
    ) -> Answer:
        try:
            await self._record(call, decision, answer.status, tenant, reason)
        except OursError:
            return unrecorded(call)
        return with_decision(answer, decision)

    async def _record(
        self, call: Call, decision: str, status: int, tenant: Tenant | None, reason: Reason | None
    ) -> None:
        await self._recorder.record(
            call, decision=decision, kind=KIND, status=status, reason=reason,
            client_key=tenant.client_key if tenant else "", read_position=tenant.position if tenant else 0,
        )  # fmt: skip
