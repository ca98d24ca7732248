"""Decisions made up for the decision log's tests, and what is asked of them."""

from typing import Any

from tenure.domain.decisions import Decision, Entry, Wanted
from tenure.store.decisions import SqliteDecisions

DAY = "2026-01-01T00:00:00.000000Z"


def decision(number: int, *, at: str = DAY, **fields: Any) -> Decision:
    """A decision whose id sorts by its number."""
    plain = {"kind": "webhook", "verdict": "accepted", "reason": "", "client_key": "a"} | fields
    if plain["reason"]:
        plain["verdict"] = "refused"
    return Decision(
        decision=f"d{number:06}", at=at, detail="", claimed_client_key=plain.pop("claimed", "claimed"), method="POST",
        path=plain.pop("path", "/x"), status=204, took_ms=1.5, read_position=number, **plain,
    )  # fmt: skip


def entries(*decisions: Decision) -> list[Entry]:
    """The decisions on their way."""
    return [Entry(found) for found in decisions]


def ids(log: SqliteDecisions, wanted: Wanted | None = None, **options: Any) -> list[int]:
    """The numbers of the decisions of a page."""
    return [int(found.decision.decision[1:]) for found in log.page(wanted, **options)]
