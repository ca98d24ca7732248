"""Durable lifecycle appends at the store. One writer: an `installed` (chained, projected, its token spent) a
transaction, against bare sqlite3 putting one row of the same columns into a file with the same settings. 32 writers:
the write lane, against PyPI eventsourcing's SQLite recorder in 32 threads, one event a save.
"""

import asyncio
import itertools
import sqlite3
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from kit.bench import Bench
from kit.measure import Bound, Figure, in_turn, rate, ratio
from kit.store import MASTER, furnish, install
from kit.traffic import APP_KEY, Known, installed_body, known
from peers.occurrences import Peer, Tenant

from tenure.domain.ports import Append, AppendResult, Spend
from tenure.projections.security_context import SecurityContextProjector
from tenure.store.codec import encode
from tenure.store.key_file import KeyFile
from tenure.store.lane import Lane
from tenure.store.masters import from_text
from tenure.store.sqlite import SqliteLog
from tenure.store.vault import Vault

WRITERS = 32


def run(bench: Bench) -> list[Figure]:
    """Two figures."""
    count = 200 if bench.quick else 1500
    with ExitStack() as stack:
        folder = stack.enter_context(bench.folder())
        furnish(folder, [])
        vault = Vault(KeyFile(folder / "keys.db"), from_text(MASTER))
        log = SqliteLog(folder / "events.db", [SecurityContextProjector()])
        stack.callback(vault.close)
        stack.callback(log.close)
        tenant = next(known(1))
        vault.ensure_key(APP_KEY, tenant.client_key)
        made = _appends(vault, tenant)
        like = install(vault, tenant, 0)
        alone = in_turn({"tenure": lambda: rate(lambda n: _one_writer(log, made, n), count),
                         "sqlite3": lambda: rate(_bare(folder / "bare.db", like), count)}, bench.rounds)  # fmt: skip
        peer = Peer(folder / "peer.db")
        stack.callback(peer.close)
        saves = _eventsourcing(peer, Tenant, installed_body(tenant))
        together = in_turn({"tenure": lambda: rate(lambda n: uvloop.run(_many_writers(log, vault, n)), count * 4),
                            "eventsourcing": lambda: rate(saves, count)}, bench.rounds)  # fmt: skip
    return [
        ratio("durable appends, 1 writer / bare sqlite3", "appends/s", alone["tenure"], alone["sqlite3"], Bound(0.6),
              labels=("tenure", "sqlite3")),
        ratio("durable appends, 32 writers / eventsourcing", "appends/s", together["tenure"],
              together["eventsourcing"], Bound(3.0), labels=("tenure", "eventsourcing")),
    ]  # fmt: skip


def _appends(vault: Vault, tenant: Known) -> Any:
    for version in itertools.count():
        made = install(vault, tenant, version)
        yield Append(made.app_key, made.client_key, version, made.draft, _spend())


def _spend() -> Spend:
    return Spend(uuid.uuid4().hex * 2, "d" * 64)


def _one_writer(log: SqliteLog, made: Any, count: int) -> None:
    for request in itertools.islice(made, count):
        (result,) = log.append([request])
        assert type(result).__name__ == "Appended"


_streams = itertools.count(1)


async def _many_writers(log: SqliteLog, vault: Vault, count: int) -> None:
    lane: Lane[Append, AppendResult] = Lane(log.append, name="bench")
    run = next(_streams)

    async def writer(number: int) -> None:
        tenant = Known(f"writer-{run}-{number}", "s" * 64)
        sealed = install(vault, Known("tenant-00000000-bench", tenant.secret), 0)
        for version in range(count // WRITERS):
            result = await lane.submit(Append(sealed.app_key, tenant.client_key, version, sealed.draft, _spend()))
            assert type(result).__name__ == "Appended"

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    lane.close()


def _bare(path: Path, like: Append) -> Callable[[int], None]:
    assert like.draft is not None
    fresh = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if fresh:
        connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, version, type, app_key, client_key, "
                           "recorded_at, proof, changed, data, token_fingerprint, hash)")  # fmt: skip
    row = (
        1,
        "installed",
        like.app_key,
        like.client_key,
        "2026-01-01T00:00:00.000000Z",
        *encode(like.draft),
        "f" * 64,
        "0" * 64,
    )

    def work(count: int) -> None:
        for _ in range(count):
            connection.execute("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.close()

    return work


def _eventsourcing(peer: Any, tenant_class: Any, fields: dict[str, Any]) -> Callable[[int], None]:
    local = threading.local()

    def save(_: int) -> None:
        if not hasattr(local, "tenant"):
            local.tenant = tenant_class(fields)
        peer.save(local.tenant, fields)

    def work(count: int) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(save, range(count)))

    return work
