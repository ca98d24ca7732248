"""Every security context folded anew from 1,000,000 events, each event's hash checked against the chain, on one core.

The peer, PyPI eventsourcing on its own SQLite file, reads and maps as many events of the same fields, and neither
checks a hash nor folds.
"""

import os
from contextlib import ExitStack

from kit.bench import Bench
from kit.measure import Bound, Figure, in_turn, rate, ratio
from kit.traffic import installed_body
from peers.occurrences import Peer

from tenure.domain.chain import GENESIS, chain_hash
from tenure.domain.tenant import Tenant, evolve
from tenure.store.codec import COLUMNS, decode
from tenure.store.sqlite import SqliteLog

ROW = f"{', '.join(COLUMNS)}, hash"


def run(bench: Bench) -> list[Figure]:
    """One figure."""
    core = min(os.sched_getaffinity(0))
    cores = os.sched_getaffinity(0)
    with ExitStack() as stack:
        folder = stack.enter_context(bench.folder())
        peer = Peer(folder / "peer.db")
        stack.callback(peer.close)
        fields = {**installed_body(bench.tenants(1)[0]), "personal": "p" * 70}
        peer.fill(bench.many, fields)
        log = SqliteLog(bench.large() / "events.db", read_only=True)
        stack.callback(log.close)
        os.sched_setaffinity(0, {core})
        stack.callback(os.sched_setaffinity, 0, cores)
        samples = in_turn(
            {"tenure": lambda: rate(lambda count: _rebuild(log, count), bench.many),
             "eventsourcing": lambda: rate(lambda count: _map(peer, count), bench.many)}, 3,
        )  # fmt: skip
    return [
        ratio(f"rebuild of {bench.many:,} events / eventsourcing reading its own", "events/s", samples["tenure"],
              samples["eventsourcing"], Bound(1.8, 2.3), labels=("tenure", "eventsourcing")),
    ]  # fmt: skip


def _rebuild(log: SqliteLog, count: int) -> None:
    contexts: dict[tuple[str, str], Tenant | None] = {}
    head, seen = GENESIS, 0
    for row in log.connection.execute(f"SELECT {ROW} FROM events ORDER BY position"):
        head = chain_hash(head, row[:-1])
        if head != row[-1]:
            raise RuntimeError(f"the chain breaks at {row[0]}")
        event = decode(row)
        key = (event.app_key, event.client_key)
        contexts[key] = evolve(contexts.get(key), event)
        seen += 1
    if seen < count or (seen, head) != log.head():
        raise RuntimeError(f"{seen} events of {count}")


def _map(peer: Peer, count: int) -> None:
    if sum(1 for _ in peer.read()) != count:
        raise RuntimeError("the peer lost events")
