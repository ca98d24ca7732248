"""Decides a recorded decision again: the same `check` and the same table, fed from what was kept.

Computed again: whether the kind of proof is taken, times, whose secret (by its fingerprint, against those in force),
audience, query-string hash, issuer, the tenant's state. Read back as recorded: whether a signature held under the
secret or key that it was tried under (tokens are not kept), and every refusal from before the check (a token that
could not be read, a key host that did not answer) or after it (a token spent before, a payload, a store that failed).
Calls that are no signature checks (`sign`, `audit`) are read back whole. What can neither be computed nor read back is
said (`untold`), never guessed: a signature was not tried under a secret that came later, a token refused for its
algorithm was not read further.
"""

from dataclasses import dataclass

from tenure.domain.callbacks import Callback
from tenure.domain.check import Evidence, Match, Policy, Purpose, Verdict, check
from tenure.domain.decisions import Decision
from tenure.domain.lifecycle import Proof, allowed, decide
from tenure.domain.qsh import accepted_hashes
from tenure.domain.refusals import REASONS, Reason, Refused, Step
from tenure.domain.tenant import Tenant
from tenure.domain.token import Token, check_times

# The reasons `check` itself can find; every other one is read back.
CHECKED = frozenset(
    (
        Reason.EXPIRED,
        Reason.NOT_YET_VALID,
        Reason.CLAIM_MALFORMED,
        Reason.LIFETIME_TOO_LONG,
        Reason.TENANT_UNKNOWN,
        Reason.SIGNATURE_BAD,
        Reason.SECRET_SUPERSEDED,
        Reason.AUDIENCE_MISMATCH,
        Reason.QSH_MISSING,
        Reason.QSH_MISMATCH,
        Reason.CONTEXT_REQUIRED,
        Reason.CONTEXT_NOT_ALLOWED,
        Reason.ISSUER_MISMATCH,
        Reason.TENANT_UNINSTALLED,
        Reason.TENANT_DISABLED,
    )
)

# What is answered instead of whatever had been decided, because we failed.
_INSTEAD = frozenset((Reason.STORE_UNAVAILABLE, Reason.UNRECORDABLE, Reason.UNEXPECTED))

_LIFECYCLE_ONLY = frozenset((Step.ISSUER, Step.REUSE, Step.PAYLOAD))
_COMPUTED = frozenset((Step.ALGORITHM, Step.TIMES, Step.KEY, Step.AUDIENCE, Step.QSH, Step.ISSUER, Step.STATE))

REPEAT = "a repeat: the first answer again"
NEVER_TRIED = "its signature was never tried under the secret in force there: tokens are not kept"
NOT_LOOKED_AT = "no longer refused for its times, but its signature was not looked at then"
NOT_READ = "under this setting the call would have been read further, and nothing more of it is kept"
NO_QUERY = "the hash under another base path depends on the query, of which only the names are kept"


@dataclass(frozen=True, slots=True)
class Under:
    """What a decision is decided under: the tenant's state, the settings, the clock (Unix seconds), the base path.

    `used` is the fingerprint of the secret that signed it (empty: none of those it was tried under, or it was an
    install key's), `tried` the fingerprints it was tried under. None: what matched is read back as it was.
    """

    tenant: Tenant | None
    policy: Policy
    now: float
    base_path: str | None = None
    used: str = ""
    tried: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """What came of it. `untold` says why it cannot be known; `recomputed` and `read_back` are the steps reached."""

    verdict: Verdict
    recomputed: tuple[Step, ...] = ()
    read_back: tuple[Step, ...] = ()
    untold: str = ""


def recheck(decision: Decision, context: Tenant | None, policy: Policy, now: float | None = None) -> Verdict:
    """The verdict on a recorded decision under a context and a policy, at the recorded time unless `now` is given."""
    return again(decision, Under(context, policy, decision.facts.now if now is None else now)).verdict


def again(decision: Decision, under: Under) -> Again:
    """Decides a recorded decision again."""
    token = token_of(decision)
    if token is None:
        verdict, untold = _without_token(decision, under)
        return _told(decision, verdict, untold)
    verdict, untold = _with_token(decision, token, under)
    return _told(decision, verdict, untold, computed=_COMPUTED)


def recorded_verdict(decision: Decision) -> Verdict:
    """The verdict as it was recorded."""
    return Verdict(Reason(decision.reason) if decision.reason else None, decision.detail, decision.facts.retry)


def token_of(decision: Decision) -> Token | None:
    """What was kept of the token, without its signature; None if none could be read."""
    facts = decision.facts
    if facts.iat is None or facts.exp is None:
        return None
    return Token(
        alg=facts.alg, kid=facts.kid or None, iss=decision.claimed_client_key, iat=facts.iat, exp=facts.exp,
        nbf=facts.nbf, aud=facts.aud, qsh=facts.qsh, sub=None, signing_input=b"", signature=b"",
    )  # fmt: skip


def _without_token(decision: Decision, under: Under) -> tuple[Verdict, str]:
    recorded, legacy = recorded_verdict(decision), under.policy.legacy_install
    if decision.kind not in set(Callback):
        return recorded, ""
    callback = Callback(decision.kind)
    if recorded.reason is Reason.ALGORITHM_NOT_ALLOWED:
        named = Proof.__members__.get(decision.detail)
        return recorded, NOT_READ if named and allowed(callback, named, legacy) else ""
    if callback is not Callback.INSTALLED or decision.facts.alg:
        return recorded, ""
    if recorded.reason is None:
        # the legacy scheme's first install, without a token
        try:
            decide(callback, Proof.NONE, under.tenant, legacy)
        except Refused as refused:
            return Verdict(refused.reason), ""
    if recorded.reason is Reason.TOKEN_MISSING and legacy and not decision.claimed_client_key:
        return recorded, NOT_READ
    return recorded, ""


def _with_token(decision: Decision, token: Token, under: Under) -> tuple[Verdict, str]:
    recorded, facts, policy = recorded_verdict(decision), decision.facts, under.policy
    if recorded.reason in _INSTEAD:
        return recorded, ""
    lifecycle = decision.kind in set(Callback) and token.alg in Proof.__members__
    if lifecycle and not allowed(Callback(decision.kind), Proof[token.alg], policy.legacy_install):
        return Verdict(Reason.ALGORITHM_NOT_ALLOWED, token.alg), ""
    if not facts.match:
        return _times_alone(token, under, recorded)
    hashes, untold = _expected(decision, under)
    match = _match(decision, under)
    evidence = Evidence(Purpose(facts.purpose), token, match or Match.NONE, hashes, facts.body_client_key)
    found = check(evidence, under.tenant, policy, under.now)
    if match is None and found.reason is Reason.SIGNATURE_BAD:
        return found, NEVER_TRIED
    if untold and (found.reason is None or REASONS[found.reason].step >= Step.QSH):
        return found, untold
    if found.reason is None and recorded.reason is not None and recorded.reason not in CHECKED:
        return recorded, ""
    if found.reason is None and lifecycle and not _is_repeat(decision):
        try:
            decide(Callback(decision.kind), Proof[token.alg], under.tenant, policy.legacy_install)
        except Refused as refused:
            return Verdict(refused.reason, refused.detail), ""
    return found, ""


def _times_alone(token: Token, under: Under, recorded: Verdict) -> tuple[Verdict, str]:
    # refused before its signature was looked at: for its times, or because no key was found
    try:
        check_times(token, under.now, under.policy.leeway, under.policy.max_lifetime)
    except Refused as refused:
        return Verdict(refused.reason, refused.detail), ""
    timely = recorded.reason is None or REASONS[recorded.reason].step > Step.TIMES
    return recorded, "" if timely else NOT_LOOKED_AT


def _match(decision: Decision, under: Under) -> Match | None:
    """The kept generation that the signature holds under in this state; None: it was not tried under what is kept."""
    facts, tenant = decision.facts, under.tenant
    match = Match(facts.match)
    if under.tried is None or facts.alg != "HS256" or tenant is None:
        return match
    kept = [tenant.secret.fingerprint, tenant.previous.fingerprint if tenant.previous else ""]
    if not under.used:
        return match if {mark for mark in kept if mark} <= under.tried else None
    if kept[0] == under.used:
        return Match.CURRENT
    if kept[1] != under.used:
        return Match.NONE
    # the call that brought a rotation, sent again, is believed by the secret it was first believed by
    return Match.CURRENT if _is_repeat(decision) and match is Match.CURRENT else Match.PREVIOUS


def _is_repeat(decision: Decision) -> bool:
    return decision.detail == REPEAT


def _expected(decision: Decision, under: Under) -> tuple[tuple[str, ...], str]:
    """The hashes that are right under another base path, as far as they can be had."""
    kept = decision.facts.expected_qsh
    if under.base_path is None:
        return kept, ""
    if decision.facts.query_names:
        return kept, NO_QUERY
    return accepted_hashes(decision.method, decision.path, "", under.base_path), ""


def _told(decision: Decision, verdict: Verdict, untold: str, computed: frozenset[Step] = frozenset()) -> Again:
    stopped = REASONS[verdict.reason].step if verdict.reason else Step.STATE
    if decision.kind in ("audit", "sign"):
        return Again(verdict, (), (Step.SYNTAX,), untold)
    lifecycle = decision.kind in set(Callback)
    reached = [
        step
        for step in Step
        if step <= stopped
        and (lifecycle or step not in _LIFECYCLE_ONLY)
        and not (step is Step.AUDIENCE and decision.facts.alg != "RS256")
    ]
    if not decision.facts.match:
        computed = computed & {Step.ALGORITHM, Step.TIMES}
    if decision.facts.alg == "RS256":
        computed = computed - {Step.KEY}
    recomputed = tuple(step for step in reached if step in computed)
    return Again(verdict, recomputed, tuple(step for step in reached if step not in computed), untold)
