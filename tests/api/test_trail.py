"""What is recorded of each call, and that recorded, or counted as dropped, equals answered."""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.house import House, at_once, raw_exchange
from tenure.domain.decisions import Wanted
from tenure.domain.events import Operated
from tenure.store.key_file import KeyFile
from tenure.store.masters import from_text
from tenure.store.tokens import ApiTokens
from tenure.store.vault import Vault
from tenure.store.veil import Veil

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def _veil(house: House) -> Iterator[Veil]:
    vault = Vault(KeyFile(house.folder / "keys.db"), from_text(house.settings["MASTER_KEY"]))
    yield Veil(vault, house.settings["APP_KEY"])
    vault.close()


def test_a_webhook_is_recorded_whole(signed: House) -> None:
    """Times, hashes, names of the query, webhook, trace and caller are kept; token, account and address are not."""
    site, name = signed.installed(), uuid.uuid4().hex
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    sent = site.webhook(identifier=name, query="secret-value=1&b=%20&b=2", sub="account-7", headers=headers)
    decision = signed.stored(sent.response)
    facts = decision.facts
    assert (decision.kind, decision.status, decision.client_key) == ("webhook", 200, site.client_key)
    assert (facts.query_names, facts.identifier, facts.trace) == (("secret-value", "b"), name, TRACE)
    assert (facts.alg, facts.match, facts.purpose, facts.gone) == ("HS256", "current", "traffic", False)
    assert facts.qsh in facts.expected_qsh
    assert facts.exp is not None
    assert facts.iat is not None
    assert facts.exp - facts.iat == 180
    assert abs(facts.now - time.time()) < 60
    assert facts.secret_position == signed.known(site.client_key).secret.position
    assert decision.took_ms > 0
    assert facts.user_agent.startswith("Atlassian HttpClient")
    assert "account-7" not in repr(decision)
    assert "127.0.0.1" not in repr(decision)
    assert "=1" not in repr(facts.query_names)
    for veil in _veil(signed):
        assert veil.address_of(decision.decision, facts.address) == "127.0.0.1"
        assert (veil.mark("127.0.0.1"), veil.mark("account-7")) == (facts.address_mark, facts.account)


def test_the_upstreams_true_status_is_recorded(signed: House) -> None:
    """The record of a webhook has the status that the upstream really answered, and a duplicate's is 204."""
    site, name = signed.installed(), uuid.uuid4().hex
    signed.receiver.script = [500, 202]
    sent = [site.webhook(identifier=name) for _ in range(3)]
    assert [signed.decision(call.response)["status"] for call in sent] == [500, 202, 204]
    assert {signed.decision(call.response)["verdict"] for call in sent} == {"accepted"}


@pytest.mark.parametrize("name", ["signed", "crowd"])
def test_copies_at_the_same_moment_go_on_once(request: pytest.FixtureRequest, name: str) -> None:
    """Of many copies of one webhook at once, in one process or several, the upstream gets one."""
    house: House = request.getfixturevalue(name)
    site, identifier = house.installed(), uuid.uuid4().hex
    house.receiver.delay = 0.2
    try:
        sent = at_once([lambda: site.webhook(identifier=identifier)] * 12, 12)
    finally:
        house.receiver.delay = 0.0
    assert sorted(call.status for call in sent) == [200] + [204] * 11
    got = [found for found in house.receiver.received if found.header("x-atlassian-webhook-identifier") == identifier]
    assert len(got) == 1


def test_copies_wait_for_a_failure_and_try_in_turn(signed: House) -> None:
    """If the first copy fails at the upstream, another takes its turn: once taken, the rest are duplicates."""
    site, identifier = signed.installed(), uuid.uuid4().hex
    signed.receiver.delay, signed.receiver.script = 0.1, [500, 200]
    try:
        sent = at_once([lambda: site.webhook(identifier=identifier)] * 5, 5)
    finally:
        signed.receiver.delay, signed.receiver.script = 0.0, []
    assert sorted(call.status for call in sent) == [200, 204, 204, 204, 500]


def test_a_body_that_never_comes_is_a_decision(signed: House) -> None:
    """A lifecycle call or webhook whose body does not arrive is 408 and recorded as such."""
    site = signed.installed()
    token = site._token("/webhooks", "HS256")
    for path, kind in (("/enabled", "enabled"), ("/webhooks", "webhook")):
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nauthorization: JWT {token}\r\n\r\nhalf"
        answer = raw_exchange(signed.url, head.encode(), timeout=15)
        assert answer.startswith(b"HTTP/1.1 408")
        with signed.decisions() as log:
            found = log.page(Wanted(reason="body_incomplete", kind=kind))[0].decision
        assert (found.status, found.decision.encode() in answer) == (408, True)


def test_who_may_not_sign_is_recorded(signed: House) -> None:
    """A call to /sign without an API token is a refused decision of kind `sign`, and failed ones are told apart."""
    answer = httpx.post(f"{signed.service.internal_url}/sign", headers={"Authorization": "Bearer tnr_invented"})
    assert answer.status_code == 401
    with signed.decisions() as log:
        found = log.page(Wanted(reason="access_denied"))[0].decision
    assert (found.kind, found.status, found.client_key) == ("sign", 401, "")


def test_failed_api_tokens_are_limited_across_workers(tmp_path: Path) -> None:
    """Sixty failures a minute and address, then 429, whichever worker is met."""
    with House(tmp_path, {}, "--workers", "2") as house:
        url = f"{house.service.internal_url}/metrics"
        statuses = [
            httpx.get(url, headers=_bearer(f"tnr_{n}") | {"Connection": "close"}, timeout=30).status_code
            for n in range(100)
        ]
        assert set(statuses) == {401, 429}
        # what is written is read a moment later, so that a busy machine lets a few more through
        assert 60 <= statuses.count(401) <= 90
        assert statuses[-5:] == [429] * 5


def test_the_address_behind_trusted_proxies(tmp_path: Path) -> None:
    """With TRUSTED_PROXIES the right-most address that is not a proxy's is recorded, and the proxy's too."""
    with House(tmp_path, {"TRUSTED_PROXIES": "127.0.0.0/8, 10.0.0.0/8", "STORE_ACCOUNT_IDS": "on"}) as house:
        site = house.installed()
        headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.1.1"}
        decision = house.stored(site.webhook(headers=headers, sub="account-7").response)
        odd = house.stored(site.webhook(headers={"X-Forwarded-For": "6.6.6.6, garbage"}).response)
        for veil in _veil(house):
            assert veil.address_of(decision.decision, decision.facts.address) == "203.0.113.9"
            assert veil.address_of(odd.decision, odd.facts.address) == "127.0.0.1"
        assert (decision.facts.peer, decision.facts.account) == ("127.0.0.1", "account-7")


def test_an_untrusted_peer_speaks_for_itself(signed: House) -> None:
    """Without TRUSTED_PROXIES what X-Forwarded-For says changes nothing."""
    site = signed.installed()
    decision = signed.stored(site.webhook(headers={"X-Forwarded-For": "6.6.6.6"}).response)
    for veil in _veil(signed):
        assert veil.address_of(decision.decision, decision.facts.address) == "127.0.0.1"


def test_a_start_is_an_event(tmp_path: Path) -> None:
    """Each start is one `operator.started`, however many workers, with version, digest and settings, no secret."""
    with House(tmp_path, {"REFUSE_DISABLED": "on"}, "--workers", "2") as house:
        house.restart()
        events = [event for event in house.events("") if event.type == "operator.started"]
        assert len(events) == 2
        data = events[-1].data
        assert isinstance(data, Operated)
        assert data.particulars["deciding"]["refuse_disabled"] is True
        assert len(data.particulars["settings"]) == 16
        assert house.settings["MASTER_KEY"] not in json.dumps(data.particulars)


def test_what_cannot_be_recorded_is_not_passed(tmp_path: Path) -> None:
    """While the decision log is locked calls are 503, none reaches the upstream, and the counts come out even."""
    with House(tmp_path) as house:
        site = house.installed()
        assert site.webhook().status == 200
        answered = 3
        with sqlite3.connect(house.folder / "decisions.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            refused = [site.webhook().response, house.page(site), house.page(site, "garbage")]
            assert time.monotonic() - started < 3
            other.execute("ROLLBACK")
        other.close()
        assert [answer.status_code for answer in refused] == [503] * 3
        assert len(house.receiver.received) == 1
        answered += len(refused)
        deadline = time.monotonic() + 10
        while house.page(site).status_code != 200 and time.monotonic() < deadline:
            answered += 1
        answered += 1
        house.service.stop()
        with house.decisions() as log:
            totals = log.totals()
            assert log.total().counted == answered
            rows = len(log.page(limit=1000))
        dropped = sum(row["dropped"] for row in totals)
        assert dropped >= 3
        assert rows + dropped == answered
        assert sum(row["counted"] - row["withdrawn"] for row in totals) == answered


def test_metrics_are_those_of_all_workers(crowd: House) -> None:
    """/metrics takes any API token, and whichever worker answers, it counts every decision of every worker."""
    store = ApiTokens(KeyFile(crowd.folder / "keys.db"))
    token, _ = store.create(uuid.uuid4().hex, ("audit",), 1)
    store.close()
    site = crowd.installed()
    before = _metrics(crowd, token)
    at_once([lambda: crowd.page(site)] * 40)
    at_once([lambda: crowd.page(site, "garbage")] * 10)
    for _ in range(4):
        after = _metrics(crowd, token)
        accepted = 'tenure_decisions_total{kind="forward-auth",reason="",verdict="accepted"}'
        refused = 'tenure_decisions_total{kind="forward-auth",reason="token_malformed",verdict="refused"}'
        assert after[accepted] - before.get(accepted, 0) == 40
        assert after[refused] - before.get(refused, 0) == 10
        took = 'tenure_decision_seconds_bucket{kind="forward-auth",le="+Inf",verdict="accepted"}'
        assert after[took] == after[accepted]
    assert httpx.get(f"{crowd.service.internal_url}/metrics").status_code == 401
    assert httpx.get(f"{crowd.url}/metrics").status_code == 404


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _metrics(house: House, token: str) -> dict[str, float]:
    answer = httpx.get(f"{house.service.internal_url}/metrics", headers=_bearer(token), timeout=30)
    assert answer.status_code == 200
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
