"""What PostgreSQL costs: appends against the bare design's SQL, checks against the same service on SQLite.

Both sides run in turn, round by round, on this machine and a cluster of its own with fsync on; a figure is the median
of the rounds' ratios. Bare, a statement each and prepared, no triggers, no codec: SELECT … FROM log_head FOR UPDATE,
then what an append must look at and write (spent token, version, event, head, context), COMMIT. Event only: of that
just the event and the head, which is less than an append has to do. Bounds: appends 0.8 of bare, checks 0.6 of
SQLite's. Exit status 1 below them.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from support.domain_support import install, request
from support.house import House
from support.postgres import Cluster
from tenure.domain.ports import Spend
from tenure.projections.security_context import SecurityContextProjector, current_of, schema
from tenure.store.postgres.log import open_log
from tenure.store.postgres.service import PostgresEvents

ROUNDS = 5
SECONDS = 2.0
ROW = ("installed", "com.example.app", "2026-01-01T00:00:00.000000Z", "{}", "{}", "x" * 600, "f" * 64, "h" * 64)


def rate_of(writers: list[Callable[[], object]]) -> float:
    """Calls a second of one or more writers in threads."""
    ends = time.perf_counter() + SECONDS

    def run(one: Callable[[], object]) -> int:
        done = 0
        while time.perf_counter() < ends:
            one()
            done += 1
        return done

    with ThreadPoolExecutor(len(writers)) as pool:
        return sum(pool.map(run, writers)) / SECONDS


CONTEXT = (*[1] * 5, *["s" * 400, "f" * 16, 1, 1, "t"] * 2, *["x" * 26] * 8)


def bare(url: str, keys: "itertools.count[int]", *, event_only: bool = False) -> Callable[[], object]:
    """One append of the bare design."""
    connection = psycopg.connect(url, prepare_threshold=0)

    def around(number: int) -> None:
        app, client, token = ROW[1], f"c{number}", f"{number:064}"
        connection.execute("SELECT * FROM bare_spent WHERE fingerprint = %s", (token,)).fetchone()
        connection.execute(
            "SELECT max(version) FROM bare_events WHERE app_key = %s AND client_key = %s", (app, client)
        ).fetchone()
        connection.execute(
            "INSERT INTO bare_spent VALUES (%s, %s, %s, %s, %s, %s)", (token, "b" * 64, "", app, client, "")
        )
        connection.execute(
            "SELECT * FROM bare_contexts WHERE app_key = %s AND client_key = %s", (app, client)
        ).fetchone()
        connection.execute(
            f"INSERT INTO bare_contexts VALUES ({', '.join(['%s'] * 25)}) "
            "ON CONFLICT (app_key, client_key) DO UPDATE SET version = excluded.version",
            (app, client, *CONTEXT),
        )

    def append() -> None:
        number = next(keys)
        position, _ = (
            connection.execute("SELECT position, hash FROM bare_head WHERE id = 1 FOR UPDATE").fetchone() or ()
        )
        connection.execute(
            "INSERT INTO bare_events VALUES (%s, 1, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (position + 1, *ROW[:2], f"c{number}", *ROW[2:]),
        )
        if not event_only:
            around(number)
        connection.execute("UPDATE bare_head SET position = %s, hash = %s WHERE id = 1", (position + 1, ROW[-1]))
        connection.commit()

    return append


def ours(url: str, writers: int, keys: "itertools.count[int]") -> float:
    """Appends a second through one process's lane."""

    async def run() -> float:
        events = PostgresEvents(url, current_of, [SecurityContextProjector()])
        ends, done = time.perf_counter() + SECONDS, 0

        async def write() -> None:
            nonlocal done
            while time.perf_counter() < ends:
                number = next(keys)
                spend = Spend(f"{number:064}", "b" * 64)
                await events.append(request(0, install("s" * 400), client_key=f"o{number}", spend=spend))
                done += 1

        await asyncio.gather(*(write() for _ in range(writers)))
        events.close()
        return done / SECONDS

    return asyncio.run(run())


def appends(url: str) -> dict[int, tuple[float, ...]]:
    """Writers → median rate of the bare design, of its event only, of ours; median ratio of ours to both."""
    open_log(url, [schema("postgres")])
    keys = itertools.count()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare_head AS SELECT * FROM log_head")
        connection.execute("ALTER TABLE bare_head ADD PRIMARY KEY (id)")
        for name in ("events", "spent", "contexts"):
            of = {"events": "events", "spent": "spent_tokens", "contexts": "security_contexts"}[name]
            connection.execute(f"CREATE TABLE bare_{name} (LIKE {of} INCLUDING INDEXES)".encode())
    found: dict[int, tuple[float, ...]] = {}
    for writers in (1, 16):
        theirs = [bare(url, keys) for _ in range(writers)]
        less = [bare(url, keys, event_only=True) for _ in range(writers)]
        rounds = [(rate_of(theirs), rate_of(less), ours(url, writers, keys)) for _ in range(ROUNDS)]
        found[writers] = (
            *(statistics.median(side) for side in zip(*rounds, strict=True)),
            statistics.median(mine / one for one, _, mine in rounds),
            statistics.median(mine / one for _, one, mine in rounds),
        )
    return found


async def _ask(host: str, port: int, head: bytes, ends: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    done = 0
    while time.perf_counter() < ends:
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            break  # refused, which a machine with too much to do brings about: the others go on
        done += 1
    writer.close()
    return done


def checks(house: House) -> float:
    """Forward-auth checks a second over 32 connections."""
    site = house.installed()
    where = urlsplit(house.service.internal_url)
    token = site.page_token("GET", "/page")
    head = (
        "GET /forward-auth HTTP/1.1\r\nHost: x\r\nX-Original-Method: GET\r\nX-Original-URI: /page\r\n"
        f"Authorization: JWT {token}\r\n\r\n"
    ).encode()

    async def run() -> float:
        ends = time.perf_counter() + SECONDS
        done = await asyncio.gather(*(_ask(where.hostname or "", where.port or 0, head, ends) for _ in range(32)))
        return sum(done) / SECONDS

    return asyncio.run(run())


def main() -> int:
    """Prints the figures."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        bad = False
        for writers, (theirs, less, mine, ratio, to_less) in appends(cluster.url(cluster.database())).items():
            print(
                f"appends, {writers:2} writers: bare {theirs:5.0f}/s  tenure {mine:5.0f}/s  ratio {ratio:.2f} (0.8)"
                f"   event only {less:5.0f}/s  ratio {to_less:.2f}"
            )
            bad |= ratio < 0.8
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("a", "b"):
            (folder / name).mkdir()
        sqlite = stack.enter_context(House(folder / "a"))
        url = cluster.url(cluster.database())
        postgres = stack.enter_context(House(folder / "b", {"DATABASE_URL": url}))
        rounds = [(checks(sqlite), checks(postgres)) for _ in range(ROUNDS)]
        ratio = statistics.median(two / one for one, two in rounds)
        one, two = (statistics.median(side) for side in zip(*rounds, strict=True))
        print(f"checks, 32 connections: SQLite {one:6.0f}/s  PostgreSQL {two:6.0f}/s  ratio {ratio:.2f} (0.6)")
        return int(bad or ratio < 0.6)


if __name__ == "__main__":
    sys.exit(main())
