"""The decisions in PostgreSQL: one order for many writers, slices that come and go under them, commits in doubt."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import OperationalError

from support.decided import CROWD, FILTERS, decision, entries, ids
from support.decision_stores import DecisionsInPostgres
from support.postgres import Cluster
from tenure.decision_stores import prepare_decisions
from tenure.domain.decisions import Amended, Count, Entry, Facts, Fate, Wanted
from tenure.projections.security_context import schema
from tenure.settings import StoreSettings
from tenure.store import room
from tenure.store.connection import UntrustedStoreError
from tenure.store.decision_reads import SQL_SINCE, SQL_UNTIL, page_sql
from tenure.store.postgres import slices as slices_of
from tenure.store.postgres.decisions import PostgresDecisions
from tenure.store.postgres.log import open_log
from tenure.store.postgres.session import Session, numbered
from tenure.store.postgres.slices import Slices


@pytest.fixture
def kept(cluster: Cluster, tmp_path: Path) -> Iterator[DecisionsInPostgres]:
    """An empty decision log in a database."""
    made = DecisionsInPostgres(tmp_path, cluster)
    yield made
    made.close()


@pytest.fixture
def log(kept: DecisionsInPostgres) -> PostgresDecisions:
    """Its writing end."""
    opened = kept.open()
    assert isinstance(opened, PostgresDecisions)
    return opened


@pytest.fixture
def everything_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for any number of refusals."""
    monkeypatch.setattr(room, "BURST", 1e9)
    monkeypatch.setattr(room, "BURST_ALL", 1e9)


def narrow(kept: DecisionsInPostgres, numbers: int) -> None:
    """The slices there are end after so many numbers, and so do those that come."""
    with psycopg.connect(kept.url) as owner:
        for verdict in ("accepted", "refused"):
            name = f"decisions_{verdict}_1"
            owner.execute(f"ALTER TABLE decisions DETACH PARTITION {name}".encode())
            owner.execute(
                f"ALTER TABLE decisions ATTACH PARTITION {name} "
                f"FOR VALUES FROM ('{verdict}', 1) TO ('{verdict}', {numbers + 1})".encode()
            )
        owner.execute("UPDATE decision_slices SET until = %s", [numbers + 1])
        owner.execute("UPDATE decision_head SET ends = %s", [numbers + 1])


def some(first: int, count: int) -> list[Entry]:
    """So many decisions, every third refused."""
    return entries(*(decision(n, reason="" if n % 3 else "expired", client_key=f"c{n % 5}")
                     for n in range(first, first + count)))  # fmt: skip


def let_the_refused_go(kept: DecisionsInPostgres, done: threading.Event) -> None:
    """Lets every slice of refused go that gets no more."""
    session = Session(kept.url)
    ours = Slices(session)
    while not done.is_set():
        number, _ = ours.head()
        for one in ours.listing():
            if one.until - 1 <= number and one.verdict == "refused":
                ours.let_go(one)
        ours.finish()
    session.close()


@pytest.mark.usefixtures("everything_kept")
def test_four_writers_get_numbers_without_gaps_while_slices_come_and_go(kept: DecisionsInPostgres) -> None:
    """Batches of four sessions at once: numbers follow each other, counters are exact to the row, and what a reader
    reads on is never behind what he has read; slices are made and let go meanwhile.
    """
    narrow(kept, 150)
    writers = [kept.open() for _ in range(4)]
    done, seen = threading.Event(), list[int]()

    def write(worker: int) -> None:
        for batch in range(25):
            writers[worker].record(some(worker * 10_000 + batch * 10, 10))

    def follow() -> None:
        reads = kept.reader()
        while not done.is_set():
            page = reads.page(Wanted(verdict="accepted"), after=seen[-1] if seen else 0, newest_first=False)
            seen.extend(one.number for one in page)

    with ThreadPoolExecutor(6) as pool:
        helpers = [pool.submit(let_the_refused_go, kept, done), pool.submit(follow)]
        for one in [pool.submit(write, worker) for worker in range(4)]:
            one.result()
        done.set()
        for one in helpers:
            one.result()
    reads = kept.reader()
    numbers = [one.number for one in reads.all(Wanted(verdict="accepted"))]
    assert seen == numbers[: len(seen)]
    assert reads.total().counted == 1000
    assert reads.total(Wanted(verdict="accepted")).kept == len(numbers) == 666
    assert reads.total(Wanted(verdict="refused")).kept == len(list(reads.all(Wanted(verdict="refused"))))
    with psycopg.connect(kept.url) as owner:
        assert owner.execute("SELECT number FROM decision_head").fetchone() == (1000,)


@pytest.mark.usefixtures("everything_kept")
def test_a_sweeper_that_is_killed_leaves_the_rest_to_the_next(
    kept: DecisionsInPostgres, log: PostgresDecisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice is gone at once, with its note; its counts go in steps, each once, whoever makes them."""
    monkeypatch.setattr(slices_of, "SUBTRACTED_AT_ONCE", 7)
    log.record(some(1, 60))
    digests = kept.digests()
    span = digests.span(0, 60)
    session = Session(kept.url)
    ours = Slices(session)
    for one in ours.listing():
        ours.close(one)
        assert ours.let_go(one)
    assert ids(log) == []
    assert digests.problem(span) == ""
    assert log.total() == Count("", 60, 60)
    first = next(one for one in ours_let_go(kept) if one[0] == "accepted")
    assert ours._subtract(slices_of.Slice("accepted", first[1], first[2]), 0) is not None
    session.close()
    assert log.total().kept == 53
    kept.swept()
    assert log.total() == Count("", 60, 0)
    assert log.total(Wanted(client_key="c1")).kept == 0
    assert ours_let_go(kept) == []
    log.record(some(100, 3))
    assert log.total().kept == 3


def ours_let_go(kept: DecisionsInPostgres) -> list[tuple[Any, ...]]:
    """The slices that are let go and not finished."""
    with psycopg.connect(kept.url) as owner:
        return owner.execute("SELECT verdict, first, until FROM decision_slices WHERE let_go").fetchall()


@contextmanager
def cut_off(log: PostgresDecisions, monkeypatch: pytest.MonkeyPatch, *, committed: bool) -> Iterator[None]:
    """The connection is lost in the COMMIT: before the server had it, or before its answer came."""
    whole = log.session.transaction

    @contextmanager
    def transaction(begin: bytes) -> Iterator[tuple[Any, ...]]:
        with whole(begin) as row:
            yield row
            if not committed:
                raise OperationalError("lost")
        raise OperationalError("lost")

    with monkeypatch.context() as patched:
        patched.setattr(log.session, "transaction", transaction)
        yield


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_in_doubt_is_asked_for(
    log: PostgresDecisions, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Whether a batch was written whose COMMIT was not answered is known before the next one: each decision is counted
    once, and its row says what was answered.
    """
    entry = Entry(decision(1))
    log.drop("webhook")
    with cut_off(log, monkeypatch, committed=committed), pytest.raises(OperationalError):
        log.record([entry])
    assert entry.fate is Fate.UNKNOWN
    log.record([Amended(entry, "unrecordable", 503), Entry(decision(2))])
    assert entry.fate is (Fate.KEPT if committed else Fate.LOST)
    assert log.total(Wanted(reason="unrecordable")) == Count("", 2, int(committed))
    assert log.total() == Count("", 3, 1 + int(committed))
    found = log.one("d000001")
    assert found is None if not committed else found is not None and found.decision.reason == "unrecordable"


@pytest.mark.parametrize("name", [*FILTERS, "address", "one"])
def test_each_filter_finds_by_an_index(log: PostgresDecisions, name: str) -> None:
    """The plan of each filter reads every slice that it reads through an index."""
    log.record(entries(*CROWD))
    fields, _, index = FILTERS.get(name, ({"verdict": "refused", "address_mark": "m"}, [], "address_mark"))
    wanted = Wanted(**fields)
    sql, parameters = page_sql(wanted, after=None, limit=10, newest_first=True)
    if name in ("since", "until"):
        sql, parameters = (SQL_SINCE, [wanted.since]) if name == "since" else (SQL_UNTIL, [wanted.until])
    if name == "one":
        sql, parameters, index = "SELECT number FROM decisions WHERE decision = ?", ["d000001"], "_decision"
    connection = log.session.connection()
    connection.execute("SET enable_seqscan = off")
    plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {numbered(sql)}".encode(), parameters))
    assert "Seq Scan" not in plan, plan
    wanted_index = {"refused_number": "number", "decisions_tenant": "client_key", "decisions_at": "_at"}
    assert wanted_index.get(index, index.removeprefix("refused_")) in plan, plan


def test_a_text_that_the_database_cannot_hold_is_held_all_the_same(log: PostgresDecisions) -> None:
    """A NUL becomes a sign for what cannot be shown; a backslash before a u stays what it is."""
    log.record(entries(decision(1, path="/a\0b", facts=Facts(user_agent="a\0\\u0000", qsh="\\\0"))))
    found = log.page()[0].decision
    assert found.path == "/a\ufffdb"
    assert (found.facts.user_agent, found.facts.qsh) == ("a\ufffd\\u0000", "\\\ufffd")
    assert log.measures.attempts("2000", ["expired"], 5) == []


def test_forgetting_whom_nothing_speaks_of_writes_nothing(kept: DecisionsInPostgres, log: PostgresDecisions) -> None:
    """Each start looks through every mark of erasure again; that costs reads, and no row is written anew."""
    log.record(entries(decision(1), decision(2, client_key="b", facts=Facts(user_agent="agent"))))

    def versions() -> list[tuple[Any, ...]]:
        with psycopg.connect(kept.url) as owner:
            tables = ("decision_head", "decisions")
            return [row for name in tables for row in owner.execute(f"SELECT xmin::text FROM {name}".encode())]

    before = versions()
    assert log.forget("a") == 0
    assert versions() == before
    assert log.forget("b") == 1
    assert log.page(Wanted(client_key="b"))[0].decision.facts == Facts()


@pytest.mark.parametrize(("sabotage", "named"), [
    ("DROP INDEX decisions_at", "index decisions_at is gone"),
    ("ALTER TABLE decisions ALTER COLUMN reason DROP NOT NULL", "column decisions.reason is changed"),
    ("DROP TABLE let_go", "table let_go is gone"),
])  # fmt: skip
def test_a_schema_that_is_not_ours_is_not_trusted(kept: DecisionsInPostgres, sabotage: str, named: str) -> None:
    """A start compares the decisions' tables; the slices come and go."""
    kept.open().record(some(1, 30))
    narrow(kept, 50)
    kept.open().record(some(31, 60))
    open_log(kept.url, [schema("postgres")])
    kept.foreign(sabotage)
    with pytest.raises(UntrustedStoreError, match=named):
        open_log(kept.url, [schema("postgres")])


@pytest.mark.usefixtures("everything_kept")
def test_a_role_with_the_documented_rights_records_and_sweeps(kept: DecisionsInPostgres, cluster: Cluster) -> None:
    """With what docs/how-to/postgresql.md grants a service records, makes slices and lets them go; without, its start
    says what it lacks.
    """
    database = kept.url.rpartition("/")[2]
    role = f"service_{database}"
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "postgresql.md").read_text()
    documented = next(block for block in page.split("```sql\n")[1:] if block.startswith("CREATE ROLE"))
    kept.open().record(some(1, 30))
    kept.foreign(f"CREATE ROLE {role}_alone LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}_alone")
    alone = StoreSettings(database_url=cluster.url(database, user=f"{role}_alone"))
    with pytest.raises(UntrustedStoreError, match="owner of decisions"):
        prepare_decisions(alone)
    kept.foreign(documented.partition("```")[0].replace("tenure_service", role))
    kept.url = cluster.url(database, user=role)
    kept.settings = StoreSettings(database_url=kept.url)
    open_log(kept.url, [schema("postgres")])
    prepare_decisions(kept.settings)
    kept.swept(quota=1)
    mine = kept.open()
    mine.record(some(100, 30))
    assert [one.number for one in mine.page(limit=1)] == [10_030]
    assert mine.total().kept == 30
    assert mine.forget("c1") == 0
