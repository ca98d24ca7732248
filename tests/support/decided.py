"""Decisions made up for the decision log's tests, and what is asked of them."""

from typing import Any

from tenure.domain.decisions import Decision, Entry, Facts, Wanted
from tenure.store.decision_reads import DecisionReads

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


def ids(log: DecisionReads, wanted: Wanted | None = None, **options: Any) -> list[int]:
    """The numbers of the decisions of a page."""
    return [int(found.decision.decision[1:]) for found in log.page(wanted, **options)]


CROWD = [
    decision(1, client_key="a", at="2026-01-01T01:00:00.000000Z"),
    decision(2, client_key="b", at="2026-01-01T02:00:00.000000Z", facts=Facts(identifier="i2")),
    decision(3, client_key="", claimed="c", reason="expired", at="2026-01-01T03:00:00.000000Z", facts=Facts(kid="k3")),
    decision(4, client_key="", claimed="c", reason="token_missing", path="/y", at="2026-01-01T04:00:00.000000Z",
             kind="forward-auth", facts=Facts(identifier="i4", address="10.0.0.4")),
]  # fmt: skip

# of each filter: what is wanted, whom it finds in the crowd, and the index that leads there
FILTERS: dict[str, tuple[dict[str, str], list[int], str]] = {
    "tenant": ({"client_key": "a"}, [1], "decisions_tenant"),
    "since": ({"since": "2026-01-01T03:00:00.000000Z"}, [4, 3], "decisions_at"),
    "until": ({"until": "2026-01-01T02:00:00.000000Z"}, [2, 1], "decisions_at"),
    "refused": ({"verdict": "refused"}, [4, 3], "refused_number"),
    "reason": ({"reason": "expired"}, [3], "refused_reason"),
    "claimed": ({"verdict": "refused", "claimed_client_key": "c"}, [4, 3], "refused_claimed"),
    "kind": ({"verdict": "refused", "kind": "forward-auth"}, [4], "refused_kind"),
    "path": ({"verdict": "refused", "path": "/y"}, [4], "refused_path"),
    "identifier": ({"verdict": "refused", "identifier": "i4"}, [4], "refused_identifier"),
    "kid": ({"verdict": "refused", "kid": "k3"}, [3], "refused_kid"),
}
