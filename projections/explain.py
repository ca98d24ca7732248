"""Why a call was decided as it was: the steps in their order, one sentence of cause, one of what to do.

A refusal at one step means that all before it passed (`domain.refusals`), so the steps are told from the reason and
the facts recorded with the decision. What the facts lack is not guessed. The cause is told with what the tenant's
history knows besides: which event brought the secret that was used, who replaced the tenant on its site.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tenure.domain.callbacks import Callback
from tenure.domain.check import Policy
from tenure.domain.decisions import Decision
from tenure.domain.events import Event
from tenure.domain.qsh_doctor import MISTAKES, Mistake, diagnose_hash
from tenure.domain.questions import seconds_between
from tenure.domain.refusals import REASONS, Reason, Step
from tenure.domain.tenant import Tenant, standing
from tenure.projections.secrets import Flip, flips, generations, tenant_at

PASSED, FAILED, SKIPPED = "passed", "failed", "not reached"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known around a decision: the claimed tenant's whole history, other tenants of the same site, and the
    settings in force (`audiences`, `base_path`, `policy`), as far as they are known.
    """

    decision: Decision
    history: tuple[Event, ...] = ()
    siblings: tuple[Tenant, ...] = ()
    policy: Policy | None = None
    base_path: str = ""


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One check: passed, failed or not reached, and what was seen."""

    name: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer. `flips`: where in the history of the tenant the verdict turns."""

    steps: tuple[StepTaken, ...]
    context: dict[str, Any]
    why: str
    next: str
    flips: tuple[Flip, ...] = ()
    turns: str = field(default="")


def explain(known: Known) -> Explanation:
    """The explanation of one decision."""
    decision = known.decision
    tenant = tenant_at(known.history, decision.read_position)
    reason = _reason(decision)
    turning = tuple(flips(decision, known.history, known.policy or _likely_policy(decision)))
    why, to_do = _ACCEPTED if reason is None else _CAUSES.get(reason, _plain)(known, tenant)
    if reason is None and decision.verdict != "accepted":
        why, to_do = f"The call was answered {decision.status}.", decision.detail or "See the route in openapi.json."
    return Explanation(
        steps=_steps(known, tenant, reason),
        context={
            "read_position": decision.read_position,
            "version": tenant.version if tenant else 0,
            "secret_fingerprint": tenant.secret.fingerprint if tenant else "",
        },
        why=why,
        next=to_do,
        flips=turning,
        turns=_turns(decision, turning),
    )


_ACCEPTED = ("Every check held.", "Nothing.")


def _reason(decision: Decision) -> Reason | None:
    return Reason(decision.reason) if decision.reason in set(Reason) else None


def _likely_policy(decision: Decision) -> Policy:
    """Where the settings are not known: those under which the audience was judged as it was."""
    passed = decision.facts.aud if decision.reason != Reason.AUDIENCE_MISMATCH else ()
    return Policy(frozenset(name.removesuffix("/") for name in passed or ()))


def _turns(decision: Decision, turning: tuple[Flip, ...]) -> str:
    later = next((flip for flip in turning if flip.position > decision.read_position), None)
    if later is not None:
        return f"The verdict flips at position {later.position} ({later.type}, {later.recorded_at}): {later.verdict}."
    earlier = next((flip for flip in reversed(turning) if flip.position <= decision.read_position), None)
    if earlier is not None:
        return f"Flipped at position {earlier.position} ({earlier.type}, {earlier.recorded_at}); not since."
    return "At no position of this tenant's history is the verdict another."


# -- the steps


def _steps(known: Known, tenant: Tenant | None, reason: Reason | None) -> tuple[StepTaken, ...]:
    decision = known.decision
    if decision.kind in ("audit", "sign"):
        outcome = PASSED if decision.verdict == "accepted" else FAILED
        return (StepTaken("api token and request", outcome, decision.detail),)
    stopped = REASONS[reason].step if reason else None
    lifecycle = decision.kind in set(Callback)
    taken = []
    for step in Step:
        if step in (Step.ISSUER, Step.REUSE, Step.PAYLOAD) and not lifecycle:
            continue
        if step is Step.AUDIENCE and decision.facts.alg == "HS256":
            continue
        outcome = PASSED if stopped is None or step < stopped else FAILED if step == stopped else SKIPPED
        seen = "" if outcome == SKIPPED else _seen(step, known, tenant)
        if outcome == FAILED and reason is not None:
            seen = f"{REASONS[reason].sentence} {seen}".strip()
        taken.append(StepTaken(step.name.lower(), outcome, seen))
    return tuple(taken)


def _seen(step: Step, known: Known, tenant: Tenant | None) -> str:
    decision, facts = known.decision, known.decision.facts
    match step:
        case Step.ALGORITHM:
            return facts.alg
        case Step.CLAIMS:
            return f"iss {decision.claimed_client_key}" if decision.claimed_client_key else ""
        case Step.TIMES:
            return _times(decision)
        case Step.KEY:
            where = f"tenant {standing(tenant).value} at position {decision.read_position}"
            return f"kid {facts.kid}" if facts.alg == "RS256" else where
        case Step.SIGNATURE:
            brought = f", brought by the event at position {facts.secret_position}" if facts.secret_position else ""
            return f"matches: {facts.match}{brought}" if facts.match else ""
        case Step.AUDIENCE:
            return f"received {', '.join(facts.aud)}" if facts.aud else ""
        case Step.QSH:
            return f"received {facts.qsh}, expected {' or '.join(facts.expected_qsh)}" if facts.qsh else ""
        case Step.ISSUER:
            return f"body's clientKey {facts.body_client_key}" if facts.body_client_key else ""
        case Step.STATE:
            return f"tenant {standing(tenant).value}"
    return ""


def _times(decision: Decision) -> str:
    facts = decision.facts
    if facts.iat is None or facts.exp is None:
        return ""
    return (
        f"made {span(facts.now - facts.iat)} before our clock, to end {span(facts.exp - facts.iat)} after it was made"
    )


def span(seconds: float) -> str:
    """A length of time in words: `12 s`, `3 min`, `2.5 h`, `4 d`; negative ones keep their sign."""
    size, sign = abs(seconds), "-" if seconds <= -0.5 else ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if size >= 2 * length:
            return f"{sign}{size / length:.1f}".removesuffix(".0") + f" {unit}"
    return f"{sign}{size:.0f} s"


# -- the causes

Cause = tuple[str, str]


def _plain(known: Known, _: Tenant | None) -> Cause:
    decision = known.decision
    entry = REASONS[Reason(decision.reason)]
    told = f" ({decision.detail})" if decision.detail else ""
    return entry.sentence.removesuffix(".") + told + ".", entry.next


def _superseded(known: Known, tenant: Tenant | None) -> Cause:
    decision = known.decision
    position = decision.facts.secret_position or (tenant.previous.position if tenant and tenant.previous else 0)
    for one in generations(known.history):
        if one.position == position and one.replaced_at:
            ago = span(seconds_between(one.replaced_on, decision.at))
            return (
                f"Signed with the secret of position {one.position}, which the event at position {one.replaced_at} "
                f"({one.cause}, {one.replaced_on}) replaced {ago} before this call.",
                "If all calls since are like this, Jira never took the new secret over: "
                f"tenure reinstate {decision.claimed_client_key} --secret {one.position}. "
                "If later ones pass, it has: nothing.",
            )
    return _plain(known, tenant)


def _after_import(known: Known, tenant: Tenant | None) -> Cause | None:
    """The token speaks for a tenant that another one replaced on the same site."""
    mine = tenant or tenant_at(known.history, known.history[-1].position if known.history else 0)
    if mine is None:
        return None
    newer = [other for other in known.siblings if other.client_key != mine.client_key and other.position > 0]
    newer = [other for other in newer if other.base_url == mine.base_url and other.installed_at > mine.installed_at]
    if not newer:
        return None
    other = newer[0]
    return (
        f"The token's iss {mine.client_key} is a former tenant of {mine.base_url}: since {other.installed_at} that "
        f"site is {other.client_key} (a site import brings a new clientKey, and the old one vanishes without a word).",
        f"Look the site up by {other.client_key}; move the app's own data from the old client key to it.",
    )


def _signature(known: Known, tenant: Tenant | None) -> Cause:
    facts = known.decision.facts
    older = next((one for one in generations(known.history) if one.position == facts.secret_position), None)
    if older is not None and older.replaced_at:
        return (
            f"Signed with the secret of position {older.position}, replaced long ago, at position {older.replaced_at}.",
            "The sender holds an old secret: see which machine of it did not take the rotations over.",
        )
    imported = _after_import(known, tenant)
    if imported is not None:
        return imported
    if facts.alg == "RS256":
        return "The signature does not hold under the key that the kid names.", REASONS[Reason.SIGNATURE_BAD].next
    return (
        f"Signed with a secret that is none of the {len(generations(known.history))} this tenant ever had here.",
        "A stranger, if the site's other calls pass; else an installed that never reached us: ask for a new install.",
    )


def _unknown(known: Known, tenant: Tenant | None) -> Cause:
    decision, who = known.decision, known.decision.claimed_client_key
    first = known.history[0] if known.history else None
    if first is not None and first.recorded_at > decision.at:
        return (
            f"{who} was not installed yet: its first event is position {first.position}, "
            f"{span(seconds_between(decision.at, first.recorded_at))} later.",
            "Nothing: calls after it pass.",
        )
    if tenant is not None and tenant.erased_at:
        return f"{who} was erased at {tenant.erased_at}.", "A new install makes it a tenant again."
    return f"No installed of {who} was ever believed here.", REASONS[Reason.TENANT_UNKNOWN].next


def _uninstalled(known: Known, tenant: Tenant | None) -> Cause:
    imported = _after_import(known, tenant)
    if imported is not None:
        return imported
    when = tenant.uninstalled_at if tenant else ""
    return (
        f"The site uninstalled the app at {when}, position {known.decision.read_position} being its last word then.",
        "Nothing, if the admin meant it; a return comes with a new installed.",
    )


def _audience(known: Known, _: Tenant | None) -> Cause:
    received = ", ".join(known.decision.facts.aud or ()) or known.decision.detail or "none"
    expected = " or ".join(sorted(known.policy.audiences)) if known.policy and known.policy.audiences else "BASE_URL"
    return (
        f"The token is meant for {received}; expected is {expected}.",
        "Set BASE_URL as in the descriptor Jira has, or name the other in EXTRA_BASE_URLS, if it is yours.",
    )


def _expired(known: Known, _: Tenant | None) -> Cause:
    facts = known.decision.facts
    if facts.iat is None or facts.exp is None:
        return _plain(known, None)
    return (
        f"The token was made {span(facts.now - facts.iat)} before our clock and had ended {span(facts.now - facts.exp)}"
        f" before: if it was sent at once, our clock is {span(facts.now - facts.iat)} ahead of the sender's.",
        "Compare both clocks (NTP); if ours is right and others' calls pass, an old token was sent again.",
    )


def _early(known: Known, _: Tenant | None) -> Cause:
    facts = known.decision.facts
    starts = max(facts.iat or 0, facts.nbf or 0)
    return (
        f"The token begins {span(starts - facts.now)} after our clock: ours is behind the sender's by that much.",
        "Compare both clocks (NTP).",
    )


def _issuer(known: Known, tenant: Tenant | None) -> Cause:
    decision = known.decision
    body = decision.facts.body_client_key or "another"
    sibling = next((other for other in known.siblings if other.client_key == body), None)
    if sibling is not None:
        return (
            f"The token speaks for {decision.claimed_client_key}, the body for {body}: both are tenants of the site "
            f"{sibling.base_url}, as after a site import.",
            "The site must sign with the client key and secret of its latest install; ask the admin to install again.",
        )
    told = f"The token speaks for {decision.claimed_client_key}, the body for {body}."
    return told, REASONS[Reason.ISSUER_MISMATCH].next


def mistakes_of(decision: Decision, base_path: str = "") -> tuple[Mistake, ...]:
    """What the doctor found at the time, or finds now where the request had no query."""
    facts = decision.facts
    if facts.mistakes:
        return tuple(MISTAKES[code] for code in facts.mistakes if code in MISTAKES)
    if facts.query_names or not facts.qsh:
        return ()
    return diagnose_hash(facts.qsh, decision.method, decision.path, "", base_path)


def _qsh(known: Known, _: Tenant | None) -> Cause:
    found = mistakes_of(known.decision, known.base_path)
    if not found:
        names = ", ".join(known.decision.facts.query_names)
        query = f" with the parameters {names}" if names else ""
        return (
            f"The token is bound to another request than {known.decision.method} {known.decision.path}{query}, "
            "and no known mistake gives its hash.",
            "Have the sender print what it hashed; compare with: tenure qsh METHOD URL --expect HASH.",
        )
    return " ".join(mistake.sentence for mistake in found), found[0].next


_CAUSES: Mapping[Reason, Callable[[Known, Tenant | None], Cause]] = {
    Reason.SECRET_SUPERSEDED: _superseded,
    Reason.SIGNATURE_BAD: _signature,
    Reason.TENANT_UNKNOWN: _unknown,
    Reason.TENANT_UNINSTALLED: _uninstalled,
    Reason.AUDIENCE_MISMATCH: _audience,
    Reason.EXPIRED: _expired,
    Reason.NOT_YET_VALID: _early,
    Reason.ISSUER_MISMATCH: _issuer,
    Reason.QSH_MISMATCH: _qsh,
}
