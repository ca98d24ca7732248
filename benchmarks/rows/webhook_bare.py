"""The same webhooks, 1 KB, 32 connections, in requests/s of Starlette on uvicorn that reads the body and answers 204.

What the check and its record cost, in other words: the peer does neither.
"""

from contextlib import ExitStack

from kit.bench import Bench
from kit.drive import Contestant, compare, note
from kit.measure import Bound, Figure, ratio
from kit.stand import PEERS, Load, Python, Tenure, started
from kit.store import furnish
from kit.traffic import body_of, keep, webhook_requests


def run(bench: Bench) -> list[Figure]:
    """One figure."""
    tenants, body = bench.tenants(), body_of(1024)
    with ExitStack() as stack:
        folder, home = (stack.enter_context(bench.folder()) for _ in range(2))
        furnish(home, tenants)
        bare = started(stack, lambda: Python(folder, "bare", str(PEERS / "bare.py")))
        tenure = started(stack, lambda: Tenure(home))
        load = started(stack, lambda: Load(folder))
        public = keep(folder, "public", webhook_requests(tenants, body))
        internal = keep(folder, "internal", webhook_requests(tenants, body, internal=True))
        contestants = {
            "forward-auth": Contestant(tenure, tenure.internal_port, internal, expect=200),
            "bare": Contestant(bare, bare.port, public),
        }
        samples = compare(bench, load, contestants, 32)
        return [
            ratio("webhook by forward-auth / Starlette that checks nothing, 1 KB, 32 connections", "requests/s",
                  samples["forward-auth"], samples["bare"], Bound(0.35, 0.5), note(contestants),
                  labels=("forward-auth", "bare")),
        ]  # fmt: skip
