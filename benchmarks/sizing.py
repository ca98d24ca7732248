"""What the sizing page says: appends by processes, checks by workers, bytes a tenant, copying; on PostgreSQL.

A cluster of its own with fsync on, on this machine, which must have nothing else to do for figures to mean much: its
load is printed. Each figure is the median of the rounds. For the order lock: `processes` of 16 writers each append to
one log, as so many replicas would under a flood of installs.
"""

import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
from postgres import checks, ours

from support.domain_support import install, request
from support.house import House
from support.postgres import Cluster
from tenure.copying import copy
from tenure.domain.ports import Spend
from tenure.projections.security_context import SecurityContextProjector, schema
from tenure.settings import KeySettings
from tenure.store.postgres.log import open_log as open_postgres
from tenure.store.sqlite import SqliteLog, open_log

ROUNDS = 3
TENANTS = 20_000


def _appends(url: str, first: int) -> float:
    return ours(url, 16, itertools.count(first))


def appends(url: str, processes: int, keys: "itertools.count[int]") -> float:
    """Appends a second of so many processes together."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return sum(pool.starmap(_appends, [(url, next(keys) * 10_000_000) for _ in range(processes)]))


def filled(folder: Path) -> Path:
    """A file of so many tenants: install, enabled, one rotation each."""
    path = folder / "events.db"
    open_log(path, [schema()])
    log = SqliteLog(path, [SecurityContextProjector()])
    for first in range(0, TENANTS, 500):
        batch = []
        for number in range(first, first + 500):
            key = f"{number:08}-0000-4000-8000-000000000000"
            secrets = ("s" * 400, None, "t" * 400)
            for version, secret in enumerate(secrets):
                spend = Spend(f"{number * 3 + version:064}", "b" * 64)
                step = {"step": install(secret)} if secret else {}
                batch.append(request(version, client_key=key, spend=spend, **step))  # type: ignore[arg-type]
        log.append(batch)
    log.close()
    return path


def size(url: str) -> int:
    """Bytes of the log's tables with their indexes."""
    sql = "SELECT sum(pg_total_relation_size(c)) FROM unnest(%s::regclass[]) AS c"
    with psycopg.connect(url) as connection:
        (found,) = connection.execute(sql, [["events", "spent_tokens", "security_contexts"]]).fetchone() or (0,)
    return int(found)


def main() -> int:
    """Prints the figures."""
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = filled(folder)
        url, empty = cluster.url(cluster.database()), cluster.url(cluster.database())
        open_postgres(empty, [schema("postgres")])
        before, began = size(empty), time.perf_counter()
        found = copy(
            KeySettings(database_url=str(path)), KeySettings(database_url=url), ("file", "database"), lambda *_: None
        )
        print(
            f"copied {found.written['events']} events in {found.seconds:.1f} s, both verified after "
            f"{time.perf_counter() - began:.1f} s; {(size(url) - before) / TENANTS:.0f} bytes a tenant of 3 events, "
            f"in the file {path.stat().st_size / TENANTS:.0f}"
        )
        keys = itertools.count(1)
        for processes in (1, 2, 4):
            rates = [appends(empty, processes, keys) for _ in range(ROUNDS)]
            print(f"appends, {processes} processes of 16 writers: {statistics.median(rates):5.0f}/s")
        for workers in (1, 2):
            (folder / str(workers)).mkdir()
            settings = {"DATABASE_URL": cluster.url(cluster.database())}
            with House(folder / str(workers), settings, "--workers", str(workers)) as house:
                print(f"checks, {workers} workers: {statistics.median(checks(house) for _ in range(ROUNDS)):5.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
