"""Replay: recorded decisions come out as they were, or it is said which do not and why; and nothing is written."""

import hashlib
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysqlite3
import pytest

from support.commands import Ran, run
from support.crowd import crowd
from support.house import House
from tenure.domain import check as checking
from tenure.domain.refusals import Reason, Refused

MANY = 10_000


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house after calls of all kinds, its service ended."""
    with House(tmp_path_factory.mktemp("played")) as house:
        crowd(house)
        house.service.stop()
        yield house


@pytest.fixture(scope="module")
def many(played: House) -> House:
    """The same with 10,000 recorded decisions: copies of each under ids of their own."""
    database = pysqlite3.connect(str(played.folder / "decisions.db"))
    names = [row[1] for row in database.execute("PRAGMA table_info(decisions)") if row[1] not in ("number", "decision")]
    (kept,) = database.execute("SELECT count(*) FROM decisions").fetchone()
    columns = ", ".join(names)
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        f"INSERT INTO decisions (decision, {columns}) SELECT decision || '-' || i, {columns} FROM decisions, n",
        (MANY // kept + 1,),
    )
    database.commit()
    database.close()
    return played


def replayed(house: House, *arguments: str) -> Ran:
    """`tenure replay …` without a key: it needs none."""
    return run(house.folder, "replay", *arguments)


def counted(ran: Ran) -> dict[str, int]:
    """The results of a replay listed as JSON."""
    found: dict[str, int] = {}
    for row in ran.rows:
        found[row["result"]] = found.get(row["result"], 0) + 1
    return found


def digests(folder: Path) -> dict[str, str]:
    """What every file of the store holds; the shared-memory index of readers is none of it."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith("-shm") and path.stat().st_size
    }


def test_ten_thousand_decisions_come_out_as_recorded(many: House) -> None:
    """Every one of 10,000 decisions of all kinds gives its verdict again, in seconds."""
    began = time.monotonic()
    ran = replayed(many, "--all", "--json")
    assert ran.status == 0, ran.err
    found = counted(ran)
    assert set(found) == {"same"}
    assert found["same"] >= MANY
    assert time.monotonic() - began < 30


def test_not_a_byte_changes_and_nothing_is_sent(many: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays and what-ifs leave every file of the store as it was, and open no connection."""
    before = digests(many.folder)

    def forbidden(*_: object) -> None:
        raise AssertionError("a replay sends nothing")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    for arguments in (
        ("--all",),
        ("--all", "--head"),
        ("--all", "--with", "LEGACY_INSTALL=on"),
        ("--all", "--clock", "+1h"),
    ):
        assert replayed(many, *arguments).status in (0, 1)
    with many.decisions() as log:
        made = next(one.decision for one in log.all() if one.decision.reason == "qsh_mismatch")
    mine = made.claimed_client_key
    reads: tuple[tuple[str, ...], ...] = (
        ("diff", "0", "head"),
        ("tenant", "show", mine, "--position", "5"),
        ("tenant", "show", mine, "--at", made.at),
        ("explain", made.decision),
        ("diagnose", mine),
        ("timeline", mine),
        ("events", "--tenant", mine),
        ("decisions", "--tenant", mine),
    )
    for question in reads:
        assert run(many.folder, *question).status == 0, question
    assert digests(many.folder) == before


def test_a_changed_rule_shows_in_exactly_the_decisions_it_touches(many: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule on context tokens taken away, those refused for it differ, because of the code, and no others."""
    original = checking._check_qsh

    def lenient(evidence: checking.Evidence) -> None:
        try:
            original(evidence)
        except Refused as refused:
            if refused.reason is not Reason.CONTEXT_NOT_ALLOWED:
                raise

    monkeypatch.setattr(checking, "_check_qsh", lenient)
    ran = replayed(many, "--all", "--json", "--differing")
    assert ran.status == 1
    assert {(row["recorded"]["reason"], row["because"]) for row in ran.rows} == {("context_not_allowed", "code")}
    with many.decisions() as log:
        affected = {one.decision.decision for one in log.all() if one.decision.reason == "context_not_allowed"}
    assert {row["decision"] for row in ran.rows} == affected


def test_what_ifs_turn_the_decisions_they_must(played: House) -> None:
    """Other audiences, a longer leeway, disabled refused and a moved clock turn just what depends on them."""
    other = replayed(played, "--all", "--json", "--with", "EXTRA_BASE_URLS=https://other.example.com")
    turned = [row for row in other.rows if row["result"] == "differs"]
    assert {row["recorded"]["reason"] for row in turned} == {"audience_mismatch"}
    moved = replayed(played, "--verdict", "accepted", "--json", "--clock", "+2h")
    signed = [row for row in moved.rows if row["kind"] in ("webhook", "forward-auth", "installed", "enabled")]
    assert {row["replayed"]["reason"] for row in signed} == {"expired"}
    early = replayed(played, "--reason", "not_yet_valid", "--json", "--with", "LEEWAY=1000")
    assert {row["replayed"]["reason"] for row in early.rows} <= {"", "qsh_mismatch", "signature_bad"}
    assert replayed(played, "--all", "--with", "NO_SUCH=1").status == 2


def test_the_signature_is_told_apart_from_what_is_computed(played: House) -> None:
    """Of an accepted call, times, hash and state are computed again and the signature is read back."""
    (row, *_) = replayed(played, "--kind", "forward-auth", "--verdict", "accepted", "--json").rows
    assert "signature" in row["read_back"]
    assert {"times", "qsh", "state"} <= set(row["recomputed"])


def test_a_signature_is_not_guessed_under_a_secret_it_never_met(played: House) -> None:
    """A call refused before its tenant existed cannot be known under a later state: incomplete, exit status 1."""
    with played.decisions() as log:
        unknown = [one.decision for one in log.all() if one.decision.reason == "signature_bad"]
    made = next(one for one in unknown if one.facts.alg == "HS256")
    same = replayed(played, made.decision, "--json")
    assert [row["result"] for row in same.rows] == ["same"]


def test_unknown_settings_and_a_lost_tail_are_an_incomplete_record(played: House, tmp_path: Path) -> None:
    """A decision whose settings no start lists, or that read past the end of the log, is not replayed on a guess."""
    for name in ("events.db", "decisions.db"):
        (tmp_path / name).write_bytes((played.folder / name).read_bytes())
    database = pysqlite3.connect(str(tmp_path / "decisions.db"))
    found: list[Any] = [
        row[0]
        for row in database.execute(
            "SELECT decision FROM decisions WHERE kind = 'webhook' AND verdict = 'accepted' LIMIT 2"
        )
    ]  # fmt: skip
    database.execute("UPDATE decisions SET facts = json_set(facts, '$.settings', 'none') WHERE decision = ?", found[:1])
    database.execute("UPDATE decisions SET read_position = 100000 WHERE decision = ?", found[1:])
    database.commit()
    database.close()
    ran = run(tmp_path, "replay", *found, "--json")
    assert ran.status == 1
    assert [(row["result"], row["because"]) for row in ran.rows] == [("incomplete", "record")] * len(found)


def test_a_wrong_projection_is_named(tmp_path: Path) -> None:
    """A call refused because the live row was wrong is told as the projection's fault, not the code's."""
    with House(tmp_path) as house:
        site = house.installed()
        assert house.page(site).status_code == 200
        database = pysqlite3.connect(str(tmp_path / "events.db"))
        database.execute("UPDATE security_contexts SET installed = 0")
        database.commit()
        database.close()
        refused = house.page(site)
        assert refused.status_code == 401
        ran = run(tmp_path, "replay", refused.headers["x-tenure-decision"], "--json")
        assert ran.status == 1
        assert [(row["result"], row["because"]) for row in ran.rows] == [("differs", "projection")]


def test_the_state_as_of_a_decision_is_what_decided_it(played: House) -> None:
    """As-of state at the position a decision read says of the secret what the decision recorded of it."""
    with played.decisions() as log:
        made = [
            one.decision for one in log.all() if one.decision.facts.match == "current" and one.decision.read_position
        ]
    hashed = [one for one in made if one.facts.alg == "HS256"]
    states = {(one.claimed_client_key, one.read_position): one for one in hashed}
    assert len(states) > 5
    for one in random.Random(7).sample(sorted(states.values(), key=lambda one: one.at), min(len(states), 60)):
        ran = run(
            played.folder, "tenant", "show", one.claimed_client_key, "--position", str(one.read_position), "--json"
        )
        assert ran.rows[0]["position"] == one.read_position
        assert ran.rows[0]["secret_position"] == one.facts.secret_position or one.detail


@pytest.mark.parametrize(
    "given",
    ["NOPE=1", "LEEWAY", "LEEWAY=-1", "LEEWAY=1.5", "LEGACY_INSTALL=maybe", "BASE_URL=", "BASE_URL=http://[",
     "BASE_URL=https://a.example/x,https://b.example/y", "BASE_URL=https://a.example:99999",
     "EXTRA_BASE_URLS=a.example"],
)  # fmt: skip
def test_a_what_if_of_no_setting_is_refused(tmp_path: Path, given: str) -> None:
    """An unknown name or a value that `serve` would not take is wrong use, said in a line with the name."""
    found = run(tmp_path, "replay", "--all", "--with", given)
    assert found.status == 2
    assert f"--with {given.partition('=')[0]}" in found.err


@pytest.mark.parametrize("place", ["9" * 19 + "9", "9" * 5000])
def test_a_position_of_no_log_is_refused(played: House, place: str) -> None:
    """However long the number, `diff` says that no log has such a position."""
    found = run(played.folder, "diff", place, "head")
    assert found.status == 2
    assert "larger than any position" in found.err
