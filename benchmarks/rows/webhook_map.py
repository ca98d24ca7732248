"""The same webhooks, 1 KB, 32 connections, against Express with npm's atlassian-jwt and a Map in memory, in requests/s.

The peer parses the body, decodes twice, compares the hash, and answers 204: no storage, no record.
"""

from contextlib import ExitStack

from kit.bench import Bench
from kit.drive import Contestant, compare, note
from kit.measure import Bound, Figure, ratio
from kit.stand import Load, Node, Tenure, started
from kit.store import furnish
from kit.traffic import body_of, keep, tenants_file, webhook_requests


def run(bench: Bench) -> list[Figure]:
    """One figure."""
    tenants, body = bench.tenants(), body_of(1024)
    with ExitStack() as stack:
        folder, home = (stack.enter_context(bench.folder()) for _ in range(2))
        furnish(home, tenants)
        peer = started(stack, lambda: Node("map.js", folder, {"tenants": str(tenants_file(folder, tenants))}))
        tenure = started(stack, lambda: Tenure(home))
        load = started(stack, lambda: Load(folder))
        public = keep(folder, "public", webhook_requests(tenants, body))
        internal = keep(folder, "internal", webhook_requests(tenants, body, internal=True))
        contestants = {
            "forward-auth": Contestant(tenure, tenure.internal_port, internal, expect=200),
            "express": Contestant(peer, peer.port, public),
        }
        samples = compare(bench, load, contestants, 32)
        return [
            ratio("webhook by forward-auth / Express with a Map, 1 KB, 32 connections", "requests/s",
                  samples["forward-auth"], samples["express"], Bound(1.2, 1.5), note(contestants),
                  labels=("forward-auth", "express")),
        ]  # fmt: skip
