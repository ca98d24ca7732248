"""A stored decision can be decided again: the same verdict from what was kept, over the log as of then."""

import time

import httpx
import pytest

from support.house import APP_KEY, House
from tenure.domain.check import Policy
from tenure.domain.decisions import Decision
from tenure.domain.events import Operated
from tenure.domain.recheck import CHECKED, recheck
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import as_of
from tenure.simulator.attacker import Attacker
from tenure.simulator.tokens import OMIT


def _crowd(house: House) -> None:
    """Calls of all kinds, good and bad."""
    site, stranger, gone, rotated = house.installed(), house.site(), house.installed(), house.installed()
    assert gone.uninstall().status == 204
    old = rotated.secret
    assert rotated.rotate().status == 204
    attacker, now = Attacker(site), int(time.time())
    attacker.scanner_probes("installed")
    attacker.scanner_probes("enabled")
    for odd in (attacker.unsigned_install, attacker.self_signed_install, attacker.unknown_key_install,
                attacker.borrowed_kid_install, attacker.own_lifecycle, attacker.own_webhook):  # fmt: skip
        odd()
    attacker.foreign_install(house.installed())
    for claims in ({}, {"exp": OMIT}, {"qsh": "0" * 64}, {"qsh": OMIT}, {"qsh": "context-qsh"}, {"iat": 0, "exp": 9},
                   {"iat": now + 900, "exp": now + 990}, {"iat": now, "exp": now + 4000}, {"secret": "x" * 64},
                   {"iat": now + 9, "exp": now + 9}, {"query": "a=1&b=2", "sub": "account-7"}):  # fmt: skip
        site.webhook(**claims)
    stranger.webhook()
    gone.webhook()
    gone.enable()
    rotated.webhook(secret=old)
    rotated.enable(secret=old)
    site.rotate(aud="https://other.example.com")
    site.rotate(aud=["https://other.example.com", "https://app.example.com"])
    site.install(body_extra={"eventType": "enabled"})
    site.install(body_extra={"baseUrl": "https://evil.example.com"})
    sent = site.disable()
    site.resend(sent)
    site.resend(sent, {"clientKey": site.client_key})
    for token in (None, site.page_token("GET", "/page", context=True), "garbage"):
        house.page(site, token)
    house.page(gone)
    house.forward_auth({})
    token = site.page_token("GET", "/page")
    asked = {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}"}
    house.forward_auth(asked, "?accept=context")
    asked["Authorization"] = f"JWT {site.page_token('GET', '/page', context=True)}"
    house.forward_auth(asked, "?accept=context")
    httpx.post(f"{house.service.internal_url}/sign")


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
    _crowd(house)
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
