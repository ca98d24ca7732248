"""From the start of the process to its first answer, and its resident memory while idle, 1,000 tenants in the store,
against atlassian-connect-express on SQLite.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from kit.bench import Bench
from kit.measure import Bound, Figure, in_turn, ratio
from kit.stand import Node, Tenure, ready
from kit.store import furnish
from kit.traffic import tenants_file


def run(bench: Bench) -> list[Figure]:
    """Two figures, both as small as can be."""
    memory: dict[str, list[float]] = {"tenure": [], "ace": []}
    with ExitStack() as stack:
        folder, home = (stack.enter_context(bench.folder()) for _ in range(2))
        tenants = bench.tenants()
        furnish(home, tenants)
        store = {
            "adapter": "sequelize",
            "dialect": "sqlite3",
            "type": "sqlite",
            "storage": str(folder / "ace.db"),
            "logging": False,
        }
        peer: dict[str, Any] = {"folder": str(bench.peers), "store": store}
        _start(lambda: Node("ace.js", folder, {**peer, "tenants": str(tenants_file(folder, tenants))}), [])
        _start(lambda: Tenure(home), [])
        samples = in_turn(
            {"tenure": lambda: _start(lambda: Tenure(home), memory["tenure"]),
             "ace": lambda: _start(lambda: Node("ace.js", folder, peer), memory["ace"])}, bench.rounds,
        )  # fmt: skip
    labels = ("tenure", "ace")
    return [
        ratio("start-up to the first answer / ACE", "s", samples["tenure"], samples["ace"],
              Bound(1.5, least=False), labels=labels),
        ratio("memory of the idle process / ACE", "MB", memory["tenure"], memory["ace"],
              Bound(0.6, least=False), labels=labels),
    ]  # fmt: skip


def _start(make: Callable[[], Any], memory: list[float]) -> float:
    start = time.perf_counter()
    child = make()
    try:
        ready(child.port, "/")
        took = time.perf_counter() - start
        time.sleep(0.5)
        memory.append(child.memory())
    finally:
        child.stop()
    return took
