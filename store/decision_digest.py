"""Counts and digests decisions, so that the log can vouch for a file that may be changed.

A span is the numbers after one and up to another: the order of commits, which no clock moves. Accepted and refused are
counted apart, because retention lets the oldest of each go at its own time. A digest is SHA-256 over every named column
of its decisions in their order, each as a netstring; the columns' names are kept with it, so that a column added later
changes no old digest. Left out is what forgetting a tenant takes away (`PERSONAL`): a decision that was made bare is
still the one that was counted.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.domain.times import stored_at
from tenure.store.connection import connect
from tenure.store.tally import Execute

PERSONAL = ("account", "address", "user_agent")  # of the facts; the mark of the address is a column of its own
PERSONAL_COLUMN = "address_mark"
BARE_FACTS = f"json_remove(facts, {', '.join(repr(f'$.{name}') for name in PERSONAL)})"

_YIELD_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """The decisions after one number (exclusive) up to another (inclusive): of each verdict how many, the first one's
    number (0: none) and their digest in hex.
    """

    after: int
    until: int
    accepted: int
    accepted_first: int
    accepted_digest: str
    refused: int
    refused_first: int
    refused_digest: str
    columns: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many in all."""
        return self.accepted + self.refused


class DecisionDigests:
    """Reads one store's decisions, in the words that are the same for both databases. One thread at a time."""

    def __init__(self, execute: Execute, close: Callable[[], None]) -> None:
        self._execute = execute
        self.close = close

    # -- each database's own

    def columns(self) -> tuple[str, ...]:
        """The columns a decision has now, but for the one that forgetting empties."""
        raise NotImplementedError

    def _rows(self, after: int, until: int, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Of each decision of a span whether it was refused, its number and the columns, without what forgetting takes;
        by number.
        """
        raise NotImplementedError

    def _last_given(self) -> int:
        """The last number that a decision was given, gone or not."""
        raise NotImplementedError

    # -- shared

    def last_number(self) -> int:
        """The number of the newest decision; 0 if there is none."""
        return int(self._execute("SELECT max(number) FROM decisions").fetchone()[0] or 0)

    def settled(self, now: float, within: float) -> int:
        """The last number up to which every decision is further than so many seconds from `now`, on either side of it:
        one that lies far ahead was made under a clock that has been set back since.
        """
        (first,) = self._execute(
            "SELECT min(number) FROM decisions WHERE at > ? AND at <= ?",
            (stored_at(now - within), stored_at(now + within)),
        ).fetchone()
        return self.last_number() if first is None else int(first) - 1

    def span(self, after: int, until: int, columns: Sequence[str] | None = None) -> Span:
        """The decisions of a span as they are now; ValueError for columns that are not there."""
        names = tuple(columns if columns is not None else self.columns())
        if not names or not set(names) <= set(self.columns()):
            raise ValueError("the decisions lack columns they were counted with")
        digests = {False: hashlib.sha256(), True: hashlib.sha256()}
        counts, firsts = {False: 0, True: 0}, {False: 0, True: 0}
        for refused, number, *columns_ in self._rows(after, until, names):
            firsts[bool(refused)] = firsts[bool(refused)] or number
            raws = [str(piece).encode() for piece in columns_]
            digests[bool(refused)].update(b"".join(b"%d:%b," % (len(raw), raw) for raw in raws))
            counts[bool(refused)] += 1
            if sum(counts.values()) % _YIELD_EVERY == 0:
                time.sleep(0.001)  # calls are being answered in the same process
        return Span(
            after, until, counts[False], firsts[False], digests[False].hexdigest(),
            counts[True], firsts[True], digests[True].hexdigest(), names,
        )  # fmt: skip

    def problem(self, span: Span) -> str:
        """How the decisions of a span differ from what was counted, in words; empty if they do not.

        Retention lets the oldest of a verdict go and notes how far: a span that has lost its first one by that note is
        not held against the file.
        """
        try:
            now = self.span(span.after, span.until, span.columns)
        except ValueError as error:
            return str(error)
        when = f"of the numbers {span.after + 1} to {span.until}"
        for verdict, first, then, there, same in (
            ("accepted", span.accepted_first, span.accepted, now.accepted,
             span.accepted_digest == now.accepted_digest),
            ("refused", span.refused_first, span.refused, now.refused, span.refused_digest == now.refused_digest),
        ):  # fmt: skip
            if same or (there < then and self._let_go(verdict, first)):
                continue
            if there != then:
                return f"{there} {verdict} decisions {when} are there, {then} were counted"
            return f"the {verdict} decisions {when} are not those that were counted"
        return ""

    def _let_go(self, verdict: str, first: int) -> bool:
        until, oldest = self._execute(
            "SELECT (SELECT until FROM let_go WHERE verdict = ?), "
            "(SELECT min(number) FROM decisions WHERE verdict = ?)",
            (verdict, verdict),
        ).fetchone()
        # retention leaves none behind: a note past one that is still there was written by somebody else
        return until is not None and first <= until <= self._last_given() and (oldest is None or oldest > until)


class SqliteDigests(DecisionDigests):
    """Reads one `decisions.db`."""

    def __init__(self, path: Path) -> None:
        database = connect(path, synchronous="NORMAL", read_only=True)
        super().__init__(database.conn.execute, database.close)

    def columns(self) -> tuple[str, ...]:
        """`DecisionDigests.columns`."""
        return tuple(row[1] for row in self._execute("PRAGMA table_info(decisions)") if row[1] != PERSONAL_COLUMN)

    def _rows(self, after: int, until: int, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        # what is no JSON was put there by somebody else: it is digested as it is, and differs
        facts = f"CASE WHEN json_valid(facts) THEN {BARE_FACTS} ELSE facts END"
        rows: Iterator[tuple[Any, ...]] = self._execute(
            f"SELECT verdict = 'refused', number, {', '.join(facts if name == 'facts' else name for name in columns)} "
            "FROM decisions WHERE number > ? AND number <= ? ORDER BY number",
            (after, until),
        )
        return rows

    def _last_given(self) -> int:
        row = self._execute("SELECT seq FROM sqlite_sequence WHERE name = 'decisions'").fetchone()
        return int(row[0]) if row else 0
