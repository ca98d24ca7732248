"""First installs over HTTP, 32 connections, every one signed RS256 by a key that is at hand, fsynced before its 204.

The peer is atlassian-connect-express on PostgreSQL with its defaults (fsync on), because its SQLite store stalls at
eight installs at once. It asks its key host at every install, as it always does: a server of the least kind on this
machine. No call may fail on either side.
"""

from contextlib import ExitStack
from functools import partial

from kit.bench import Bench
from kit.drive import Contestant, note
from kit.measure import Bound, Figure, in_turn, ratio
from kit.stand import Load, Node, Postgres, Python, Tenure, started
from kit.store import furnish
from kit.traffic import install_key_pem, install_requests, keep


def run(bench: Bench) -> list[Figure]:
    """One figure."""
    ours, theirs = (600, 200) if bench.quick else (4000, 800)
    with ExitStack() as stack:
        folder, home, server = (stack.enter_context(bench.folder()) for _ in range(3))
        pem = folder / "key.pem"
        pem.write_bytes(install_key_pem())
        keys = started(stack, lambda: Python(folder, "keyhost", "-m", "kit.answerer", str(pem)))
        host = f"http://127.0.0.1:{keys.port}"
        furnish(home, [], host)
        tenure = started(stack, lambda: Tenure(home, INSTALL_KEYS_URL=host))
        server.chmod(0o755)
        postgres = started(stack, lambda: Postgres(server))
        store = {"adapter": "sequelize", "dialect": "postgres", "type": "postgres", "url": postgres.url,
                 "pool": {"max": 32}, "logging": False}  # fmt: skip
        peer = {"folder": str(bench.peers), "store": store}
        ace = started(stack, lambda: Node("ace.js", folder, peer, CONNECT_KEYS_CDN_URL=host, DB_URL=postgres.url))
        load = started(stack, lambda: Load(folder))
        requests = keep(folder, "installs", install_requests((bench.rounds + 1) * ours))
        contestants = {"tenure": Contestant(tenure, tenure.port, requests), "ace": Contestant(ace, ace.port, requests)}
        counts = {"tenure": ours, "ace": theirs}
        for name, contestant in contestants.items():
            contestant.sample(load, 32, count=counts[name])
        samples = in_turn(
            {name: partial(contestants[name].sample, load, 32, count=counts[name]) for name in contestants},
            bench.rounds,
        )  # fmt: skip
        return [
            ratio("installed over HTTP / ACE on PostgreSQL, 32 connections", "requests/s", samples["tenure"],
                  samples["ace"], Bound(4.0, 8.0), note(contestants), labels=("tenure", "ace")),
        ]  # fmt: skip
