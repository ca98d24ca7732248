"""`tenure rebuild` over 1,000,000 events: every security context folded anew, each event's hash checked against the
chain, each context compared with the live one; as it runs, on all cores, and on one.

The peer, PyPI eventsourcing on its own SQLite file, reads and maps as many events of the same fields, and neither
checks a hash, nor folds, nor compares. It has no way of using a second core.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from kit.bench import Bench
from kit.measure import Bound, Figure, in_turn, rate, ratio
from kit.traffic import installed_body
from peers.occurrences import Peer

from tenure.rebuild import compare


def run(bench: Bench) -> list[Figure]:
    """Two figures."""
    with ExitStack() as stack:
        folder = stack.enter_context(bench.folder())
        peer = Peer(folder / "peer.db")
        stack.callback(peer.close)
        fields = {**installed_body(bench.tenants(1)[0]), "personal": "p" * 70}
        peer.fill(bench.many, fields)
        path, processes = bench.large() / "events.db", os.cpu_count() or 1
        samples = in_turn(
            {"all": lambda: rate(_rebuild(path, processes), bench.many),
             "one": lambda: rate(_rebuild(path, 1), bench.many),
             "eventsourcing": lambda: rate(lambda count: _map(peer, count), bench.many)}, 3,
        )  # fmt: skip
    name = f"rebuild of {bench.many:,} events / eventsourcing reading its own"
    return [
        ratio(f"{name}, {processes} cores", "events/s", samples["all"], samples["eventsourcing"], Bound(1.8, 2.3),
              labels=("tenure", "eventsourcing")),
        ratio(f"{name}, 1 core", "events/s", samples["one"], samples["eventsourcing"], None,
              labels=("tenure", "eventsourcing")),
    ]  # fmt: skip


def _rebuild(path: Path, processes: int) -> Callable[[int], None]:
    def work(count: int) -> None:
        found = compare(path, lambda events: None, processes)
        if found.events < count or found.first is not None:
            raise RuntimeError(f"{found.events} events of {count}, first difference {found.first}")

    return work


def _map(peer: Peer, count: int) -> None:
    if sum(1 for _ in peer.read()) != count:
        raise RuntimeError("the peer lost events")
