"""Webhooks checked and recorded by one process, 1,000 tenants, against atlassian-connect-express on SQLite.

ACE checks the token and the app's own handler in the same process answers 204. Tenure is asked the same question in
both its ways: `/forward-auth` with the same token, method, path and body is the same work as ACE's (and records the
decision besides); passed on is a webhook on the public listener, which is checked, recorded, sent to an upstream on
this machine, and noted as delivered: a hop and a second write more than ACE does. Every delivery has a new identifier.
"""

from contextlib import ExitStack

from kit.bench import Bench
from kit.drive import Contestant, compare, note
from kit.measure import Bound, Figure, ratio
from kit.stand import Load, Node, Python, Tenure, started
from kit.store import furnish
from kit.traffic import body_of, keep, tenants_file, webhook_requests

CASES = (
    (1024, 32, Bound(5.0, 7.0)),
    (20 * 1024, 32, Bound(4.5)),
    (1024, 1, Bound(2.5, 4.0)),
)


def run(bench: Bench) -> list[Figure]:
    """Two figures a case: forward auth, and passed on."""
    figures = []
    tenants = bench.tenants()
    with ExitStack() as stack:
        folder, home = (stack.enter_context(bench.folder()) for _ in range(2))
        furnish(home, tenants)
        upstream = started(stack, lambda: Python(folder, "upstream", "-m", "kit.answerer"))
        store = {
            "adapter": "sequelize",
            "dialect": "sqlite3",
            "type": "sqlite",
            "storage": str(folder / "ace.db"),
            "logging": False,
        }
        peer = {"folder": str(bench.peers), "store": store, "tenants": str(tenants_file(folder, tenants))}
        ace = started(stack, lambda: Node("ace.js", folder, peer))
        tenure = started(stack, lambda: Tenure(home, UPSTREAM_URL=f"http://127.0.0.1:{upstream.port}"))
        load = started(stack, lambda: Load(folder))
        for size, connections, bound in CASES:
            body = body_of(size)
            public = keep(folder, f"public-{size}", webhook_requests(tenants, body))
            internal = keep(folder, f"internal-{size}", webhook_requests(tenants, body, internal=True))
            contestants = {
                "forward-auth": Contestant(tenure, tenure.internal_port, internal, expect=200),
                "passed on": Contestant(tenure, tenure.port, public),
                "ace": Contestant(ace, ace.port, public),
            }
            samples = compare(bench, load, contestants, connections)
            what = f"{size // 1024} KB, {connections} connections"
            told = note(contestants)
            for way in ("forward-auth", "passed on"):
                figures.append(
                    ratio(
                        f"webhook by {way} / ACE on SQLite, {what}",
                        "requests/s",
                        samples[way],
                        samples["ace"],
                        bound,
                        told,
                        labels=(way, "ace"),
                    )
                )
    return figures
