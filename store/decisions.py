"""The decision log in a SQLite file of its own, and the webhooks already taken: `decisions.db`.

Written in batches by a lane of its own, `synchronous=NORMAL`: a killed process loses nothing, a power cut may lose the
last moments (lifecycle events are not in here alone; the log has them, fsynced). A checkpoint needs an fsync, so
another thread makes them (`store.keeper`); this one does only when the WAL has grown past 4 MB, and then empties it: a
passive checkpoint is never done with while another worker writes, and the WAL would grow as long as calls keep coming
(385 MB in 7 s, seen).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from tenure.domain.decisions import Amended
from tenure.store.connection import check_permissions, connect, migrate
from tenure.store.decision_batch import OTHERWISE, Batch, Delivery, Key
from tenure.store.decision_digest import BARE_FACTS, PERSONAL, PERSONAL_COLUMN
from tenure.store.decision_reads import COLUMNS
from tenure.store.decision_writer import Decisions
from tenure.store.dialect import SQLITE
from tenure.store.key_file import patiently
from tenure.store.pace import Pace
from tenure.store.tally import HOURS, Execute
from tenure.store.values import values
from tenure.store.veil import Veil

BUSY_S = 2.0
WAL_BYTES = 4 * 1024 * 1024
FORGOTTEN_AT_ONCE = 500
REWRITTEN_BYTES = 64 * 1024 * 1024

_OPEN = "number > (SELECT sealed FROM decision_head)"
# below what retention has removed of the refused there must be none, so none becomes one
_AMENDED = (
    "UPDATE decisions SET verdict = 'refused', reason = ?, status = ?, detail = ? WHERE decision = ? "
    f"AND {_OPEN} AND number > coalesce((SELECT until FROM let_go WHERE verdict = 'refused'), 0)"
)


def open_decisions(path: Path) -> None:
    """Makes or migrates the file."""
    if path.exists():
        check_permissions(path)
    database = connect(path, create=True, synchronous="NORMAL")
    try:
        migrate(database, "decisions")
    finally:
        database.close()


def bytes_of(execute: Execute) -> tuple[int, int]:
    """Bytes in use in the file, and those of the file itself."""
    pages, free, size = (execute(f"PRAGMA {name}").fetchone()[0]
                         for name in ("page_count", "freelist_count", "page_size"))  # fmt: skip
    return (pages - free) * size, pages * size


class SqliteDecisions(Decisions):
    """The decision log in a file."""

    def __init__(
        self, path: Path, *, read_only: bool = False, veil: Veil | None = None, pace: Pace | None = None
    ) -> None:
        self._database = connect(path, synchronous="NORMAL", read_only=read_only)
        super().__init__(self._database.conn.execute, SQLITE, veil)
        self._wal = Path(f"{path}-wal")
        if not read_only:
            self._execute("PRAGMA busy_timeout=0")
            self._execute("PRAGMA secure_delete=ON")
        self._pace = pace or Pace()

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    def size(self) -> tuple[int, int]:
        """Bytes in use in the file, and those of the file itself."""
        return bytes_of(self._execute)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._begin()
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._database.conn.in_transaction:
                self._execute("ROLLBACK")
            raise
        self._bound_wal()

    def _bound_wal(self) -> None:
        # with no busy timeout it waits for nobody: where a reader or another checkpoint is in the way, the next batch
        # tries again
        with suppress(OSError, self._database.conn.Error):
            size = self._wal.stat().st_size
            if size > WAL_BYTES and self._pace.due(size):
                with self._pace.measured():
                    self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _begin(self) -> None:
        # SQLite's own busy handler sleeps ever longer, up to 100 ms, so that of two workers under load one starves
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
                return
            except self._database.conn.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.0005)

    def forget(self, client_key: str, until: str | None = None) -> int:
        """`Decisions.forget`."""
        if not client_key:
            return 0
        # an alarm's signs may tell a caller's user agent
        self._execute(
            "UPDATE alarms SET item = json_set(item, '$.signs', json('[]')) WHERE client_key = ?", (client_key,)
        )
        return sum(
            self._forget(f"{column} = ? {known} AND at <= ?", (client_key, until or "~"))
            for column, known in (("client_key", "AND client_key <> ''"),
                                  ("claimed_client_key", "AND verdict = 'refused'"))
        )  # fmt: skip

    def _forget(self, whose: str, parameters: tuple[str, str]) -> int:
        there = " OR ".join(
            [f"{PERSONAL_COLUMN} <> ''", *(f"json_type(facts, '$.{name}') NOT NULL" for name in PERSONAL)]
        )
        last, count = 0, 0
        while True:
            # in small transactions, so that no batch waits for long
            with self._transaction():
                chosen = self._execute(
                    f"SELECT number FROM decisions WHERE {whose} AND number > ? AND ({there}) "
                    f"ORDER BY number LIMIT {FORGOTTEN_AT_ONCE}",
                    (*parameters, last),
                ).fetchall()
                self._database.conn.executemany(
                    f"UPDATE decisions SET {PERSONAL_COLUMN} = '', facts = {BARE_FACTS} WHERE number = ?", chosen
                )
            count += len(chosen)
            if len(chosen) < FORGOTTEN_AT_ONCE:
                return count
            last = chosen[-1][0]

    def clean(self) -> bool:
        """Cuts the WAL to nothing and, up to 64 MB, rewrites the file, so that no byte is left of what was forgotten
        (SQLite leaves copies of moved cells in the gaps of its pages; a larger rewrite would keep calls waiting). False
        if others were in the way for too long.
        """
        return patiently(self._rewrite)

    def _rewrite(self) -> bool:
        if self.size()[1] <= REWRITTEN_BYTES:
            self._execute("VACUUM")
        busy, _, _ = self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def seal(self, number: int) -> None:
        """`Decisions.seal`."""
        with self._transaction():
            self._execute("UPDATE decision_head SET sealed = max(sealed, ?)", (number,))

    def _deliveries(self, keys: Sequence[Key]) -> dict[Key, Delivery]:
        sql = "SELECT taken_at, claimed_until, decision FROM deliveries WHERE client_key = ? AND identifier = ?"
        rows = ((key, self._execute(sql, key).fetchone()) for key in keys)
        return {key: Delivery(*row) for key, row in rows if row is not None}

    def _change(self, amended: Sequence[Amended]) -> set[str]:
        return {
            decision for one in amended for decision in (one.entry.decision.decision,)
            if self._execute(_AMENDED, (one.reason, one.status, OTHERWISE, decision)).rowcount
        }  # fmt: skip

    def _write(self, batch: Batch) -> None:
        several = self._database.conn.executemany
        # one statement: between two, this thread and the event loop would take the interpreter from each other
        if rows := self._rows(batch):
            sql = f"INSERT INTO decisions ({', '.join(COLUMNS)}) {values(len(rows), len(COLUMNS))}"
            self._execute(sql, tuple(chain.from_iterable(rows)))
        for outcome in batch.outcomes:
            gone = "json_set(facts, '$.gone', json('true'))" if outcome.gone else "facts"
            self._execute(
                f"UPDATE decisions SET status = ?, took_ms = ?, facts = {gone} WHERE decision = ? AND {_OPEN}",
                (outcome.status, outcome.took_ms, outcome.decision),
            )
        several("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?)", batch.delivered)
        several("DELETE FROM deliveries WHERE client_key = ? AND identifier = ?", batch.released)
        several("INSERT INTO failed_tokens VALUES (?, ?)", [(one.address_mark, one.at) for one in batch.failed_tokens])
        several("INSERT OR REPLACE INTO room VALUES (?, ?, ?)", batch.room.rows())
        for table, rows in batch.tally.sums():
            if table is not HOURS:  # triggers keep those
                self._execute(table.adding(values(len(rows), len(table.columns))), tuple(chain.from_iterable(rows)))
