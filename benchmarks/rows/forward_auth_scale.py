"""`/forward-auth` with 1,000,000 tenants in the store against 10: page loads of tenants at random.

With a million neither the store's pages nor the tenants' keys are at hand; with ten both always are.
"""

from contextlib import ExitStack

from kit.bench import Bench
from kit.drive import Contestant, compare, note
from kit.measure import Bound, Figure, difference, ratio
from kit.stand import Load, Tenure, started
from kit.store import furnish
from kit.traffic import keep, page_requests, shuffled


def run(bench: Bench) -> list[Figure]:
    """The ratio of requests/s, and how much more memory the process holds after the same calls."""
    calls = 5_000 if bench.quick else 60_000
    many, few = bench.tenants(bench.many), bench.tenants(10)
    with ExitStack() as stack:
        folder, small = (stack.enter_context(bench.folder()) for _ in range(2))
        furnish(small, few)
        servers = {
            f"{bench.many:,}": started(stack, lambda: Tenure(bench.large())),
            "10": started(stack, lambda: Tenure(small)),
        }
        load = started(stack, lambda: Load(folder))
        requests = [keep(folder, f"{len(t)}", page_requests(shuffled(t, calls))) for t in (many, few)]
        contestants = {
            name: Contestant(server, server.internal_port, path, expect=200)
            for path, (name, server) in zip(requests, servers.items(), strict=True)
        }
        samples = compare(bench, load, contestants, 32)
        memory = {name: server.memory() for name, server in servers.items()}
        large, little = contestants
        return [
            ratio(f"forward-auth with {large} tenants / with 10, 32 connections", "requests/s", samples[large],
                  samples[little], Bound(0.85), note(contestants), labels=(large, little)),
            difference(f"memory with {large} tenants less that with 10, after the calls", "MB", [memory[large]],
                       [memory[little]], Bound(50, least=False), labels=(large, little)),
        ]  # fmt: skip
