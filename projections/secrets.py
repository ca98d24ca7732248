"""The generations of a tenant's secret, as its history tells them: which event brought each, and when it was replaced.

And what a recorded call would have been told at any other position: the same `check` and the same table as live. A
token is never kept, so that its signature held under the secret of one event is read back from the record and put
against the secrets in force at the other position.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tenure.domain.callbacks import Callback
from tenure.domain.check import Evidence, Match, Policy, Purpose, check
from tenure.domain.decisions import Decision
from tenure.domain.events import Event, Installed, Reinstated
from tenure.domain.lifecycle import Proof, decide
from tenure.domain.refusals import Reason, Refused
from tenure.domain.tenant import Tenant, evolve, fold_stream
from tenure.domain.token import Token


@dataclass(frozen=True, slots=True)
class Generation:
    """A secret: the event that brought it, and the one that replaced it (0 and empty: none yet)."""

    position: int
    since: str
    fingerprint: str
    replaced_at: int = 0
    replaced_on: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Flip:
    """From `position` on, by an event of `type`, the call is accepted (`reason` empty) or refused."""

    position: int
    type: str
    recorded_at: str
    verdict: str
    reason: str


def tenant_at(history: Iterable[Event], position: int) -> Tenant | None:
    """The tenant folded up to a position."""
    return fold_stream(event for event in history if event.position <= position)


def generations(history: Iterable[Event]) -> list[Generation]:
    """Every secret the tenant had, oldest first; one sent again unchanged is no new one."""
    found: list[Generation] = []
    for event in history:
        if not isinstance(event.data, Installed | Reinstated):
            continue
        if found and found[-1].fingerprint == event.data.secret_fingerprint:
            continue
        cause = event.changed.cause.value if event.changed else event.type
        if found:
            old = found[-1]
            found[-1] = Generation(old.position, old.since, old.fingerprint, event.position, event.recorded_at, cause)
        found.append(Generation(event.position, event.recorded_at, event.data.secret_fingerprint))
    return found


def flips(decision: Decision, history: tuple[Event, ...], policy: Policy) -> list[Flip]:
    """Where in the tenant's history the verdict on this call turns; empty if what refused it is not its state."""
    facts = decision.facts
    if facts.iat is None or facts.exp is None or not decision.claimed_client_key or not history:
        return []
    used = _fingerprint_used(decision, history)
    found: list[Flip] = []
    tenant, before = None, reason_at(decision, None, "", policy)
    for event in history:
        tenant = evolve(tenant, event)
        now = reason_at(decision, tenant, used, policy)
        if (now is None) != (before is None):
            verdict = "refused" if now else "accepted"
            found.append(Flip(event.position, event.type, event.recorded_at, verdict, now.value if now else ""))
        before = now
    return found


def reason_at(decision: Decision, tenant: Tenant | None, used: str, policy: Policy) -> Reason | None:
    """Why the recorded call is refused in another state; None: accepted. `used` is its secret's fingerprint."""
    facts = decision.facts
    token = Token(
        alg=facts.alg, kid=facts.kid or None, iss=decision.claimed_client_key, iat=facts.iat or 0, exp=facts.exp or 0,
        nbf=facts.nbf, aud=facts.aud, qsh=facts.qsh, sub=None, signing_input=b"", signature=b"",
    )  # fmt: skip
    purpose = Purpose(facts.purpose) if facts.purpose in set(Purpose) else Purpose.TRAFFIC
    match = Match(facts.match) if facts.match in set(Match) else Match.NONE
    if facts.alg == "HS256":
        match = _match(tenant, used)
    evidence = Evidence(purpose, token, match, facts.expected_qsh, facts.body_client_key)
    reason = check(evidence, tenant, policy, facts.now).reason
    if reason is None and decision.kind in set(Callback) and facts.alg in Proof.__members__:
        try:
            decide(Callback(decision.kind), Proof[facts.alg], tenant, policy.legacy_install)
        except Refused as refused:
            return refused.reason
    return reason


def _match(tenant: Tenant | None, used: str) -> Match:
    if tenant is None or not used:
        return Match.NONE
    if tenant.secret.fingerprint == used:
        return Match.CURRENT
    return Match.PREVIOUS if tenant.previous and tenant.previous.fingerprint == used else Match.NONE


def _fingerprint_used(decision: Decision, history: tuple[Event, ...]) -> str:
    """The fingerprint of the secret that the token was signed with, as far as it was recognised."""
    wanted = decision.facts.secret_position
    for event in history:
        if wanted and event.position == wanted and isinstance(event.data, Installed | Reinstated):
            return event.data.secret_fingerprint
    then = tenant_at(history, decision.read_position)
    if then is not None and decision.facts.match == Match.CURRENT:
        return then.secret.fingerprint
    if then is not None and then.previous and decision.facts.match == Match.PREVIOUS:
        return then.previous.fingerprint
    return ""
