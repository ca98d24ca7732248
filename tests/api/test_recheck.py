"""A stored decision can be decided again: the same verdict from what was kept, over the log as of then."""

import time

import pytest

from support.crowd import crowd
from support.house import APP_KEY, House
from tenure.domain.check import Policy
from tenure.domain.decisions import Decision
from tenure.domain.events import Operated
from tenure.domain.recheck import CHECKED, recheck
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import as_of


def _policy(house: House) -> tuple[Policy, str]:
    """The policy as the operators' stream tells it, and its digest."""
    started = [event.data for event in house.events("") if event.type == "operator.started"]
    assert isinstance(started[-1], Operated)
    told = started[-1].particulars
    deciding = told["deciding"]
    policy = Policy(frozenset(deciding["audiences"]), deciding["refuse_disabled"], deciding["legacy_install"])
    return policy, told["settings"]


@pytest.mark.parametrize("name", ["signed", "legacy"])
def test_every_decision_gives_its_verdict_again(request: pytest.FixtureRequest, name: str) -> None:
    """Deciding any stored decision again, under the state it read and the settings it names, ends the same way."""
    house: House = request.getfixturevalue(name)
    crowd(house)
    policy, digest = _policy(house)
    with house.decisions() as log, house.log() as events:
        found = [stored.decision for stored in log.all()]
        contexts = {
            decision.decision: as_of(events, APP_KEY, decision.claimed_client_key, decision.read_position)
            for decision in found
            if decision.read_position
        }
    assert {decision.facts.settings for decision in found} == {digest}
    different = [
        (decision, again)
        for decision in found
        if ((again := recheck(decision, contexts.get(decision.decision), policy)).reason or "", again.retry)
        != (decision.reason, decision.facts.retry)
    ]
    assert different == []
    seen = {Reason(decision.reason) for decision in found if decision.reason}
    assert len(seen & CHECKED) >= 11
    assert len(seen - CHECKED) >= 6
    recomputed = [decision for decision in found if decision.facts.match and Reason.EXPIRED.value != decision.reason]
    assert len(recomputed) > 15


def _accepted_page(house: House) -> tuple[Decision, Tenant | None, Policy]:
    answer = house.page(house.installed())
    decision = house.stored(answer)
    with house.log() as log:
        context = as_of(log, APP_KEY, decision.claimed_client_key, decision.read_position)
    return decision, context, _policy(house)[0]


def test_another_state_another_verdict(signed: House) -> None:
    """Under no context, a later time or a stricter policy the same record ends otherwise."""
    decision, context, policy = _accepted_page(signed)
    assert recheck(decision, context, policy).reason is None
    assert recheck(decision, None, policy).reason is Reason.TENANT_UNKNOWN
    assert recheck(decision, context, policy, now=time.time() + 3600).reason is Reason.EXPIRED
    assert decision.facts.secret_position == (context.secret.position if context else -1)
