"""The four lifecycle callbacks: prove the caller, ask the table, append, answer 204.

The order of checks is the reasons' order (`domain.refusals`). The state is read, decided on and appended at the version
that was read; if the stream has moved on meanwhile, all of it is done again, the signature included. A believed token
is spent with its body in the append's own transaction, whatever came of it: the same token with the same body gets
the first answer again, with another body it is refused.

Where the disk takes fewer writes than are asked for, `installed` and `uninstalled` that were believed wait up to 5 s:
Jira never repeats them. `enabled` and `disabled`, and first installs that nobody signed, yield to them: they are
answered 503 at once (`store.lane`), before anything is looked at. A call that cannot be proved waits for no write.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from tenure.api.gate import Gate, Passage, secret_position
from tenure.api.http import Answer, Call, SlowCallerError, only_token
from tenure.api.install_keys import InstallKeys
from tenure.api.payloads import client_key_of, parse, read_object
from tenure.api.problems import STATUS, refusal
from tenure.api.recorder import Recorder, new_id
from tenure.domain.callbacks import Callback, Payload
from tenure.domain.check import Evidence, Match, Policy, Purpose, Verdict, check
from tenure.domain.events import Draft, EventType, Installed, Switched
from tenure.domain.lifecycle import Proof, allowed, decide, describe_change
from tenure.domain.ports import Append, Appended, AppendResult, AsyncLog, Conflict, Contexts, Spend, SpentTokens, Vault
from tenure.domain.qsh import accepted_hashes
from tenure.domain.recheck import REPEAT
from tenure.domain.refusals import OursError, Reason, Refused
from tenure.domain.tenant import Tenant
from tenure.domain.token import Token, check_times, checked_kid, read, signed_by_key

BODY_LIMIT = 256 * 1024
ATTEMPTS = 20
DEADLINE_S = 9.0
WRITES_S = 5.0


class Keys(Protocol):
    """Makes a tenant's data key, off the event loop."""

    async def ensure_key(self, app_key: str, client_key: str, *, within: float, yields: bool = False) -> None: ...


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
    caller: Callable[[Call], str]


@dataclass(slots=True)
class _Case:
    """One call on its way. `passage` is what was found out of it so far, for the record; `proved` the client key."""

    callback: Callback
    call: Call
    body: bytes = b""
    digest: str = ""
    members: dict[str, Any] | None = None
    spent: Spend | None = None
    passage: Passage = field(default_factory=lambda: Passage(Verdict(), purpose=Purpose.LIFECYCLE.value))
    proved: str = ""
    claimed: str = ""
    detail: str = ""
    written_by: float = 0.0
    yields: bool = False

    def within(self) -> float:
        """The seconds that are left for its writes."""
        now = time.monotonic()
        self.written_by = self.written_by or now + WRITES_S
        return max(0.0, self.written_by - now)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What came of an attempt that is the last: a 2xx, or the reason of a believed call's 400."""

    reason: Reason | None = None


class Lifecycle:
    """Handles lifecycle calls of one app."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts

    async def handle(self, callback: Callback, call: Call) -> Answer:
        """The answer to a lifecycle call; its decision is recorded."""
        reason: Reason | None = None
        case = _Case(callback, call, yields=callback in (Callback.ENABLED, Callback.DISABLED))
        try:
            if case.yields and self._p.log.refuses(WRITES_S, yields=True):
                raise OursError(Reason.STORE_UNAVAILABLE, "more writes than the disk takes")
            case.body = await call.body(BODY_LIMIT)
            case.digest = hashlib.sha256(case.body).hexdigest()
            async with asyncio.timeout(DEADLINE_S):
                reason = await self._decide(case)
        except SlowCallerError:
            reason = Reason.BODY_INCOMPLETE
        except TimeoutError:
            # it may still be appended: then the same token is answered as a repeat
            reason, case.detail = Reason.STORE_UNAVAILABLE, "not done in time"
        except Refused as refused:
            reason, case.detail = refused.reason, refused.detail
        except OursError as error:
            reason, case.detail = error.reason, error.detail
        return await self._answer(case, reason)

    async def _answer(self, case: _Case, reason: Reason | None) -> Answer:
        decision = new_id()
        try:
            await self._p.recorder.record(
                case.call,
                decision=decision,
                kind=case.callback.value,
                status=STATUS[reason] if reason else 204,
                passage=replace(case.passage, verdict=Verdict(reason, case.detail)),
                client_key=case.proved,
                claimed=case.claimed,
            )
        except OursError as error:
            # What was believed is in the log and in force: a 503 now would make a host roll the install back. It is
            # counted as dropped; the event is its record.
            reason = reason and error.reason
        if reason is None:
            return Answer(204, headers=((b"x-tenure-decision", decision.encode()),))
        return refusal(reason, decision, self._p.app_key, html_wanted=case.call.wants_html)

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
            settled = await self._attempt(case, token)
            if settled is not None:
                return settled.reason
        raise OursError(Reason.STORE_UNAVAILABLE, "the tenant's stream does not hold still")

    async def _attempt(self, case: _Case, token: Token) -> _Settled | None:
        """None: the stream has moved on meanwhile, prove and decide again."""
        case.spent = None
        context, proof = await self._prove(case, token)
        # looked up after the proof: who cannot prove the call learns nothing of what was spent
        case.spent = case.spent or await self._p.spent.spent(token.fingerprint)
        if case.spent is not None:
            return self._repeat(case, case.spent)
        try:
            payload = parse(case.callback, case.members, self._p.app_key, self._p.sites)
            kind = decide(case.callback, Proof[token.alg], context, self._p.policy.legacy_install)
        except Refused as refused:
            case.detail = refused.detail
            spend = Spend(token.fingerprint, case.digest, refused.reason.value)
            result = await self._append(case, token.iss, context, None, spend)
            return self._settle(case, result, refused.reason)
        draft = await self._draft(case, kind, payload, context, proof, token.fingerprint) if kind else None
        result = await self._append(case, token.iss, context, draft, Spend(token.fingerprint, case.digest))
        return self._settle(case, result, None)

    async def _prove(self, case: _Case, token: Token) -> tuple[Tenant | None, dict[str, Any]]:
        """The tenant's context and how the call was believed, or Refused."""
        now = self._p.clock()
        case.passage = Passage(Verdict(), token, now=now, purpose=Purpose.LIFECYCLE.value)
        check_times(token, now)
        proof: dict[str, Any]
        if token.alg == "RS256":
            kid = checked_kid(token)
            key = await self._p.install_keys.find(kid, self._p.caller(case.call))
            match = Match.CURRENT if signed_by_key(token, key) else Match.NONE
            proof = {"kind": "rs256", "kid": kid}
            context, position = await self._p.contexts.get(self._p.app_key, token.iss), 0
        else:
            context = await self._p.contexts.get(self._p.app_key, token.iss)
            match = self._p.gate.match(context, token)
            position = secret_position(context, match)
            if match is Match.PREVIOUS and await self._is_repeat(case, token):
                match = Match.CURRENT
            proof = {"kind": "hs256", "secret_fingerprint": context.secret.fingerprint if context else ""}
        evidence = Evidence(
            purpose=Purpose.LIFECYCLE,
            token=token,
            match=match,
            expected_qsh=self._expected(case, match),
            body_client_key=self._body_client_key(case, match),
        )
        verdict = check(evidence, context, self._p.policy, now)
        case.passage = Passage(verdict, token, context, evidence, now, Purpose.LIFECYCLE.value, position)
        if verdict.reason is not None:
            raise Refused(verdict.reason, verdict.detail)
        case.proved = token.iss
        return context, proof

    async def _is_repeat(self, case: _Case, token: Token) -> bool:
        # the very call that brought the rotation, or one before it, sent again: it was believed when it came first
        case.spent = await self._p.spent.spent(token.fingerprint)
        return case.spent is not None and case.spent.body_digest == case.digest

    @staticmethod
    def _repeat(case: _Case, spent: Spend) -> _Settled:
        if spent.body_digest != case.digest:
            raise Refused(Reason.TOKEN_REUSED)
        case.detail = REPEAT
        return _Settled(Reason(spent.outcome) if spent.outcome else None)

    def _settle(self, case: _Case, result: AppendResult, reason: Reason | None) -> _Settled | None:
        if isinstance(result, Appended):
            return _Settled(reason)
        if isinstance(result, Conflict):
            return None
        return self._repeat(case, result.spend)

    # Neither query nor body of an unproved call is looked at: what a stranger sends must cost nothing.

    def _expected(self, case: _Case, match: Match) -> tuple[str, ...]:
        if match is Match.NONE:
            return ()
        return accepted_hashes(case.call.method, case.call.path, case.call.query, self._p.base_path)

    @staticmethod
    def _body_client_key(case: _Case, match: Match) -> str | None:
        if match is Match.NONE:
            return None
        case.members = read_object(case.body)
        return client_key_of(case.members)

    async def _unsigned(self, case: _Case) -> Reason | None:
        """The legacy scheme's first install: no token, a tenant never heard of."""
        case.members = read_object(case.body)
        client_key = client_key_of(case.members) or ""
        case.claimed = client_key[:255]
        context = await self._p.contexts.get(self._p.app_key, client_key)
        kind = decide(case.callback, Proof.NONE, context, legacy=True)
        payload = parse(case.callback, case.members, self._p.app_key, self._p.sites)
        assert kind is not None  # noqa: S101 (the table: unknown tenants only, and those append)
        # a context only of an erased tenant, which is unknown and returns with its bare history
        case.yields = True
        draft = await self._draft(case, kind, payload, context, {"kind": "unsigned-first"}, "")
        if isinstance(await self._append(case, client_key, context, draft, None), Conflict):
            raise Refused(Reason.TOKEN_MISSING)
        case.proved = client_key
        return None

    async def _append(
        self, case: _Case, client_key: str, context: Tenant | None, draft: Draft | None, spend: Spend | None
    ) -> AppendResult:
        request = Append(self._p.app_key, client_key, context.version if context else 0, draft, spend)
        result = await self._p.log.append(request, within=case.within(), yields=case.yields)
        case.yields = False  # if it has to come again: it has waited for its turn
        return result

    async def _draft(
        self, case: _Case, kind: EventType, payload: Payload, context: Tenant | None, proof: dict[str, Any],
        fingerprint: str,
    ) -> Draft:  # fmt: skip
        app_key, client_key = self._p.app_key, payload.client_key
        version = (context.version if context else 0) + 1
        await self._p.keys.ensure_key(app_key, client_key, within=case.within(), yields=case.yields)
        sealed = context.secret.sealed if context is not None and not context.erased_at else ""
        if sealed and not self._p.vault.opens(app_key, client_key, sealed):
            raise OursError(Reason.STORE_UNAVAILABLE, "an erasure of this tenant is not complete")
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
