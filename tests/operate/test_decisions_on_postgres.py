"""Decisions in PostgreSQL, served: no file beside, one record for all processes, and no pass that is not in it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from support.command import tenure, told
from support.house import House, at_once
from support.postgres import Cluster
from tenure.housekeeping import Housekeeping
from tenure.settings import Settings


@pytest.fixture
def house(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A service of two workers on a database of its own."""
    monkeypatch.chdir(tmp_path)
    with House(tmp_path, {"DATABASE_URL": cluster.url(cluster.database())}, "--workers", "2") as opened:
        yield opened


def internal(house: House, path: str, token: str) -> httpx.Response:
    """An answer of the internal listener."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{house.service.internal_url}{path}", headers=headers, trust_env=False, timeout=15)


def an_hour_later(house: House) -> None:
    """Housekeeping counts the decisions."""
    given = {name.lower(): value for name, value in house.settings.items() if value}
    late = Housekeeping(Settings.model_validate(given), clock=lambda: time.time() + 7200)
    late.tick()
    late.stop()


def test_everything_that_is_asked_of_decisions_comes_from_the_database(house: House) -> None:
    """Calls, repeats, refusals: lists, counts, explanations, replay, report, incident file, console and metrics tell of
    them, and there is no `decisions.db`.
    """
    token = told(house.folder, house.settings, "tokens", "create", "auditor", "--scope", "audit")["token"]
    site = house.installed()
    sent = site.webhook(identifier="wh-1")
    assert sent.status == 200
    assert {site.resend(sent).status for _ in range(6)} == {204}
    assert len(house.receiver.received) == 1
    refused = house.page(site, "garbage")
    assert house.reason(refused) == "token_malformed"
    assert house.decision(sent.response)["status"] == 200
    key, decision = site.client_key, refused.headers["x-tenure-decision"]
    counted = tenure(house.folder, house.settings, "decisions", "--by", "reason", "--json").stdout
    rows = {row["reason"]: row for row in map(json.loads, counted.splitlines())}
    assert rows["token_malformed"] == {"reason": "token_malformed", "counted": 1, "kept": 1}
    assert told(house.folder, house.settings, "explain", decision)["reason"] == "token_malformed"
    tenure(house.folder, house.settings, "replay", "--all")
    told(house.folder, house.settings, "incident", "pack", key, "--out", "case.json")
    assert tenure(house.folder, house.settings, "alarms", "--json").stdout == ""
    listed = internal(house, f"/audit/decisions?tenant={key}", token).json()["items"]
    assert {item["kind"] for item in listed} == {"installed", "enabled", "webhook"}
    assert internal(house, f"/audit/decisions/{decision}", token).json()["decision"] == decision
    assert internal(house, "/audit/measured", token).status_code == 200
    metrics = internal(house, "/metrics", token).text
    assert 'tenure_upstream_answers_total{status="200"} 1.0' in metrics
    assert "tenure_decision_log_used_bytes" in metrics
    assert list(house.folder.glob("decisions.db*")) == []


def test_what_the_log_counted_is_held_to_the_database(house: House) -> None:
    """An hour's count vouches for the decisions; one deleted shows in `log verify`, what retention lets go does not."""
    site = house.installed()
    for _ in range(3):
        assert house.page(site, "bad.token.here").status_code == 401
    house.service.stop()
    an_hour_later(house)
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        owner.execute(
            "DELETE FROM decisions WHERE number = (SELECT max(number) FROM decisions WHERE verdict = 'refused')"
        )
    found = told(house.folder, house.settings, "log", "verify", status=1)
    assert any("2 refused decisions" in problem for problem in found["problems"])


def test_a_forgotten_tenant_is_out_of_the_decisions(house: House) -> None:
    """What is personal leaves a tenant's decisions with it; the count that the log vouched for goes on to hold."""
    site = house.installed()
    assert house.page(site).status_code == 200
    assert site.uninstall().status == 204
    an_hour_later(house)
    told(house.folder, house.settings, "erase", site.client_key, "--yes", "--reason", "asked")
    with house.decisions() as decisions:
        facts = [stored.decision.facts for stored in decisions.page() if stored.decision.client_key == site.client_key]
    assert len(facts) >= 4
    assert not any(one.address or one.address_mark or one.account or one.user_agent for one in facts)
    assert told(house.folder, house.settings, "log", "verify")["ok"]


def test_copies_of_a_webhook_at_the_same_moment_reach_the_upstream_once(house: House) -> None:
    """Whichever processes they come to, one passes it on and the others wait for what comes of it."""
    site = house.installed()
    statuses = at_once([lambda: site.webhook(identifier="same").status for _ in range(12)])
    assert sorted(set(statuses)) == [200, 204]
    assert statuses.count(200) == 1
    assert len(house.receiver.received) == 1


def test_what_cannot_be_recorded_is_not_passed(house: House) -> None:
    """While somebody holds the decisions' head, calls are 503 within 2 s and none reaches the upstream; afterwards the
    counts come out even.
    """
    site = house.installed()
    assert site.webhook().status == 200
    asked: list[Callable[[], int]] = [
        lambda: site.webhook().status, lambda: house.page(site).status_code,
        lambda: house.page(site, "garbage").status_code,
    ]  # fmt: skip
    with psycopg.connect(house.settings["DATABASE_URL"]) as other:
        other.execute("SELECT 1 FROM decision_head FOR UPDATE")
        for ask in asked:
            started = time.monotonic()
            assert ask() == 503
            assert time.monotonic() - started < 2
    assert len(house.receiver.received) == 1
    answered, ends = 6, time.monotonic() + 10
    while house.page(site).status_code != 200:
        answered += 1
        assert time.monotonic() < ends
    answered += 1
    house.service.stop()
    with house.decisions() as decisions:
        totals = decisions.totals()
        assert decisions.total().counted == answered
        rows = len(decisions.page(limit=1000))
    assert rows + sum(row["dropped"] for row in totals) == answered
    assert sum(row["counted"] - row["withdrawn"] for row in totals) == answered
