"""The one meaning of a check: evidence, context and policy in, a verdict out.

Live traffic, replay and explanations all call `check`. It computes no signature: whether a secret or key matched is
part of the evidence, because a token is never kept, and a replay can only read that back.

Ordinary traffic (webhooks, pages, API calls) is HS256 by the tenant's current secret. For 60 s after a rotation the
secret just replaced is recognised, never accepted: Jira switches only after it has our 204, and a webhook refused
with 401 would be lost (`retry` says so). A kept context of an uninstalled tenant verifies lifecycle calls only.
`qsh: "context-qsh"` is for routes that ask for it, and at lifecycle URLs never (CVE-2021-26073).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tenure.domain.qsh import CONTEXT_QSH
from tenure.domain.refusals import Reason, Refused
from tenure.domain.tenant import Standing, Tenant, standing
from tenure.domain.token import LEEWAY, MAX_LIFETIME, Token, check_times

ROTATION_GRACE = 60


class Purpose(StrEnum):
    """What the token is shown for."""

    TRAFFIC = "traffic"
    CONTEXT = "context"
    LIFECYCLE = "lifecycle"


class Match(StrEnum):
    """Which kept generation of the secret (or the install key) the signature holds under."""

    CURRENT = "current"
    PREVIOUS = "previous"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide: accepted audiences (no trailing slash), and whether disabled tenants are refused; and
    the constants beside them, in seconds: live they are as here, a replay takes those that were in force then.
    """

    audiences: frozenset[str]
    refuse_disabled: bool = False
    legacy_install: bool = False
    leeway: int = LEEWAY
    max_lifetime: int = MAX_LIFETIME
    rotation_grace: int = ROTATION_GRACE


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one call. `body_client_key` only on lifecycle calls whose body could be read."""

    purpose: Purpose
    token: Token
    match: Match
    expected_qsh: tuple[str, ...]
    body_client_key: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted if `reason` is None. `retry`: not believed, but an honest sender will be, in a moment."""

    reason: Reason | None = None
    detail: str = ""
    retry: bool = False


ACCEPTED = Verdict()


def check(evidence: Evidence, context: Tenant | None, policy: Policy, now: float) -> Verdict:
    """Decides a call whose token has been read, at `now` (Unix seconds). Never raises."""
    try:
        check_times(evidence.token, now, policy.leeway, policy.max_lifetime)
        _check_signature(evidence, context)
        _check_audience(evidence, policy)
        _check_qsh(evidence)
        _check_issuer(evidence)
        if evidence.purpose is not Purpose.LIFECYCLE:
            _check_state(context, policy)
    except Refused as refused:
        retry = refused.reason is Reason.SECRET_SUPERSEDED and _just_rotated(evidence, context, policy, now)
        return Verdict(refused.reason, refused.detail, retry)
    return ACCEPTED


def _check_signature(evidence: Evidence, context: Tenant | None) -> None:
    # told apart only where it is raised: an unknown tenant takes as long as a bad signature
    unknown = evidence.token.alg == "HS256" and standing(context) is Standing.UNKNOWN
    if unknown or evidence.match is Match.NONE:
        raise Refused(Reason.TENANT_UNKNOWN if unknown else Reason.SIGNATURE_BAD)
    if evidence.match is Match.PREVIOUS:
        raise Refused(Reason.SECRET_SUPERSEDED)


def _check_audience(evidence: Evidence, policy: Policy) -> None:
    # HS256 tokens are bound by the tenant's secret and need no audience; install keys are everybody's.
    if evidence.token.alg != "RS256":
        return
    names = evidence.token.aud or ()
    if len(names) != 1 or names[0].removesuffix("/") not in policy.audiences:
        raise Refused(Reason.AUDIENCE_MISMATCH, ", ".join(names)[:200])


def _check_qsh(evidence: Evidence) -> None:
    qsh = evidence.token.qsh
    if qsh is None:
        raise Refused(Reason.QSH_MISSING)
    if evidence.purpose is Purpose.CONTEXT:
        if qsh != CONTEXT_QSH:
            raise Refused(Reason.CONTEXT_REQUIRED)
    elif qsh == CONTEXT_QSH:
        raise Refused(Reason.CONTEXT_NOT_ALLOWED)
    elif qsh not in evidence.expected_qsh:
        raise Refused(Reason.QSH_MISMATCH, f"received {qsh[:64]}")


def _check_issuer(evidence: Evidence) -> None:
    if evidence.body_client_key is not None and evidence.body_client_key != evidence.token.iss:
        raise Refused(Reason.ISSUER_MISMATCH)


def _check_state(context: Tenant | None, policy: Policy) -> None:
    if context is not None and not context.installed:
        raise Refused(Reason.TENANT_UNINSTALLED)
    if context is not None and context.disabled and policy.refuse_disabled:
        raise Refused(Reason.TENANT_DISABLED)


def _just_rotated(evidence: Evidence, context: Tenant | None, policy: Policy, now: float) -> bool:
    if context is None or not context.installed or evidence.purpose is Purpose.LIFECYCLE:
        return False
    return now - datetime.fromisoformat(context.secret.since).timestamp() < policy.rotation_grace
