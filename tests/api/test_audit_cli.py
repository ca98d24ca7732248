"""The same questions on the command line: explain, diagnose, measured, export, events and qsh."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.auditor import Auditor
from support.commands import ended
from support.house import House
from tenure.simulator.attacker import Attacker


def tenure(house: House, *arguments: str, status: int = 0) -> str:
    """What a command prints, with the status it must end with."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    done = subprocess.run(
        [sys.executable, "-m", "tenure", *arguments], check=False, capture_output=True, text=True, cwd=house.folder,
        env=clean, timeout=60,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_explain_and_diagnose(signed: House) -> None:
    """A decision and a site are told as over HTTP, as one JSON object or in words."""
    site = signed.installed()
    old = site.secret
    assert site.rotate().status == 204
    sent = site.webhook(secret=old)
    decision = sent.response.headers["x-tenure-decision"]
    auditor = Auditor(signed)
    told = json.loads(tenure(signed, "explain", decision, "--json"))
    assert told == auditor.told(f"decisions/{decision}")
    assert told["reason"] == "secret_superseded"
    assert "secret of position" in told["why"]
    words = tenure(signed, "explain", decision)
    assert told["why"] in words
    assert "signature  failed" in words
    found = json.loads(tenure(signed, "diagnose", site.client_key, "--since", "1h", "--json"))
    over_http = auditor.told("diagnose", tenant=site.client_key, since="1h")
    for moving in ("since", "until"):
        found.pop(moving)
        over_http.pop(moving)
    assert found["refused"] == over_http["refused"]
    assert found["cause"] == over_http["cause"]
    assert "rotation" in tenure(signed, "diagnose", site.client_key)
    tenure(signed, "explain", "nothing", status=1)


def test_events_with_the_filters_of_http(signed: House) -> None:
    """Events are filtered on the command line by the names used over HTTP, with the same fields."""
    site = signed.installed()
    lines = tenure(signed, "events", "--kid", site.kid, "--json").splitlines()
    assert [json.loads(line) for line in lines] == Auditor(signed).walk("events", kid=site.kid)
    listed = json.loads(tenure(signed, "tenant", "list", "--kid", site.kid, "--json"))
    assert listed["client_key"] == site.client_key


def test_events_are_followed(signed: House) -> None:
    """--follow prints events as they are appended, and ends when it is told to."""
    command = [sys.executable, "-m", "tenure", "events", "--follow", "--after", str(signed.head()[0]), "--json"]
    with ended(subprocess.Popen(command, cwd=signed.folder, stdout=subprocess.PIPE, text=True)) as child:
        site = signed.installed()
        assert child.stdout is not None
        seen = [json.loads(child.stdout.readline()) for _ in range(2)]
        child.terminate()
    assert [event["client_key"] for event in seen] == [site.client_key] * 2


@pytest.mark.parametrize("form", ["ndjson", "csv", "cloudevents"])
def test_an_export_has_a_manifest_that_holds(signed: House, tmp_path: Path, form: str) -> None:
    """An export is whole, its manifest names filter, range, count, head and digest, and it is an event itself."""
    site = signed.installed()
    out = tmp_path / f"events.{form}"
    head = signed.head()
    told = json.loads(
        tenure(signed, "export", "--format", form, "--tenant", site.client_key, "--out", str(out), "--json")
    )
    manifest = json.loads((tmp_path / f"events.{form}.manifest.json").read_text())
    assert manifest == told
    raw = out.read_bytes()
    assert manifest["digest"] == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert manifest["filter"] == {"client_key": site.client_key}
    assert (manifest["head"]["position"], manifest["head"]["hash"]) == head
    events = signed.events(site.client_key)
    assert (manifest["count"], manifest["first"], manifest["last"]) == (2, events[0].position, events[1].position)
    if form == "csv":
        rows = list(csv.DictReader(raw.decode().splitlines()))
        assert [int(row["position"]) for row in rows] == [event.position for event in events]
    else:
        lines = [json.loads(line) for line in raw.splitlines()]
        assert [str(line.get("id", line.get("position"))) for line in lines] == [str(e.position) for e in events]
    if form == "cloudevents":
        assert {line["specversion"] for line in lines} == {"1.0"}
        assert [line["type"] for line in lines] == ["tenure.installed", "tenure.enabled"]
    with signed.log() as log:
        noted = list(log.read(client_key="", kind="operator.exported"))[-1]
    assert manifest["digest"] in json.dumps(getattr(noted.data, "particulars", {}))
    tenure(signed, "export", "--out", str(out), status=2)


def test_an_export_is_verified_offline(signed: House, tmp_path: Path) -> None:
    """The whole log as NDJSON is accepted by `log verify --export`, also against a head; a part or a change is not."""
    signed.installed()
    told = json.loads(tenure(signed, "export", "--out", str(tmp_path / "log.ndjson"), "--json"))
    auditor = Auditor(signed)
    (tmp_path / "head.txt").write_text(auditor.ask("head").text)
    key = json.loads(tenure(signed, "log", "key", "--json"))["key"]
    asked = ("log", "verify", "--json", "--key", key, "--export")
    found = json.loads(tenure(signed, *asked, str(tmp_path / "log.ndjson")))
    assert (found["ok"], found["events"]) == (True, told["count"])
    tenure(signed, "export", "--out", str(tmp_path / "later.ndjson"))
    tenure(signed, *asked, str(tmp_path / "later.ndjson"), "--head", str(tmp_path / "head.txt"))
    lines = (tmp_path / "log.ndjson").read_bytes().splitlines(keepends=True)
    with signed.log() as log:
        columns = [row[1] for row in log.connection.execute("PRAGMA table_info(events)")]
    assert list(json.loads(lines[0])) == columns
    for wrong, position in (
        (lines[1:], 1),
        ([lines[0], *lines[2:]], 2),
        ([*lines[:2], lines[2].replace(b'"version":', b'"version":1'), *lines[3:]], 3),
    ):
        (tmp_path / "wrong.ndjson").write_bytes(b"".join(wrong))
        spoiled = json.loads(tenure(signed, *asked, str(tmp_path / "wrong.ndjson"), status=1))
        assert spoiled["first_bad_position"] == position


def test_qsh_names_the_mistake(signed: House) -> None:
    """`qsh --expect` ends with 1 and the mistake's name where the hash differs, with 0 where it is right."""
    url = "https://app.example.com/base/page?b=2&a=1"
    base = ("--base-url", "https://app.example.com/base", "--json")
    right = json.loads(tenure(signed, "qsh", "GET", url, *base))["qsh"]
    assert json.loads(tenure(signed, "qsh", "GET", url, *base, "--expect", right))["matches"] is True
    kept = hashlib.sha256(b"GET&/base/page&a=1&b=2").hexdigest()
    told = json.loads(tenure(signed, "qsh", "GET", url, *base, "--expect", kept, status=1))
    assert told["mistakes"] == ["base_path_kept"]
    assert "BASE_URL" in told["next"]


def test_what_vendors_are_measured_on(tmp_path: Path) -> None:
    """Only 200 and 204 are good; strangers are counted apart; failures, twins and the scanner are listed."""
    with House(tmp_path) as house:
        auditor, site = Auditor(house), house.installed()
        twin = house.installed(base_url=site.base_url)
        assert site.webhook().status == 200
        house.receiver.script = [500]
        assert site.webhook().status == 500
        assert house.site(base_url="https://elsewhere.example.org").install().status == 400
        Attacker(site).scanner_probes("installed")
        told = auditor.told("measured")
        assert (told["installs"]["good"], told["installs"]["failed"]) == (2, 1)
        assert told["installs"]["met"] is False
        assert told["installs"]["failures"][0]["reason"] == "site_not_allowed"
        assert told["installs"]["strangers"] == 4
        assert (told["webhooks"]["good"], told["webhooks"]["failed"], told["webhooks"]["rate"]) == (1, 1, 0.5)
        assert told["webhooks"]["failures"][0]["status"] == 500
        assert [one["client_keys"] for one in told["twins"]] == [[site.client_key, twin.client_key]]
        assert told["twins"][0]["successor"] == twin.client_key
        assert [one["kid"] for one in told["scanner"]] == ["fake-kid"]
        assert sum(one["count"] for one in told["strangers"]) == 3
        assert told["quiet"] == []
        quiet = auditor.told("measured", quiet="0s")["quiet"]
        assert quiet == [] or {one["client_key"] for one in quiet} <= {site.client_key, twin.client_key}
        assert "installation callbacks" in tenure(house, "measured")
