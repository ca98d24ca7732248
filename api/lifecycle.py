"""The four lifecycle callbacks: prove the caller, ask the table, append, answer 204.

The order of checks is the reasons' order (`domain.refusals`). The state is read, decided on and appended at the version
that was read; if the stream has moved on meanwhile, all of it is done again, the signature included. A believed token
is spent with its body in the append's own transaction, whatever came of it: the same token with the same body gets
the first answer again, with another body it is refused.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import structlog

from tenure.api.gate import Gate
from tenure.api.http import Answer, Call, only_token
from tenure.api.install_keys import InstallKeys
from tenure.api.payloads import client_key_of, parse, read_object
from tenure.api.problems import STATUS, refusal
from tenure.api.recorder import Recorder, new_id
from tenure.domain.callbacks import Callback, Payload
from tenure.domain.check import Evidence, Match, Policy, Purpose, check
from tenure.domain.events import Draft, EventType, Installed, Switched
from tenure.domain.lifecycle import Proof, allowed, decide, describe_change
from tenure.domain.ports import Append, Appended, AppendResult, AsyncLog, Conflict, Contexts, Spend, SpentTokens, Vault
from tenure.domain.qsh import accepted_hashes
from tenure.domain.refusals import OursError, Reason, Refused
from tenure.domain.tenant import Tenant
from tenure.domain.token import Token, check_times, checked_kid, read, signed_by_key

BODY_LIMIT = 256 * 1024
ATTEMPTS = 20
DEADLINE_S = 9.0

log = structlog.get_logger()


class Keys(Protocol):
    """Makes a tenant's data key, off the event loop."""

    async def ensure_key(self, app_key: str, client_key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the lifecycle needs of the house."""

    app_key: str
    base_path: str
    sites: tuple[str, ...]
    policy: Policy
    clock: Callable[[], float]
    gate: Gate
    contexts: Contexts
    spent: SpentTokens
    log: AsyncLog
    vault: Vault
    keys: Keys
    install_keys: InstallKeys
    recorder: Recorder


@dataclass(slots=True)
class _Case:
    """One call on its way; `claimed` and `position` are for the record."""

    callback: Callback
    call: Call
    body: bytes
    members: dict[str, Any] | None
    claimed: str = ""
    proved: str = ""
    position: int = 0
    detail: str = ""


class Lifecycle:
    """Handles lifecycle calls of one app."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts

    async def handle(self, callback: Callback, call: Call) -> Answer:
        """The answer to a lifecycle call; its decision is recorded."""
        decision = new_id()
        reason: Reason | None = None
        case = _Case(callback, call, b"", None)
        try:
            case.body = await call.body(BODY_LIMIT)
            case.members = read_object(case.body)
            async with asyncio.timeout(DEADLINE_S):
                reason = await self._decide(case)
        except TimeoutError:
            # it may still be appended: then the same token is answered as a repeat
            reason, case.detail = Reason.STORE_UNAVAILABLE, "not done in time"
        except Refused as refused:
            reason, case.detail = refused.reason, refused.detail
        except OursError as error:
            reason, case.detail = error.reason, error.detail
        status = STATUS[reason] if reason else 204
        await self._record(case, decision, status, reason)
        if reason is None:
            return Answer(204, headers=((b"x-tenure-decision", decision.encode()),))
        return refusal(reason, decision, self._p.app_key, html_wanted=call.wants_html)

    async def _record(self, case: _Case, decision: str, status: int, reason: Reason | None) -> None:
        log.info(
            "lifecycle", callback=case.callback.value, status=status, reason=reason and reason.value,
            client_key=case.proved, claimed_client_key=case.claimed, decision=decision, detail=case.detail,
        )  # fmt: skip
        try:
            await self._p.recorder.record(
                case.call,
                decision=decision,
                kind=case.callback.value,
                status=status,
                reason=reason,
                detail=case.detail,
                client_key=case.proved,
                claimed=case.claimed,
                read_position=case.position,
            )
        except OursError:
            # what was believed is in the log and in force: a 503 now would ask for a repeat that changes nothing
            log.error("decision not recorded", decision=decision)

    async def _decide(self, case: _Case) -> Reason | None:
        """None for a 2xx, or the reason of a believed call's 400."""
        legacy = self._p.policy.legacy_install
        try:
            text = only_token(case.call.all(b"authorization"), case.call.query)
        except Refused as refused:
            if refused.reason is Reason.TOKEN_MISSING and legacy and case.callback is Callback.INSTALLED:
                return await self._unsigned(case)
            raise
        algorithms = frozenset(p.name for p in (Proof.RS256, Proof.HS256) if allowed(case.callback, p, legacy))
        token = read(text, algorithms)
        case.claimed = token.iss
        for _ in range(ATTEMPTS):
            done, reason = await self._attempt(case, token)
            if done:
                return reason
        raise OursError(Reason.STORE_UNAVAILABLE, "the tenant's stream does not hold still")

    async def _attempt(self, case: _Case, token: Token) -> tuple[bool, Reason | None]:
        context, proof = await self._prove(case, token)
        digest = hashlib.sha256(case.body).hexdigest()
        spent = await self._p.spent.spent(token.fingerprint)
        if spent is not None:
            return True, self._repeat(case, spent, digest)
        try:
            payload = parse(case.callback, case.members, self._p.app_key, self._p.sites)
            kind = decide(case.callback, Proof[token.alg], context, self._p.policy.legacy_install)
        except Refused as refused:
            case.detail = refused.detail
            spend = Spend(token.fingerprint, digest, refused.reason.value)
            result = await self._append(token.iss, context, None, spend)
            return self._settle(case, result, digest, refused.reason)
        draft = await self._draft(kind, payload, context, proof, token.fingerprint) if kind else None
        result = await self._append(token.iss, context, draft, Spend(token.fingerprint, digest))
        return self._settle(case, result, digest, None)

    async def _prove(self, case: _Case, token: Token) -> tuple[Tenant | None, dict[str, Any]]:
        """The tenant's context and how the call was believed, or Refused."""
        check_times(token, self._p.clock())
        proof: dict[str, Any]
        if token.alg == "RS256":
            kid = checked_kid(token)
            key = await self._p.install_keys.find(kid)
            match = Match.CURRENT if signed_by_key(token, key) else Match.NONE
            proof = {"kind": "rs256", "kid": kid}
            context = await self._p.contexts.get(self._p.app_key, token.iss)
        else:
            context = await self._p.contexts.get(self._p.app_key, token.iss)
            match = self._p.gate.match(context, token)
            if match is Match.PREVIOUS and await self._is_repeat(case, token):
                match = Match.CURRENT
            proof = {"kind": "hs256", "secret_fingerprint": context.secret.fingerprint if context else ""}
        case.position = context.position if context else 0
        evidence = Evidence(
            purpose=Purpose.LIFECYCLE,
            token=token,
            match=match,
            expected_qsh=accepted_hashes(case.call.method, case.call.path, case.call.query, self._p.base_path),
            body_client_key=client_key_of(case.members),
        )
        verdict = check(evidence, context, self._p.policy, self._p.clock())
        if verdict.reason is not None:
            raise Refused(verdict.reason, verdict.detail)
        case.proved = token.iss
        return context, proof

    async def _is_repeat(self, case: _Case, token: Token) -> bool:
        # the very call that brought the rotation, or one before it, sent again: it was believed when it came first
        spent = await self._p.spent.spent(token.fingerprint)
        return spent is not None and spent.body_digest == hashlib.sha256(case.body).hexdigest()

    @staticmethod
    def _repeat(case: _Case, spent: Spend, digest: str) -> Reason | None:
        if spent.body_digest != digest:
            raise Refused(Reason.TOKEN_REUSED)
        case.detail = "a repeat: the first answer again"
        return Reason(spent.outcome) if spent.outcome else None

    def _settle(
        self, case: _Case, result: AppendResult, digest: str, reason: Reason | None
    ) -> tuple[bool, Reason | None]:
        if isinstance(result, Appended):
            return True, reason
        if isinstance(result, Conflict):
            return False, None
        return True, self._repeat(case, result.spend, digest)

    async def _unsigned(self, case: _Case) -> Reason | None:
        """The legacy scheme's first install: no token, a tenant never heard of."""
        client_key = client_key_of(case.members) or ""
        case.claimed = client_key[:255]
        context = await self._p.contexts.get(self._p.app_key, client_key)
        kind = decide(case.callback, Proof.NONE, context, legacy=True)
        payload = parse(case.callback, case.members, self._p.app_key, self._p.sites)
        assert kind is not None  # noqa: S101 (the table: unknown tenants only, and those append)
        draft = await self._draft(kind, payload, None, {"kind": "unsigned-first"}, "")
        if isinstance(await self._append(client_key, None, draft, None), Conflict):
            raise Refused(Reason.TOKEN_MISSING)
        case.proved = client_key
        return None

    async def _append(
        self, client_key: str, context: Tenant | None, draft: Draft | None, spend: Spend | None
    ) -> AppendResult:
        version = context.version if context else 0
        return await self._p.log.append(Append(self._p.app_key, client_key, version, draft, spend))

    async def _draft(
        self, kind: EventType, payload: Payload, context: Tenant | None, proof: dict[str, Any], fingerprint: str
    ) -> Draft:
        app_key, client_key = self._p.app_key, payload.client_key
        version = (context.version if context else 0) + 1
        await self._p.keys.ensure_key(app_key, client_key)
        personal = ""
        if payload.personal:
            personal = self._p.vault.seal(app_key, client_key, version, "personal", payload.personal.encode())
        if payload.site is None:
            return Draft(kind, proof, Switched(personal), None, fingerprint)
        mark = self._p.vault.fingerprint(app_key, client_key, payload.secret)
        data = Installed(
            **asdict(payload.site),
            secret=self._p.vault.seal(app_key, client_key, version, "secret", payload.secret),
            secret_fingerprint=mark,
            personal=personal,
        )
        return Draft(kind, proof, data, describe_change(context, payload, mark), fingerprint)


def system_clock() -> float:
    """Unix seconds."""
    return time.time()
