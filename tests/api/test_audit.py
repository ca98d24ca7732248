"""Everything asked over HTTP: who may ask, what is told, in which form, and that asking is recorded."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from support.auditor import Auditor
from support.house import APP_KEY, House
from tenure.projections.shown import DECISION_FIELDS, EVENT_FIELDS, TENANT_FIELDS

ROUTES = (
    "events",
    "decisions",
    "alarms",
    "tenants",
    "diagnose?tenant=x",
    "measured",
    "tenants/x",
    "decisions/x",
    "nothing",
)


@pytest.fixture(scope="module")
def auditor(signed: House) -> Auditor:
    """An auditor of the house that many tests share."""
    return Auditor(signed)


@pytest.mark.parametrize("route", ROUTES)
def test_nothing_is_told_without_the_scope(signed: House, route: str) -> None:
    """Without a token 401, with one of another scope 403, the same for every route, and nothing told."""
    url = f"{signed.service.internal_url}/audit/{route}"
    bare = httpx.get(url, trust_env=False)
    assert bare.status_code == 401
    decision = bare.headers["x-tenure-decision"]
    challenge = f'JWT realm="{APP_KEY}", decision="{decision}", Bearer realm="tenure"'
    assert bare.headers["www-authenticate"] == challenge
    sign = httpx.get(f"{signed.service.internal_url}/sign", trust_env=False, headers={"X": "y"})
    assert sign.headers["cache-control"] == bare.headers["cache-control"]
    other = Auditor(signed, "sign").ask(route)
    assert other.status_code == 403
    for answer in (bare, other):
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail", "decision"}
        assert answer.json()["decision"] == answer.headers["x-tenure-decision"]
        assert signed.reason(answer) == "access_denied"


def test_unauthorised_answers_look_alike(signed: House) -> None:
    """A 401 for a token that is missing, unknown or sent as another scheme has the body and challenge that every 401
    has, whatever the route, but for its decision, and is recorded; a browser gets the plain page."""
    url = signed.service.internal_url
    answers = [
        httpx.get(f"{url}/audit/events", trust_env=False),
        httpx.get(f"{url}/audit/decisions/x", trust_env=False, headers={"Authorization": "Bearer tnr_unknown"}),
        httpx.get(f"{url}/audit/events", trust_env=False, headers={"Authorization": "Basic eDp5"}),
        httpx.get(f"{url}/audit/head", trust_env=False),
        httpx.get(f"{url}/metrics", trust_env=False),
        httpx.post(f"{url}/sign", trust_env=False, json={}),
    ]
    assert {answer.status_code for answer in answers} == {401}
    decisions = [answer.headers["x-tenure-decision"] for answer in answers]
    assert [answer.json()["decision"] for answer in answers] == decisions
    assert {signed.reason(answer) for answer in answers} == {"access_denied"}
    forms = {
        (answer.content.replace(name.encode(), b"-"), answer.headers["www-authenticate"].replace(name, "-"))
        for answer, name in zip(answers, decisions, strict=True)
    }
    assert len(forms) == 1
    refused = signed.site().webhook().response
    own = refused.headers["x-tenure-decision"]
    assert {body for body, _ in forms} == {refused.content.replace(own.encode(), b"-")}
    page = httpx.get(f"{url}/metrics", trust_env=False, headers={"Accept": "text/html"})
    assert page.headers["x-tenure-decision"] in page.text


def test_every_read_is_a_decision(signed: House, auditor: Auditor) -> None:
    """A read of the audit is recorded with whose token asked and what for; a refused one, too."""
    answer = auditor.ask("events", type="installed", limit=1)
    row = signed.decision(answer)
    assert (row["kind"], row["verdict"], row["status"]) == ("audit", "accepted", 200)
    assert row["detail"].startswith("of-the-tests-")
    assert "type=installed" in row["detail"]
    refused = signed.decision(httpx.get(f"{signed.service.internal_url}/audit/events", trust_env=False))
    assert (refused["kind"], refused["verdict"], refused["reason"]) == ("audit", "refused", "access_denied")


def test_events_by_every_filter(signed: House, auditor: Auditor) -> None:
    """Events are found by tenant (however named), type, install key and time; fields are those of the command line."""
    site = signed.installed()
    host = site.base_url.removeprefix("https://")
    mine = auditor.walk("events", tenant=site.client_key)
    assert [event["type"] for event in mine] == ["installed", "enabled"]
    assert tuple(mine[0]) == EVENT_FIELDS
    assert auditor.walk("events", tenant=host) == mine
    assert auditor.walk("events", tenant=site.base_url, type="enabled") == mine[1:]
    assert auditor.walk("events", kid=site.kid) == mine[:1]
    assert auditor.walk("events", tenant=host, since=mine[1]["recorded_at"]) == mine[1:]
    assert auditor.walk("events", tenant=host, until=mine[0]["recorded_at"]) == mine[:1]
    assert auditor.walk("events", tenant=host, position=mine[0]["position"]) == mine[:1]
    assert auditor.walk("events", tenant=host, at=mine[0]["recorded_at"]) == mine[:1]
    assert auditor.walk("events", tenant=host, position=1 << 40) == mine
    assert signed.installed().client_key not in json.dumps(auditor.walk("events", tenant=host))


def test_tenants_now_and_then(signed: House, auditor: Auditor) -> None:
    """A tenant is told now, at a position and at a time; listed by key, and by the install key that touched it."""
    site = signed.installed()
    first = signed.events(site.client_key)[0].position
    now = auditor.told(f"tenants/{site.client_key}")
    assert tuple(now) == TENANT_FIELDS
    assert now["enabled"] is True
    assert auditor.told(f"tenants/{site.client_key}", position=first)["enabled"] is False
    assert auditor.ask(f"tenants/{site.client_key}", position=first - 1).status_code == 404
    assert auditor.ask("tenants/unheard-of.atlassian.net").status_code == 404
    assert now in auditor.walk("tenants", limit=7)
    assert [tenant["client_key"] for tenant in auditor.walk("tenants", kid=site.kid)] == [site.client_key]
    past = auditor.walk("tenants", position=first, limit=500)
    assert [tenant["enabled"] for tenant in past if tenant["client_key"] == site.client_key] == [False]


def test_a_name_of_several_tenants_is_listed(signed: House, auditor: Auditor) -> None:
    """A name that means several tenants is answered 409 with their client keys, newest first."""
    old = signed.installed()
    new = signed.installed(base_url=old.base_url)
    answer = auditor.ask(f"tenants/{old.base_url.removeprefix('https://')}")
    assert answer.status_code == 409
    assert f"{new.client_key}, {old.client_key}" in answer.json()["detail"]


def test_decisions_by_filters_and_counted(signed: House, auditor: Auditor) -> None:
    """Decisions are found by tenant, claimed key, verdict, reason and webhook; and counted by reason, tenant, hour."""
    site = signed.installed()
    site.webhook(identifier="wh-audit-1")
    site.webhook(identifier="wh-audit-2", qsh="0" * 64)
    rows = auditor.walk("decisions", tenant=site.client_key, kind="webhook", limit=1)
    assert [row["verdict"] for row in rows] == ["accepted", "refused"]
    assert tuple(rows[0]) == (*DECISION_FIELDS, "facts")
    refused = auditor.walk("decisions", claimed=site.client_key, verdict="refused", reason="qsh_mismatch")
    assert refused == rows[1:]
    assert auditor.walk("decisions", identifier="wh-audit-2") == rows[1:]
    newest = auditor.walk("decisions", tenant=site.client_key, kind="webhook", order="newest", limit=1)
    assert newest == rows[::-1]
    by_reason = auditor.told("decisions", by="reason", tenant=site.client_key)["items"]
    assert {"reason": "qsh_mismatch", "counted": 1, "kept": 1} in by_reason
    by_tenant = auditor.told("decisions", by="tenant", verdict="accepted", kind="webhook")["items"]
    assert {"tenant": site.client_key, "counted": 1, "kept": 1} in by_tenant
    by_hour = auditor.told("decisions", by="hour", tenant=site.client_key)["items"]
    assert sum(row["counted"] for row in by_hour) == 4


def test_one_decision_is_explained(signed: House, auditor: Auditor) -> None:
    """A decision is told with its steps, cause and next step; one that is not kept is 404 and says so."""
    site = signed.installed()
    sent = site.webhook(query="a=1", qsh="f" * 64)
    told = auditor.told(f"decisions/{sent.response.headers['x-tenure-decision']}")
    assert told["reason"] == "qsh_mismatch"
    assert [step["name"] for step in told["steps"] if step["outcome"] == "failed"] == ["qsh"]
    assert told["context"]["read_position"] == signed.events(site.client_key)[-1].position
    missing = auditor.ask("decisions/01890a5d-ac96-774b-bcce-b302099a8057")
    assert missing.status_code == 404
    assert missing.json()["kept"] is False


def test_pages_as_csv_and_ndjson(signed: House, auditor: Auditor) -> None:
    """The same page as CSV that no spreadsheet runs, and as NDJSON; the next page is in the Link header."""
    site = signed.site(client_key="=cmd|' /C calc'!A0".replace(" ", ""))
    assert site.install().status == 204
    table = auditor.ask("events", "text/csv", tenant=site.client_key)
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert rows[0]["client_key"] == f"'{site.client_key}"
    lines = auditor.ask("events", "application/x-ndjson", limit=2)
    assert len([json.loads(line) for line in lines.text.splitlines()]) == 2
    assert lines.links["next"]["url"] == "/audit/events?limit=2&after=2"
    assert auditor.ask("events", "image/png").status_code == 406


@pytest.mark.parametrize("asked", [
    {"after": "1 OR 1=1"}, {"after": "-1"}, {"after": "9" * 30}, {"limit": "0"}, {"limit": "1001"}, {"limit": "1; --"},
    {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"at": "1h", "position": "1"}, {"sort": "hash"},
    {"position": "²"}, {"order": "hash DESC"}, {"verdict": "x' OR '1'='1"}, {"by": "client_key) --"},
    {"tenant": "a\0b"},
])  # fmt: skip
def test_questions_that_are_none(auditor: Auditor, asked: dict[str, str]) -> None:
    """A cursor, order, time or name that is none is a 400 that says so; no statement can be bent by it."""
    answer = auditor.ask("decisions", **asked)
    assert answer.status_code == 400
    assert answer.json()["detail"]


@contextmanager
def feed(
    auditor: Auditor, path: str, last: str = "", accept: str = "text/event-stream", **parameters: str
) -> Iterator[Iterator[str]]:
    """The lines of a live feed."""
    headers = {"Authorization": f"Bearer {auditor.token}", "Accept": accept}
    if last:
        headers["Last-Event-ID"] = last
    url = f"{auditor.house.service.internal_url}/audit/{path}"
    with httpx.stream("GET", url, params=parameters, headers=headers, trust_env=False, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        assert next(lines).startswith(": from ")
        yield lines


def items(lines: Iterator[str], count: int) -> list[tuple[str, dict[str, object]]]:
    """The next messages of a feed: id and data."""
    found: list[tuple[str, dict[str, object]]] = []
    number = ""
    while len(found) < count:
        line = next(lines)
        if line.startswith("id: "):
            number = line.removeprefix("id: ")
        if line.startswith("data: "):
            found.append((number, json.loads(line.removeprefix("data: "))))
    return found


def test_the_live_feed_tells_installs_as_they_come(signed: House, auditor: Auditor) -> None:
    """A feed begins at the head, tells each event as it is appended, and goes on from the last one seen."""
    with feed(auditor, "events") as lines:
        site = signed.installed()
        seen = items(lines, 2)
    assert [data["type"] for _, data in seen] == ["installed", "enabled"]
    assert {data["client_key"] for _, data in seen} == {site.client_key}
    assert [number for number, _ in seen] == [str(data["position"]) for _, data in seen]
    with feed(auditor, "events", last=seen[0][0]) as lines:
        assert items(lines, 1) == seen[1:]
    with feed(auditor, "events", type="enabled", after=str(int(seen[0][0]) - 1)) as lines:
        assert items(lines, 1) == seen[1:]


def test_the_live_feed_of_decisions(signed: House, auditor: Auditor) -> None:
    """Decisions can be followed live, filtered as pages are."""
    with feed(auditor, "decisions", verdict="refused", kind="webhook") as lines:
        sent = signed.installed().webhook(qsh="0" * 64)
        [(_, data)] = items(lines, 1)
    assert data["decision"] == sent.response.headers["x-tenure-decision"]


@pytest.mark.parametrize("asked", ["text/event-stream", "application/cloudevents+json"])
def test_the_live_feed_as_cloudevents(signed: House, auditor: Auditor, asked: str) -> None:
    """Asked for by `format` or by `Accept`, each message is a CloudEvent around the item; pages can be so, too."""
    form = {"format": "cloudevents"} if asked == "text/event-stream" else {}
    with feed(auditor, "events", accept=asked, **form) as lines:
        site = signed.installed()
        (number, made), _ = items(lines, 2)
    [event, _] = auditor.walk("events", tenant=site.client_key)
    assert {name: made[name] for name in ("specversion", "id", "type", "subject")} == {
        "specversion": "1.0", "id": number, "type": "tenure.installed", "subject": site.client_key,
    }  # fmt: skip
    assert made["data"] == event
    assert auditor.told("events", tenant=site.client_key, limit=1, format="cloudevents")["items"] == [made]
    assert auditor.ask("events", "text/csv", format="cloudevents").status_code == 406
    with feed(auditor, "decisions", accept=asked, kind="webhook", **form) as lines:
        sent = site.webhook()
        [(_, made)] = items(lines, 1)
    assert (made["id"], made["type"]) == (sent.response.headers["x-tenure-decision"], "tenure.decision.accepted")


def test_a_feed_does_not_hold_the_service_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGTERM ends open feeds at once."""
    with House(tmp_path_factory.mktemp("feed")) as house:
        with feed(Auditor(house), "events") as lines:
            ended = threading.Event()

            def stop() -> None:
                house.service.stop()
                ended.set()

            threading.Thread(target=stop, daemon=True).start()
            with suppress(httpx.RemoteProtocolError):
                assert "data" not in "".join(lines)
        assert ended.wait(3)
