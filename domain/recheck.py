"""Decides a recorded decision again: the same `check`, fed from what was kept.

What can be computed again is: times, whose secret (by its generation), audience, query-string hash, issuer and the
tenant's state. What cannot is read back as recorded: whether a signature held (tokens are not kept), and every refusal
from before the check (a token that could not be read, a key host that did not answer) or after it (a token spent
before, a payload). Calls that are no signature checks (`sign`, `audit`) are read back whole.
"""

from tenure.domain.check import Evidence, Match, Policy, Purpose, Verdict, check
from tenure.domain.decisions import Decision, Facts
from tenure.domain.refusals import Reason, Refused
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


def recheck(decision: Decision, context: Tenant | None, policy: Policy, now: float | None = None) -> Verdict:
    """The verdict on a recorded decision under a context and a policy, at the recorded time unless `now` is given."""
    recorded = Verdict(Reason(decision.reason) if decision.reason else None, decision.detail, decision.facts.retry)
    token, facts = token_of(decision), decision.facts
    if token is None:
        return recorded
    now = facts.now if now is None else now
    if not facts.match:
        return _times_alone(token, now, recorded)
    found = check(evidence_of(token, facts), context, policy, now)
    if found.reason is None and recorded.reason is not None and recorded.reason not in CHECKED:
        return recorded
    return found


def token_of(decision: Decision) -> Token | None:
    """What was kept of the token, without its signature; None if none could be read."""
    facts = decision.facts
    if facts.iat is None or facts.exp is None:
        return None
    return Token(
        alg=facts.alg, kid=facts.kid or None, iss=decision.claimed_client_key, iat=facts.iat, exp=facts.exp,
        nbf=facts.nbf, aud=facts.aud, qsh=facts.qsh, sub=None, signing_input=b"", signature=b"",
    )  # fmt: skip


def evidence_of(token: Token, facts: Facts) -> Evidence:
    """The evidence that was given to `check`."""
    return Evidence(Purpose(facts.purpose), token, Match(facts.match), facts.expected_qsh, facts.body_client_key)


def _times_alone(token: Token, now: float, recorded: Verdict) -> Verdict:
    # refused before its signature was looked at: for its times, or because no key was found
    try:
        check_times(token, now)
    except Refused as refused:
        return Verdict(refused.reason, refused.detail)
    return recorded
