"""A file and a database come to the same: whatever batches are recorded, in one and in the other."""

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.decided import decision
from support.decision_stores import DecisionsInPostgres, DecisionsOnDisk
from support.postgres import Cluster
from tenure.domain.decisions import Amended, Entry, FailedToken, Item, Outcome
from tenure.store.decision_writer import Decisions

_numbers = count(1)
REASONS = st.sampled_from(["", "", "expired", "signature_bad"])
# what comes: a decision (tenant, webhook, reason, when), how a webhook ended, an answer that failed, an API token
NEW = st.tuples(st.just("new"), st.sampled_from("ab"), st.sampled_from(["", "i", "j"]), REASONS, st.integers(0, 3))
ENDED = st.tuples(st.just("ended"), st.integers(0, 9), st.sampled_from([200, 204, 500]), st.booleans())
AMENDED = st.tuples(st.just("amended"), st.integers(0, 9))
BATCHES = st.lists(st.lists(NEW | NEW | ENDED | AMENDED | st.just(("token",)), max_size=6), max_size=6)


class Side:
    """One store, and the entries that were given to it."""

    def __init__(self, log: Decisions, first: int) -> None:
        self._log = log
        self._first = first
        self._entries: list[Entry] = []

    def record(self, batch: list[tuple[Any, ...]]) -> list[str]:
        """What came of each of a batch."""
        amended = list[Entry]()
        items = [item for one in batch for item in self._item(one, amended)]
        return [str(claim) for claim in self._log.record(items)] + [str(entry.fate) for entry in self._entries]

    def _item(self, one: tuple[Any, ...], amended: list[Entry]) -> list[Item]:
        kind, *rest = one
        if kind == "token":
            return [FailedToken("m", 1.0)]
        if kind == "new":
            tenant, webhook, reason, hour = rest
            made = decision(
                self._first + len(self._entries), client_key=tenant, reason=reason,
                at=f"2026-01-01T{hour:02}:00:00.000000Z",
            )  # fmt: skip
            self._entries.append(Entry(made, (tenant, webhook) if webhook and not reason else None))
            return [self._entries[-1]]
        known = [entry for entry in self._entries if str(entry.fate) in ("kept", "counted") and not entry.withdrawn]
        if not known or known[rest[0] % len(known)] in amended:
            return []
        entry = known[rest[0] % len(known)]
        amended.append(entry)
        if kind == "amended":
            entry.withdrawn = True  # once only, as the recorder does
            return [Amended(entry, "unexpected", 500)]
        if entry.decision.reason:
            return []
        tenant, webhook = entry.claim or (entry.decision.client_key, "")
        return [Outcome(entry.decision.decision, tenant, webhook, rest[1], 5.0, gone=rest[2])]

    def state(self) -> dict[str, Any]:
        """Everything that can be asked."""
        log = self._log
        return {
            "rows": [stored for stored in log.all() if stored.decision.decision >= f"d{self._first:06}"],
            "totals": log.totals(),
            "by reason": log.counts("reason"),
            "by tenant": log.counts("tenant"),
            "by hour": log.counts("hour"),
            "upstream": log.upstream(),
            "webhooks": [(log.taken(k, i), log.busy(k, i)) for k in "ab" for i in "ij"],
            "failures": log.failures("m"),
        }


def test_batches_come_to_the_same_in_a_file_and_in_a_database(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows, numbers, counters, claims and fates are the same after the same batches, one after the other."""
    stores = DecisionsOnDisk(tmp_path_factory.mktemp("a")), DecisionsInPostgres(tmp_path_factory.mktemp("b"), cluster)
    opened = [store.open() for store in stores]

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(BATCHES)
    def try_one(batches: list[list[tuple[Any, ...]]]) -> None:
        first = next(_numbers) * 100
        sides = [Side(log, first) for log in opened]
        for batch in batches:
            one, other = (side.record(batch) for side in sides)
            assert one == other
            assert sides[0].state() == sides[1].state()

    try_one()
    for store in stores:
        store.close()
