"""The decision log in PostgreSQL, for all machines of a service; `store.decision_writer` says what a batch is.

A batch is a handful of statements however many decisions are in it: each table's rows go as one JSON text. All is
written with the one row of `decision_head` locked to the commit, as the log's is: the order of numbers is the order of
commits, and two workers never wait for each other in a circle. Commits are not waited for to be flushed
(`synchronous_commit=off`): a killed process loses nothing; a server that crashes, or a standby that takes over, may
lack the last moments, as `decisions.db` may after a power cut.

A connection that is lost in the midst of a COMMIT leaves open what came of it. The next transaction asks the server
(`pg_xact_status`) before anything else is written, so that a decision is counted once, whatever was answered.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from psycopg import OperationalError

from tenure.domain.decisions import Amended, Decision, Entry
from tenure.store.decision_batch import OTHERWISE, Batch, Delivery, Key
from tenure.store.decision_digest import PERSONAL
from tenure.store.decision_reads import COLUMNS
from tenure.store.decision_writer import Decisions
from tenure.store.dialect import POSTGRES
from tenure.store.postgres.session import Session
from tenure.store.postgres.slices import BEGIN, make_next, width
from tenure.store.veil import Veil

FORGOTTEN_AT_ONCE = 500
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # the escape, not a backslash and a word that begins with u
_ROWS = "SELECT * FROM json_populate_recordset(NULL::{0}, ?::json)"
# verdict and number are asked for, though the id alone says which: they leave out slices before they are looked into
_ENDED = (
    "UPDATE decisions d SET status = o.status, took_ms = o.took_ms, facts = CASE WHEN NOT o.gone THEN d.facts "
    """WHEN d.facts = '{}' THEN '{"gone":true}' ELSE left(d.facts, -1) || ',"gone":true}' END """
    "FROM json_to_recordset(?::json) AS o (decision text, status int, took_ms float8, gone bool) "
    "WHERE d.decision = o.decision AND d.verdict = 'accepted' AND d.number > ?"
)
_AMENDED = (
    f"UPDATE decisions d SET verdict = 'refused', reason = a.reason, status = a.status, detail = '{OTHERWISE}' "
    "FROM json_to_recordset(?::json) AS a (decision text, reason text, status int) "
    "WHERE d.decision = a.decision AND d.number > ? "
    # below what retention has removed of the refused there must be none, so none becomes one
    "AND d.number > coalesce((SELECT until FROM let_go WHERE verdict = 'refused'), 0) "
    "AND EXISTS (SELECT 1 FROM decision_slices s WHERE s.verdict = 'refused' AND NOT s.let_go "
    "AND d.number >= s.first AND d.number < s.until) "
    "RETURNING d.decision"
)
_CLAIMED = (
    "SELECT d.client_key, d.identifier, d.taken_at, d.claimed_until, d.decision FROM deliveries d "
    "JOIN json_to_recordset(?::json) AS k (client_key text, identifier text) "
    "ON d.client_key = k.client_key AND d.identifier = k.identifier"
)
_RELEASED = (
    "DELETE FROM deliveries d USING json_to_recordset(?::json) AS k (client_key text, identifier text) "
    "WHERE d.client_key = k.client_key AND d.identifier = k.identifier"
)
_DELIVERED = (
    f"INSERT INTO deliveries {_ROWS.format('deliveries')} ON CONFLICT (client_key, identifier) DO UPDATE SET "
    "taken_at = excluded.taken_at, claimed_until = excluded.claimed_until, decision = excluded.decision"
)
_ROOM = (
    f"INSERT INTO room {_ROWS.format('room')} ON CONFLICT (reason) DO UPDATE SET room = excluded.room, at = excluded.at"
)
_OURS = (
    "SELECT bool_and(pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE')) FROM pg_class "
    "WHERE oid = to_regclass('decisions') OR oid IN (SELECT inhrelid FROM pg_inherits "
    "WHERE inhparent = to_regclass('decisions'))"
)
_NOT_OURS = (
    "decisions could not be recorded for long: their slices are tables that this role may not make or drop; make it "
    "the owner of decisions and of its slices, and let it CREATE in their schema (docs/how-to/postgresql.md)"
)
_NUMBER = "UPDATE decision_head SET number = ?"
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits "
    "WHERE inhparent = 'decisions'::regclass"
)
_IS_PERSONAL = " OR ".join(["address_mark <> ''", *(f"""facts LIKE '%"{name}":%'""" for name in PERSONAL)])


def _inserting(table: str) -> str:
    return f"INSERT INTO {table} {_ROWS.format(table)}"


def storable(text: str) -> str:
    """JSON with no NUL in any of its texts: PostgreSQL takes none."""
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def listed(columns: Sequence[str], rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> str:
    """Rows as a JSON list of objects."""
    return storable(orjson.dumps([dict(zip(columns, row, strict=True)) for row in rows]).decode())


def bare(facts: str) -> str:
    """The facts without what is personal; what is no JSON is left as it is."""
    try:
        told = orjson.loads(facts)
        return orjson.dumps({name: value for name, value in told.items() if name not in PERSONAL}).decode()
    except (ValueError, AttributeError):
        return facts


class PostgresDecisions(Decisions):
    """The decision log in a database. `bounded`: of a worker, which waits for nothing without end."""

    def __init__(self, url: str, *, read_only: bool = False, veil: Veil | None = None, bounded: bool = False) -> None:
        self.session = Session(url, bounded=bounded, read_only=read_only)
        super().__init__(self.session.execute, POSTGRES, veil)
        self._number, self._ends, self._sealed, self._xid = 0, 0, 0, ""
        self._committing = False
        self._doubt: tuple[str, Batch, Mapping[str, int]] | None = None

    def close(self) -> None:
        """Closes the connection."""
        self.session.close()

    def is_there(self) -> bool:
        """`Decisions.is_there`."""
        return self._execute("SELECT to_regclass('decision_head')").fetchone()[0] is not None

    def lacking(self) -> str:
        """`Decisions.lacking`."""
        return "" if self._execute(_OURS).fetchone()[0] else _NOT_OURS

    def size(self) -> tuple[int, int]:
        """Bytes of all slices, indexes included, twice: what is free in them is not told apart."""
        (found,) = self._execute(_SIZE).fetchone()
        return int(found), int(found)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._committing = False
        with self.session.transaction(BEGIN) as (number, ends, sealed, xid, _):
            self._number, self._ends, self._sealed, self._xid = number, ends, sealed, xid
            self._resolve()
            yield
            self._committing = True

    def _resolve(self) -> None:
        # the lock is ours, so whatever was in doubt is over
        if self._doubt is not None:
            xid, batch, dropped = self._doubt
            status = self._execute("SELECT pg_xact_status(?::xid8)", (xid,)).fetchone()[0]
            self._doubt = None
            self._settle(batch, dropped, status == "committed")

    def _failed(self, batch: Batch, dropped: Mapping[str, int], error: BaseException) -> None:
        if self._committing and isinstance(error, OperationalError):
            self._doubt = self._xid, batch, dropped
        else:
            self._settle(batch, dropped, False)
        self._committing = False

    def _in_doubt(self, entry: Entry) -> bool:
        return self._doubt is not None and entry in self._doubt[1].fates

    def flush(self) -> None:
        """`Decisions.flush`."""
        if self._doubt is not None:
            self.record([])
        super().flush()

    def seal(self, number: int) -> None:
        """`Decisions.seal`."""
        with self._transaction():
            self._execute("UPDATE decision_head SET sealed = greatest(sealed, ?)", (number,))

    def _deliveries(self, keys: Sequence[Key]) -> dict[Key, Delivery]:
        rows = self._execute(_CLAIMED, (listed(("client_key", "identifier"), keys),))
        return {(row[0], row[1]): Delivery(*row[2:]) for row in rows}

    def _change(self, amended: Sequence[Amended]) -> set[str]:
        rows = [(one.entry.decision.decision, one.reason, one.status) for one in amended]
        given = listed(("decision", "reason", "status"), rows)
        return {row[0] for row in self._execute(_AMENDED, (given, self._sealed))}

    def _write(self, batch: Batch) -> None:
        rows = [(number, *row) for number, row in enumerate(self._rows(batch), self._number + 1)]
        last = self._number + len(rows)
        while last >= self._ends:
            ends, self._ends = self._ends, self._ends + width(self.session)
            make_next(self.session, ends, self._ends)
        # one statement, whatever is in the batch: each costs a way there and back, with the head held
        parts = list(self._parts(batch, rows))
        written = ", ".join(f"part{place} AS ({sql})" for place, (sql, _) in enumerate(parts))
        given = [parameter for _, parameters in parts for parameter in parameters]
        self._execute(f"WITH {written} {_NUMBER}" if parts else _NUMBER, (*given, last))

    def _parts(self, batch: Batch, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The statements of a batch, each with its parameters; no two touch the same row."""
        ended = [(one.decision, one.status, one.took_ms, one.gone) for one in batch.outcomes]
        failed = [(one.address_mark, one.at) for one in batch.failed_tokens]
        for sql, columns, given, more in (
            (_inserting("decisions"), ("number", *COLUMNS), rows, ()),
            (_ENDED, ("decision", "status", "took_ms", "gone"), ended, (self._sealed,)),
            (_DELIVERED, ("client_key", "identifier", "taken_at", "claimed_until", "decision"), batch.delivered, ()),
            (_RELEASED, ("client_key", "identifier"), batch.released, ()),
            (_inserting("failed_tokens"), ("address_mark", "at"), failed, ()),
            (_ROOM, ("reason", "room", "at"), batch.room.rows(), ()),
        ):
            if given:
                yield sql, (listed(columns, given), *more)
        for table, sums in batch.tally.sums():
            yield table.adding(_ROWS.format(table.name)), (listed(table.columns, sums),)

    @staticmethod
    def row_of(decision: Decision, veil: Veil | None) -> tuple[Any, ...]:
        """`Decisions.row_of`."""
        *columns, facts = Decisions.row_of(decision, veil)
        return (*columns, storable(facts))

    # -- forgetting

    def forget(self, client_key: str, until: str | None = None) -> int:
        """`Decisions.forget`. Nothing is written where nothing personal is found."""
        if not client_key:
            return 0
        self._forget_signs(client_key)
        whose = ("client_key = ? AND client_key <> ''", "claimed_client_key = ? AND verdict = 'refused'")
        return sum(self._forget(one, client_key, until or "~") for one in whose)

    def _forget_signs(self, client_key: str) -> None:
        # an alarm's signs may tell a caller's user agent
        sql = """SELECT number, item FROM alarms WHERE client_key = ? AND item NOT LIKE '%"signs":[]%'"""
        if self._execute(sql, (client_key,)).fetchone() is None:
            return
        with self._transaction():
            for number, item in self._execute(sql, (client_key,)).fetchall():
                told = orjson.dumps({**orjson.loads(item), "signs": []}).decode()
                self._execute("UPDATE alarms SET item = ? WHERE number = ?", (told, number))

    def _forget(self, whose: str, client_key: str, until: str) -> int:
        sql = (
            f"SELECT number, verdict, facts FROM decisions WHERE {whose} AND at <= ? AND number > ? "
            f"AND ({_IS_PERSONAL}) ORDER BY number LIMIT {FORGOTTEN_AT_ONCE}"
        )
        last, count = 0, 0
        # looked for first without holding anything: most marks of erasure find nothing, start after start
        while self._execute(sql, (client_key, until, last)).fetchone() is not None:
            with self._transaction():
                chosen = self._execute(sql, (client_key, until, last)).fetchall()
                bared = [(number, verdict, bare(facts)) for number, verdict, facts in chosen]
                self._execute(
                    "UPDATE decisions d SET address_mark = '', facts = b.facts FROM json_to_recordset(?::json) "
                    "AS b (number bigint, verdict text, facts text) WHERE d.number = b.number "
                    "AND d.verdict = b.verdict",
                    (listed(("number", "verdict", "facts"), bared),),
                )
            count += len(chosen)
            last = chosen[-1][0] if chosen else last
        return count

    def clean(self) -> bool:
        """True: the server frees the space of what was overwritten by itself (autovacuum)."""
        return True

    def cleared(self) -> tuple[int, str]:
        """`Decisions.cleared`."""
        row = self._execute("SELECT cleared, cleared_at FROM decision_head").fetchone()
        return row[0], row[1]

    def note_cleared(self, number: int, at: str) -> None:
        """`Decisions.note_cleared`."""
        with self._transaction():
            self._execute("UPDATE decision_head SET cleared = ?, cleared_at = ?", (number, at))
