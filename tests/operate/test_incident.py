"""An incident as a file: it opens anywhere, tells the same as the database, and holds nothing that opens or names."""

import gzip
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.command import tenure, told
from support.hostile import decision
from support.house import House
from tenure.domain.decisions import Facts
from tenure.projections.incident import Redactor

ACCOUNT = "557058:5b10ac8d-82e0-5b22-cc7d-4ef5"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Any, Path, dict[str, Any]]:
    """A house with a case, ended; its site, the packed file, and what packing told."""
    folder, out = tmp_path_factory.mktemp("case"), tmp_path_factory.mktemp("ticket") / "case.json.gz"
    with House(folder, {"STORE_ACCOUNT_IDS": "on"}) as house:
        site, other = house.installed(), house.installed()
        assert site.webhook().status == 200
        old = site.secret
        assert site.rotate().status == 204
        assert site.webhook(secret=old).status == 425
        assert house.page(site, site.page_token("GET", "/page", account_id=ACCOUNT)).status_code == 200
        other.webhook(secret="another secret of sixteen bytes and more")
        shown = told(folder, house.settings, "incident", "pack", site.client_key, "--since", "1h", "--out", str(out))
        live = told(folder, house.settings, "diagnose", site.client_key, "--since", "1h")
        shown["live"] = live
        shown["other"] = other.client_key
        shown["old"] = old
    return house, site, out, shown


def opened(out: Path, folder: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    """What `open` tells in an empty folder, with no settings at all."""
    return told(folder, {}, "incident", "open", str(out), *arguments, status=status)


def test_it_opens_anywhere_and_tells_the_same(case: tuple[House, Any, Path, dict[str, Any]], tmp_path: Path) -> None:
    """Without database and key: the same cause, refusals and timeline as where it was packed."""
    _, site, out, shown = case
    found = opened(out, tmp_path)
    assert found["intact"] is True
    assert found["manifest"]["client_key"] == site.client_key
    for name in ("cause", "says", "refused", "webhooks_lost", "webhooks_to_come"):
        assert found["diagnosis"][name] == shown["live"][name]
    assert [one["position"] for one in found["timeline"]["secrets"]] == [2, 6]
    assert len(found["timeline"]["refused"]) == 1
    assert found["manifest"]["head"]["position"] >= 6
    assert list(tmp_path.iterdir()) == []


def test_each_decision_is_explained(case: tuple[House, Any, Path, dict[str, Any]], tmp_path: Path) -> None:
    """A decision in the file is explained as the database explains it."""
    house, _, out, _ = case
    refused = opened(out, tmp_path)["timeline"]["refused"][0]["decision"]
    found = opened(out, tmp_path, "--decision", refused)
    there = told(house.folder, {}, "explain", refused)
    for name in ("steps", "why", "next", "turns", "context"):
        assert found[name] == there[name]
    assert found["reason"] == "secret_superseded"
    opened_missing = tenure(tmp_path, {}, "incident", "open", str(out), "--decision", "none", status=1)
    assert "no decision" in opened_missing.stderr


def test_nothing_in_it_opens_or_names(case: tuple[House, Any, Path, dict[str, Any]]) -> None:
    """No secret, sealed text, account id, address, operator or other tenant is in the file."""
    house, site, out, shown = case
    raw = gzip.decompress(out.read_bytes()).decode()
    with house.log() as log:
        sealed = re.findall(r'"1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"', str([*log.connection.execute(
            "SELECT data FROM events")]))  # fmt: skip
    with house.decisions() as decisions:
        facts = [one.decision.facts for one in decisions.page(limit=500)]
    accounts = {one.account for one in facts if one.account}
    addresses = {one.address for one in facts if one.address}
    assert len(sealed) > 4
    assert accounts
    assert addresses
    hidden = {*(text.strip('"') for text in sealed), *accounts, *addresses, site.secret, shown["old"], shown["other"],
              "127.0.0.1\"", "root"}  # fmt: skip
    assert [text for text in hidden if text in raw] == []
    assert not re.search(r"\b1\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16}\.", raw)
    assert any(one["facts"].get("address_mark") for one in json.loads(raw)["case"]["calls"])


def test_it_names_what_it_cannot_show(case: tuple[House, Any, Path, dict[str, Any]], tmp_path: Path) -> None:
    """The file says what is not in it, in words, on the terminal and in the page."""
    _, _, out, shown = case
    assert any("Secrets" in one for one in shown["cannot_show"])
    assert any("decisions are kept from then on" in one for one in shown["cannot_show"])
    printed = tenure(tmp_path, {}, "incident", "open", str(out)).stdout
    tenure(tmp_path, {}, "incident", "open", str(out), "--html", "case.html")
    page = html.unescape((tmp_path / "case.html").read_text())
    for sentence in shown["cannot_show"]:
        assert sentence[:40] in printed
        assert sentence[:40] in page
    assert "unsafe-inline" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_paths_and_user_agents_are_as_they_were_called(
    case: tuple[House, Any, Path, dict[str, Any]],
) -> None:
    """Both leave the house unredacted, and the file says so."""
    _, _, out, shown = case
    calls = json.loads(gzip.decompress(out.read_bytes()))["case"]["calls"]
    assert any(one["path"] == "/page" for one in calls)
    assert any(one["facts"].get("user_agent") for one in calls)
    assert any("a path or a user agent" in one and "account ids" in one for one in shown["cannot_show"])


def test_a_change_is_seen(case: tuple[House, Any, Path, dict[str, Any]], tmp_path: Path) -> None:
    """A file that was edited is opened, told to be so, and ends with 1; what is no such file is said to be none."""
    _, _, out, _ = case
    content = json.loads(gzip.decompress(out.read_bytes()))
    content["manifest"]["base_url"] = "https://evil.example"
    (tmp_path / "edited.json").write_text(json.dumps(content))
    assert opened(tmp_path / "edited.json", tmp_path, status=1)["intact"] is False
    whole = out.read_bytes()
    for name, raw in {
        "cut.gz": whole[:-40],
        "text": b"hello",
        "list": b"[]",
        "empty": b"",
        "deep": b"[" * 9999,
    }.items():
        (tmp_path / name).write_bytes(raw)
        run = tenure(tmp_path, {}, "incident", "open", name, status=1)
        assert "no incident file" in run.stderr
        assert "Traceback" not in run.stderr
    content["case"]["since"] = "yesterday"
    (tmp_path / "odd.json").write_text(json.dumps(content))
    tenure(tmp_path, {}, "incident", "open", "odd.json", status=1)
    tenure(tmp_path, {}, "incident", "open", "nowhere.json", status=1)


def test_packing_is_an_event_and_overwrites_nothing(case: tuple[House, Any, Path, dict[str, Any]]) -> None:
    """That a case was packed is in the operators' stream; a file that exists stays."""
    house, site, out, _ = case
    with house.log() as log:
        noted = next(iter(log.read(client_key="", kind="operator.exported")))
    digest = json.loads(gzip.decompress(out.read_bytes()))["digest"]
    assert digest in str(noted.data)
    assert out.stat().st_mode & 0o777 == 0o600
    run = tenure(house.folder, {}, "incident", "pack", site.client_key, "--out", str(out), status=2)
    assert "never written over" in run.stderr


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("since",), "2026-99-99T00:00:00Z"),
        (("history", 0, "recorded_at"), "2026-13-01T00:00:00.000000Z"),
        (("calls", 0, "at"), "2026-02-31T00:00:00.000000Z"),
        (("history", 0, "position"), 10**30),
        (("history", 0, "position"), -1),
        (("history", 0, "proof"), [1]),
        (("around", 0, "data", "particulars", "deciding"), "x"),
        (("around", 0, "data", "particulars", "deciding"), {"leeway": "abc"}),
        (("around", 0, "data", "particulars", "deciding"), {"audiences": [[1]]}),
    ],
)
def test_a_value_that_cannot_be_is_no_incident_file(
    case: tuple[House, Any, Path, dict[str, Any]], tmp_path: Path, place: tuple[Any, ...], value: Any
) -> None:
    """Days of no calendar, positions of no log, settings of no shape: said in a line, for a page too."""
    found = content = json.loads(gzip.decompress(case[2].read_bytes()))
    for name in ("case", *place[:-1]):
        found = found[name]
    found[place[-1]] = value
    (tmp_path / "odd.json").write_text(json.dumps(content))
    told = tenure(tmp_path, {}, "incident", "open", "odd.json", "--html", "odd.html", status=1).stderr
    assert "no incident file" in told
    assert "Traceback" not in told


def test_a_damaged_or_endless_file_is_none(case: tuple[House, Any, Path, dict[str, Any]], tmp_path: Path) -> None:
    """A byte turned over in the compressed stream is damage; what unpacks to more than the limit is not unpacked."""
    raw = bytearray(case[2].read_bytes())
    raw[200] ^= 0xFF
    (tmp_path / "turned.gz").write_bytes(raw)
    assert "cut or damaged" in tenure(tmp_path, {}, "incident", "open", "turned.gz", status=1).stderr
    piece = gzip.compress(bytes(1024 * 1024))
    (tmp_path / "bomb.gz").write_bytes(piece * 257)
    assert "larger than" in tenure(tmp_path, {}, "incident", "open", "bomb.gz", status=1).stderr


def test_another_tenant_that_a_call_spoke_of_is_a_mark() -> None:
    """An install of one tenant whose body named another does not carry the other's client key out."""
    theirs = Facts(body_client_key="other-tenant", address="198.51.100.7", peer="203.0.113.9")
    found = Redactor().call(replace(decision("mine"), facts=theirs)).facts
    assert found.body_client_key not in ("other-tenant", "mine", "", None)
    assert (found.address, found.peer) == ("", "")
    own = replace(theirs, body_client_key="mine")
    kept = Redactor().call(replace(decision("mine"), facts=own)).facts
    assert kept.body_client_key == "mine"
