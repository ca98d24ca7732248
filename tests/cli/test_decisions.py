"""`tenure decisions`, `tenure sign` and API tokens on the command line: what they show and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import tenure, told
from support.commands import ended
from support.house import APP_KEY, House
from tenure.domain.decisions import Wanted


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service with a few accepted and refused calls."""
    with House(tmp_path_factory.mktemp("cli")) as house:
        site = house.installed(base_url="https://cli.atlassian.net")
        for _ in range(3):
            house.page(site)
            house.page(site, "garbage")
        site.webhook(qsh="0" * 64)
        yield house


def _run(house: House, *arguments: str, app_key: str = APP_KEY) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    own = {"TENURE_MASTER_KEY": house.settings["MASTER_KEY"], "TENURE_APP_KEY": app_key}
    return subprocess.run(
        [sys.executable, "-m", "tenure", *arguments],
        cwd=house.folder, env=clean | own, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _lines(house: House, *arguments: str) -> list[dict[str, object]]:
    ended = _run(house, "decisions", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


FIELDS = {
    "decision", "at", "kind", "verdict", "reason", "client_key", "claimed_client_key", "method", "path", "status",
    "took_ms", "read_position",
}  # fmt: skip


def test_decisions_are_listed_with_all_fields(house: House) -> None:
    """Each line has the fields of the contract, oldest of the newest first."""
    rows = _lines(house)
    assert set(rows[0]) >= FIELDS
    assert [row["at"] for row in rows] == sorted(str(row["at"]) for row in rows)
    assert rows[0]["kind"] == "installed"
    assert len(_lines(house, "--limit", "2")) == 2


def test_filters(house: House) -> None:
    """Tenant, verdict, reason and time each leave out what does not fit."""
    assert {row["verdict"] for row in _lines(house, "--verdict", "refused")} == {"refused"}
    assert len(_lines(house, "--reason", "token_malformed")) == 3
    assert {row["reason"] for row in _lines(house, "--tenant", "cli.atlassian.net", "--verdict", "refused")} == {
        "qsh_mismatch"
    }
    assert _lines(house, "--until", "2020-01-01T00:00:00Z") == []
    assert _lines(house, "--since", "1h")


@pytest.mark.parametrize(("by", "name"), [("reason", "token_malformed"), ("tenant", ""), ("hour", None)])
def test_counted_by(house: House, by: str, name: str | None) -> None:
    """Counts say what was counted and what is kept, and how many that is in all."""
    rows = _lines(house, "--by", by, "--verdict", "refused")
    assert all(row["counted"] == row["kept"] for row in rows)
    if name is not None:
        assert {row["counted"] for row in rows if row[by] == name} == {3}
    told = _run(house, "decisions", "--verdict", "refused").stderr
    assert told.strip() == "4 counted, 4 of them kept"


def test_wrong_use(house: House) -> None:
    """An unknown reason, verdict, group or time is exit 2 with a line that says what to do."""
    for wrong in (["--reason", "x"], ["--verdict", "x"], ["--by", "x"], ["--since", "x"], ["--by", "hour", "--follow"]):
        assert _run(house, "decisions", *wrong).returncode == 2
    assert _run(house, "decisions", "--tenant", "nobody").returncode == 1


def test_follow(house: House) -> None:
    """Following prints what was recorded after it began, once each, and ends quietly with Ctrl-C."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    command = [sys.executable, "-m", "tenure", "decisions", "--follow", "--limit", "1", "--json"]
    with ended(
        subprocess.Popen(
            command, cwd=house.folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        first = json.loads(running.stdout.readline())
        site = house.installed()
        following = [json.loads(running.stdout.readline()) for _ in range(2)]
        running.send_signal(signal.SIGINT)
        assert "Traceback" not in running.stderr.read()
        assert running.wait(10) in {0, 130}
    assert [row["kind"] for row in following] == ["installed", "enabled"]
    assert {row["client_key"] for row in following} == {site.client_key}
    assert first["decision"] < following[0]["decision"] < following[1]["decision"]


def test_signing_leaves_a_decision(house: House) -> None:
    """`tenure sign` is a decision of kind `sign`, also where it fails, and knows only the app's own tenants."""
    assert _run(house, "sign", "cli.atlassian.net", "GET", "/rest/x?secret=1").returncode == 0
    assert _run(house, "sign", "cli.atlassian.net", "GET", "https://evil.example/x").returncode == 2
    assert _run(house, "sign", "cli.atlassian.net", "GET", "/x", app_key="com.example.other").returncode == 1
    with house.decisions() as log:
        found = [stored.decision for stored in log.page(Wanted(kind="sign"))]
    assert [(one.status, one.reason, bool(one.client_key)) for one in found] == [
        (404, "tenant_unknown", False), (400, "payload_invalid", True), (200, "", True),
    ]  # fmt: skip
    assert {one.path for one in found} == {"/rest/x", "/x"}
    assert found[-1].detail.startswith("command line, by ")


def test_api_tokens_leave_events(house: House) -> None:
    """Creating and revoking an API token are operators' events that name it and never hold it."""
    made = json.loads(_run(house, "tokens", "create", "ci", "--scope", "audit", "--json").stdout)
    assert _run(house, "tokens", "revoke", "ci").returncode == 0
    events = [event for event in house.events("") if event.type.startswith("operator.tokens")]
    assert [event.type for event in events] == ["operator.tokens.created", "operator.tokens.revoked"]
    assert all("ci" in repr(event.data) and made["token"] not in repr(event.data) for event in events)


def test_a_token_before_the_first_start(tmp_path: Path) -> None:
    """An API token can be made before there is a log, its event is the first; but not for an app without a name."""
    create = ("tokens", "create", "ci", "--scope", "sign")
    assert "TENURE_APP_KEY" in tenure(tmp_path, {}, *create, status=2).stderr
    assert list(tmp_path.iterdir()) == []
    tenure(tmp_path, {"APP_KEY": APP_KEY}, *create)
    assert told(tmp_path, {}, "event", "1")["app_key"] == APP_KEY
    tenure(tmp_path, {}, "tokens", "revoke", "ci")
    assert told(tmp_path, {}, "event", "2")["app_key"] == APP_KEY
