"""Audit reads: a walk over many events neither repeats nor skips, and every query goes by an index."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.domain_support import APP, install, request, stamp
from tenure.domain.decisions import Wanted
from tenure.domain.events import Cause, Changed, EventType
from tenure.domain.ports import Append
from tenure.projections.archive import Archive
from tenure.projections.security_context import SecurityContextProjector, schema
from tenure.store.connection import connect
from tenure.store.decision_reads import page_sql
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.dialect import SQLITE
from tenure.store.measures import summaries
from tenure.store.sqlite import SqliteLog, event_query, open_log

COUNT, FILLED = 100_000, 95_000
TENANTS = 500


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """An empty log with its decision log beside it."""
    open_log(tmp_path / "events.db", [schema()])
    open_decisions(tmp_path / "decisions.db")
    return tmp_path / "events.db"


def _fill(path: Path, count: int) -> None:
    """The first so many events, as the log would hold them but for their hashes, which no read looks at."""
    database = connect(path)
    database.execute("BEGIN IMMEDIATE")
    for number in range(count):
        row = (number + 1, number // TENANTS + 1, "enabled", APP, f"client-{number % TENANTS}", stamp(number % 86400))
        database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, '{}', '{}', '{}', '', '')", row)
        database.execute("UPDATE log_head SET position = ? WHERE id = 1", [number + 1])
    database.execute("COMMIT")
    database.close()


def _batch(first: int, count: int) -> list[Append]:
    """Appends of many tenants, the event numbered n being of tenant n modulo so many."""
    return [
        request(number // TENANTS, EventType.ENABLED, client_key=f"client-{number % TENANTS}")
        for number in range(first, first + count)
    ]


def test_a_walk_over_100_000_events_while_appends_run(log_path: Path) -> None:
    """Pages of any size, with and without a filter, tell each event once and in order while others are appended."""
    _fill(log_path, FILLED)
    writer = SqliteLog(log_path)
    ended = threading.Event()

    def append_the_rest() -> None:
        for first in range(FILLED, COUNT, 50):
            writer.append(_batch(first, 50))
        ended.set()

    thread = threading.Thread(target=append_the_rest)
    thread.start()
    reader = SqliteLog(log_path, read_only=True)
    seen: list[int] = []
    while len(seen) < COUNT:
        # asked before the page is read: what was committed by then must be in it
        all_there = ended.is_set()
        page = [event.position for event in reader.read(after=seen[-1] if seen else 0, limit=997)]
        assert page or not all_there
        seen += page
    thread.join()
    assert seen == list(range(1, COUNT + 1))
    mine: list[int] = []
    while page := [e.position for e in reader.read(client_key="client-7", after=mine[-1] if mine else 0, limit=13)]:
        mine += page
    assert mine == list(range(8, COUNT + 1, TENANTS))
    reader.close()
    writer.close()


def _plan(database: object, sql: str, parameters: Sequence[object]) -> list[str]:
    rows = database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()  # type: ignore[attr-defined]
    return [row[3] for row in rows]


def _indexed(plan: list[str]) -> bool:
    """Whether every table is searched or walked by an index or key, and nothing is sorted but a group."""
    tables = [line for line in plan if line.startswith(("SCAN", "SEARCH"))]
    tables = [line for line in tables if "json_each" not in line and "(subquery" not in line]
    return bool(tables) and all("USING" in line for line in tables)


@pytest.mark.parametrize("names", [
    (), ("client_key",), ("type",), ("kid",), ("since",), ("until",), ("client_key", "type", "since", "until"),
    ("type", "since"), ("kid", "since"),
])  # fmt: skip
def test_each_event_query_uses_an_index(log_path: Path, names: tuple[str, ...]) -> None:
    """No filter of events scans the table without an index, and none sorts what it found."""
    values = {"client_key": "client-1", "type": "enabled", "kid": "k", "since": stamp(1), "until": stamp(2)}
    given = [values[name] if name in names else None for name in values]
    sql, parameters = event_query(given[0], given[1], given[3], given[4], given[2])
    plan = _plan(connect(log_path), sql, [0, *parameters, 100])
    assert _indexed(plan), plan
    assert not [line for line in plan if "TEMP B-TREE" in line], plan
    wanted = {"client_key": "events_client_key", "type": "events_type", "kid": "events_kid"}
    if len(names) == 1 and names[0] in wanted:
        assert wanted[names[0]] in " ".join(plan)


@pytest.mark.parametrize("wanted", [
    Wanted(), Wanted(client_key="c"), Wanted(claimed_client_key="c", verdict="refused"), Wanted(verdict="refused"),
    Wanted(reason="qsh_mismatch"), Wanted(client_key="c", since=stamp(1)), Wanted(since=stamp(1), until=stamp(2)),
    Wanted(identifier="w", verdict="refused"), Wanted(kid="k", verdict="refused"),
    Wanted(client_key="c", verdict="accepted", until=stamp(1)),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("newest_first", [True, False])
def test_each_decision_query_uses_an_index(log_path: Path, wanted: Wanted, newest_first: bool) -> None:
    """No filter of decisions scans the table but by its own order or an index."""
    sql, parameters = page_sql(wanted, after=5, limit=100, newest_first=newest_first)
    plan = _plan(connect(log_path.with_name("decisions.db")), sql, parameters)
    assert _indexed(plan), plan


@pytest.mark.parametrize("name", summaries(SQLITE))
def test_each_summary_uses_an_index(log_path: Path, name: str) -> None:
    """The report's queries go by time, by hour, by tenant or by refusals."""
    sql = summaries(SQLITE)[name]
    plan = _plan(connect(log_path.with_name("decisions.db")), sql, ["[]"] * sql.count("?"))
    assert _indexed(plan), plan


def test_tenants_by_key_while_appends_run(log_path: Path) -> None:
    """A walk over tenants by client key tells each once, also when those told are changed meanwhile."""
    writer = SqliteLog(log_path, [SecurityContextProjector()])
    for number in range(40):
        writer.append([request(0, install(), client_key=f"client-{number:03}", changed=Changed(Cause.FIRST))])
    reader = SqliteLog(log_path, read_only=True)
    decisions = SqliteDecisions(log_path.with_name("decisions.db"), read_only=True)
    room = Archive(reader, decisions, APP)
    seen: list[str] = []
    while page := room.tenants(seen[-1] if seen else "", 7):
        seen += [tenant.client_key for tenant in page]
        writer.append([request(page[0].version, EventType.ENABLED, client_key=page[0].client_key)])
    assert seen == [f"client-{number:03}" for number in range(40)]
    plan = _plan(
        connect(log_path),
        "SELECT * FROM security_contexts WHERE client_key > ? AND app_key = ? ORDER BY client_key LIMIT ?",
        ["", APP, 7],
    )
    assert _indexed(plan), plan
    assert reader.kid_tenants("k") == seen
