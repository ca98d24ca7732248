"""The decision log: what is recorded is read, webhooks taken are known, old decisions go."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.domain.decisions import Decision, Delivery
from tenure.store import decisions
from tenure.store.connection import UntrustedStoreError
from tenure.store.decisions import SqliteDecisions, open_decisions


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteDecisions]:
    """An empty decision log."""
    open_decisions(tmp_path / "decisions.db")
    opened = SqliteDecisions(tmp_path / "decisions.db")
    yield opened
    opened.close()


def decision(number: int, *, client_key: str = "a", verdict: str = "accepted") -> Decision:
    """A decision whose id sorts by its number."""
    return Decision(
        f"d{number:06}", "2026", "webhook", verdict, "", "", client_key, "claimed", "POST", "/x", 204, 1.5, number
    )


def test_what_is_recorded_is_read(log: SqliteDecisions) -> None:
    """Decisions come back whole, the newest of them, oldest first, filtered by client and verdict."""
    log.record([decision(1), decision(2, client_key="b"), decision(3, verdict="refused")])
    assert [row["decision"] for row in log.read()] == ["d000001", "d000002", "d000003"]
    assert [row["decision"] for row in log.read(limit=2)] == ["d000002", "d000003"]
    assert [row["decision"] for row in log.read(client_key="a")] == ["d000001", "d000003"]
    assert [row["decision"] for row in log.read(client_key="a", verdict="refused")] == ["d000003"]
    assert Decision(**log.read(limit=1)[0]) == decision(3, verdict="refused")


def test_a_result_for_each_of_a_batch(log: SqliteDecisions) -> None:
    """A batch of decisions and deliveries has as many results; recording one again changes nothing."""
    assert log.record([decision(1), Delivery("a", "i"), decision(1)]) == [None, None, None]
    assert log.record([]) == []
    assert len(log.read()) == 1


def test_a_webhook_taken_is_known_by_tenant_and_identifier(log: SqliteDecisions) -> None:
    """The same identifier of another tenant is another webhook."""
    assert not log.taken("a", "i")
    log.record([Delivery("a", "i"), Delivery("a", "i")])
    assert log.taken("a", "i")
    assert not log.taken("b", "i")
    assert not log.taken("a", "j")


def test_the_oldest_decisions_go(log: SqliteDecisions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the newest stay."""
    monkeypatch.setattr(decisions, "KEPT", 5)
    monkeypatch.setattr(decisions, "PRUNE_EVERY", 10)
    log.record([decision(number) for number in range(9)])
    assert len(log.read()) == 9
    log.record([decision(9)])
    assert [row["read_position"] for row in log.read()] == [5, 6, 7, 8, 9]


def test_a_reader_sees_what_is_committed(log: SqliteDecisions, tmp_path: Path) -> None:
    """Another connection, read-only, reads what was recorded."""
    log.record([decision(1)])
    reader = SqliteDecisions(tmp_path / "decisions.db", read_only=True)
    assert len(reader.read()) == 1
    reader.close()


def test_the_decision_file_is_the_owners_alone(log: SqliteDecisions, tmp_path: Path) -> None:
    """All files are 0600, and one opened to others is refused."""
    log.record([decision(1)])
    assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} == {0o600}
    (tmp_path / "decisions.db").chmod(0o644)
    with pytest.raises(UntrustedStoreError):
        open_decisions(tmp_path / "decisions.db")
