"""The decision log in a file: every question by an index, a WAL that stays small, and nobody else who reads it."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.decided import CROWD, FILTERS, decision, entries
from support.decision_stores import DecisionsOnDisk
from tenure.domain.decisions import Wanted
from tenure.store.connection import UntrustedStoreError
from tenure.store.decision_reads import SQL_SINCE, SQL_UNTIL, page_sql
from tenure.store.decision_writer import Decisions
from tenure.store.decisions import WAL_BYTES, SqliteDecisions, open_decisions


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Decisions]:
    """An empty decision log in a file."""
    made = DecisionsOnDisk(tmp_path)
    yield made.open()
    made.close()


@pytest.mark.parametrize("name", [*FILTERS, "address"])
def test_each_filter_finds_by_an_index(log: Decisions, name: str) -> None:
    """The query plan of each filter reads what fits through an index."""
    log.record(entries(*CROWD))
    fields, _, index = FILTERS.get(name, ({"verdict": "refused", "address_mark": "m"}, [], "refused_address"))
    wanted = Wanted(**fields)
    sql, parameters = page_sql(wanted, after=None, limit=10, newest_first=True)
    if name in ("since", "until"):
        # a range of numbers, found by the index on time
        sql, parameters = (SQL_SINCE, [wanted.since]) if name == "since" else (SQL_UNTIL, [wanted.until])
    plan = " ".join(row[3] for row in log._execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
    assert f"INDEX {index}" in plan, plan


def test_the_wal_stays_small_while_two_write(log: Decisions, tmp_path: Path) -> None:
    """Two workers that write without a pause let the WAL grow to a few megabytes, not for as long as they go on."""
    wal = tmp_path / "decisions.db-wal"

    def write(worker: int) -> int:
        writer, top = SqliteDecisions(tmp_path / "decisions.db"), 0
        for number in range(worker, 4000, 16):
            keys = {"client_key": f"{number * 7919 % 4000}", "path": f"/{number * 104729 % 4000}"}
            writer.record(entries(*(decision(number + i, **keys) for i in range(8))))
            top = max(top, wal.stat().st_size)
        writer.close()
        return top

    with ThreadPoolExecutor(2) as pool:
        largest = max(pool.map(write, (0, 8)))
    assert log.total().counted == 4000
    assert largest < 3 * WAL_BYTES


def test_the_decision_file_is_the_owners_alone(log: Decisions, tmp_path: Path) -> None:
    """All files are 0600, and one opened to others is refused."""
    log.record(entries(decision(1)))
    assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} == {0o600}
    (tmp_path / "decisions.db").chmod(0o640)
    with pytest.raises(UntrustedStoreError):
        open_decisions(tmp_path / "decisions.db")
