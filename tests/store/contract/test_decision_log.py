"""The decision log on either store: what is recorded is read, counted exactly, kept within bounds; webhooks go once."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.decided import CROWD, FILTERS, decision, entries, ids
from support.decision_stores import DecisionStore
from tenure.domain.decisions import Amended, Claim, Count, Entry, Facts, FailedToken, Fate, Outcome, Wanted
from tenure.store import room
from tenure.store.connection import UntrustedStoreError
from tenure.store.decision_reads import plain_fields
from tenure.store.decision_writer import Decisions, facts_text
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster
from tenure.store.vault import Vault
from tenure.store.veil import Veil


def test_what_is_recorded_is_read(log: Decisions) -> None:
    """A decision comes back whole, its facts too, by its id and in pages of either order."""
    facts = Facts(purpose="traffic", now=1.5, iat=0, exp=2, aud=(), expected_qsh=("a", "b"), identifier="i", kid="k")
    log.record(entries(decision(1), decision(2, facts=facts), decision(3, reason="expired")))
    found = log.one("d000002")
    assert found is not None
    assert found.decision == decision(2, facts=facts)
    assert log.one("d000009") is None
    assert ids(log) == [3, 2, 1]
    assert ids(log, newest_first=False, limit=2) == [1, 2]
    assert [row["decision"] for row in log.read(limit=2)] == ["d000002", "d000003"]


@given(st.builds(Facts))
def test_facts_survive_their_text(facts: Facts) -> None:
    """Whatever the facts are, their text gives them back; what is empty costs nothing."""
    from tenure.store.decision_reads import _FACTS  # noqa: PLC0415

    kept = replace(facts, identifier="", kid="", address_mark="")
    if kept.now == kept.now and abs(kept.now) != float("inf"):
        assert _FACTS.validate_json(facts_text(kept)) == kept
    assert facts_text(Facts()) == "{}"


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_gives_what_fits(log: Decisions, name: str) -> None:
    """Each filter gives what fits, newest first."""
    log.record(entries(*CROWD))
    fields, expected, _ = FILTERS[name]
    assert ids(log, Wanted(**fields)) == expected


def test_an_address_lies_sealed_and_is_found_by_its_mark(kept: DecisionStore, log: Decisions) -> None:
    """The address lies sealed, opens in its own decision only, and is found by its keyed hash."""
    log.record(entries(*CROWD))
    wanted = Wanted(verdict="refused", address_mark=kept.veil.mark("10.0.0.4"))
    assert ids(log, wanted) == [4]
    sealed = log.page(wanted)[0].decision.facts.address
    assert "10.0.0.4" not in sealed
    assert kept.veil.address_of("d000004", sealed) == "10.0.0.4"
    with pytest.raises(UntrustedStoreError):
        kept.veil.address_of("d000003", sealed)


def test_accepted_and_a_reason_is_nothing(log: Decisions) -> None:
    """Filters that exclude each other give an empty page; other filters hold for accepted decisions too."""
    log.record(entries(*CROWD))
    assert ids(log, Wanted(verdict="accepted", reason="expired")) == []
    assert ids(log, Wanted(identifier="i2")) == [2]
    assert ids(log, Wanted(claimed_client_key="c")) == [4, 3]


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_neither_repeat_nor_skip_while_writes_go_on(log: Decisions, newest_first: bool) -> None:
    """Reading on from a number gives each decision once, though more are written, with ids of any order."""
    log.record(entries(*(decision(number) for number in range(100, 120))))
    seen: list[int] = []
    after = None
    written = 0
    while page := log.page(after=after, limit=3, newest_first=newest_first):
        seen += [int(found.decision.decision[1:]) for found in page]
        after = page[-1].number
        if written < 10:
            # an id that sorts before what was read already: made earlier, committed later
            log.record(entries(decision(99 - written)))
            written += 1
    assert len(seen) == len(set(seen))
    assert set(range(100, 120)) <= set(seen)
    if not newest_first:
        assert len(seen) == 30
        assert [found.number for found in log.all(chunk=7)] == sorted(found.number for found in log.all())


def test_counters_are_exact_and_say_what_is_kept(log: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals past their room are counted, not kept; accepted decisions are kept all the same."""
    monkeypatch.setattr(room, "BURST", 5.0)
    monkeypatch.setattr(room, "REFILL", 0.0)
    for start in range(0, 100, 10):
        log.record(entries(*(decision(n, client_key="", reason="expired") for n in range(start, start + 10))))
    log.record(entries(decision(200), decision(201, client_key="", reason="token_missing")))
    assert log.total() == Count("", 102, 7)
    assert log.counts("reason") == [Count("expired", 100, 5), Count("", 1, 1), Count("token_missing", 1, 1)]
    assert log.counts("tenant") == [Count("", 101, 6), Count("a", 1, 1)]
    assert log.counts("hour") == [Count("2026-01-01T00", 102, 7)]
    assert log.total(Wanted(verdict="accepted")) == Count("", 1, 1)
    assert log.total(Wanted(since="2026-01-01T01:00:00.000000Z")).counted == 0
    assert sum(row["counted"] for row in log.totals()) == 102
    with pytest.raises(ValueError, match="not counted by"):
        log.total(Wanted(path="/x"))


def test_all_refusals_together_have_their_room(
    kept: DecisionStore, log: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger who varies the reason is bounded too, and room comes back with time."""
    monkeypatch.setattr(room, "BURST_ALL", 4.0)
    monkeypatch.setattr(room, "REFILL_ALL", 60.0)
    reasons = ("expired", "token_missing", "signature_bad")
    log.record(entries(*(decision(n, reason=reasons[n % 3]) for n in range(30))))
    assert log.total() == Count("", 30, 4)
    kept.foreign("UPDATE room SET at = at - 2")
    log.record(entries(*(decision(n, reason=reasons[n % 3]) for n in range(30, 60))))
    assert log.total() == Count("", 60, 6)


def test_a_withdrawn_entry_is_never_written(log: Decisions) -> None:
    """Of writer and waiting caller one takes an entry; what the caller withdrew is counted as dropped."""
    entry = Entry(decision(1))
    assert entry.take()
    log.drop("webhook")
    log.record([entry, Entry(decision(2))])
    assert ids(log) == [2]
    assert entry.fate is Fate.UNKNOWN
    assert [(row["reason"], row["counted"], row["dropped"]) for row in log.totals()] == [
        ("", 1, 0),
        ("unrecordable", 1, 1),
    ]


def test_an_entry_answered_otherwise_is_amended(log: Decisions) -> None:
    """A row written as accepted while the answer was 503 says refused, and counts stay exact."""
    first, lost = Entry(decision(1), ("a", "i")), Entry(decision(2))
    log.record([first])
    assert lost.take()
    lost.fate = Fate.LOST
    log.record([Amended(first, "unrecordable", 503), Amended(lost, "unrecordable", 503)])
    found = log.one("d000001")
    assert found is not None
    assert (found.decision.verdict, found.decision.reason, found.decision.status) == ("refused", "unrecordable", 503)
    assert log.counts("reason") == [Count("unrecordable", 2, 1)]
    assert {row["reason"]: row["withdrawn"] for row in log.totals()} == {"": 1, "unrecordable": 0}
    assert log.record([Entry(decision(3), ("a", "i"))]) == [Claim.OURS]


def test_a_batch_that_fails_writes_nothing_and_owes_what_it_dropped(kept: DecisionStore, log: Decisions) -> None:
    """A batch is all or nothing; what is owed is written with the next one."""
    entry = Entry(decision(1))
    log.drop("webhook")
    kept.foreign("ALTER TABLE room RENAME TO away")
    with pytest.raises(Exception, match="room"):
        log.record(
            [Entry(decision(7)), entry, Entry(decision(2, reason="expired")), Amended(entry, "unrecordable", 503)]
        )
    kept.foreign("ALTER TABLE away RENAME TO room")
    assert ids(log) == []
    assert entry.fate is not Fate.KEPT
    log.flush()
    assert log.total().counted in (1, 2)
    counted = log.total()
    log.flush()
    assert log.total() == counted


def test_a_webhook_is_claimed_by_one(log: Decisions) -> None:
    """One passes it on, others wait; once it was taken it is a duplicate, once it failed it is free again."""
    first, second = Entry(decision(1), ("a", "i")), Entry(decision(2), ("a", "i"))
    assert log.record([first, second]) == [Claim.OURS, Claim.BUSY]
    assert log.busy("a", "i")
    assert log.total().counted == 1
    log.record([Outcome("d000001", "a", "i", 500, 7.0)])
    assert log.record([second, Entry(decision(3), ("b", "i"))]) == [Claim.OURS, Claim.OURS]
    log.record([Outcome("d000002", "a", "i", 202, 7.0, gone=True)])
    assert log.taken("a", "i")
    assert log.record([Entry(decision(4), ("a", "i"))]) == [Claim.TAKEN]
    known = {number: log.one(f"d00000{number}") for number in (1, 2, 4)}
    assert [found and found.decision.status for found in known.values()] == [500, 202, 204]
    assert known[2] is not None
    assert known[2].decision.facts.gone
    assert log.upstream() == [(202, 1), (500, 1)]


def test_a_claim_ends(kept: DecisionStore, log: Decisions) -> None:
    """Whoever claimed a webhook and was killed holds it for ten seconds, also if the clock is set back."""
    log.record([Entry(decision(1), ("a", "i"))])
    for seconds in (-11, +3600):
        kept.foreign("UPDATE deliveries SET claimed_until = ?", (time.time() + seconds,))
        assert log.record([Entry(decision(2 + seconds), ("a", "i"))]) == [Claim.OURS]


def test_failed_api_tokens_are_counted_by_address(log: Decisions) -> None:
    """Failures of the last minute are counted for each address, across connections."""
    now = time.time()
    log.record([FailedToken("m", now), FailedToken("m", now - 61), FailedToken("n", now)])
    assert (log.failures("m"), log.failures("n"), log.failures("o")) == (1, 1, 0)


def test_a_reader_sees_what_is_committed(kept: DecisionStore, log: Decisions) -> None:
    """Another connection, read-only, reads what was recorded."""
    log.record(entries(decision(1)))
    assert [plain_fields(found.decision) for found in kept.reader().page()] == [plain_fields(decision(1))]


def test_accounts_are_marks_unless_asked_for(kept: DecisionStore, log: Decisions, tmp_path: Path) -> None:
    """An account id lies as a keyed hash, the same for the same account; with STORE_ACCOUNT_IDS as it is."""
    log.record(entries(*(decision(n, facts=Facts(account="account-7")) for n in (1, 2))))
    marks = {found.decision.facts.account for found in log.page()}
    assert len(marks) == 1
    assert marks != {"account-7"}
    with closing(Vault(KeyFile(tmp_path / "keys.db"), GivenMaster(b"k" * 32))) as vault:
        plain = kept.open(Veil(vault, "app", account_ids=True))
        plain.record(entries(decision(3, facts=Facts(account="account-7"))))
        assert plain.page()[0].decision.facts.account == "account-7"


def test_what_is_personal_can_be_forgotten(log: Decisions) -> None:
    """Forgetting a tenant takes account, address and user agent out of its decisions, and of no other's."""
    facts = Facts(account="account-7", address="10.0.0.4", user_agent="agent", qsh="q")
    log.record(entries(decision(1, facts=facts), decision(2, client_key="b", facts=facts)))
    assert log.forget("a") == 1
    assert log.forget("") == 0
    known = {stored.decision.client_key: stored.decision.facts for stored in log.page()}
    assert known["a"] == Facts(qsh="q")
    assert all((known["b"].account, known["b"].address, known["b"].address_mark, known["b"].user_agent))
