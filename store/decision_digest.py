"""Counts and digests decisions, so that the log can vouch for a file that may be changed.

A span is the ids after one and up to another (ids sort by time; the ends need not be ids of decisions). Its digest is
SHA-256 over every named column of its decisions in the order of their ids, each as a netstring; the columns' names are
kept with it, so that a column added later changes no old digest.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tenure.store.connection import connect
from tenure.store.decisions import KEPT

_YIELD_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """The decisions after one id (exclusive) up to another (inclusive): how many, and their digest in hex."""

    after: str
    until: str
    count: int
    digest: str
    columns: tuple[str, ...]


def id_at(unix_seconds: float) -> str:
    """The lowest id a decision of that moment can have (UUIDv7)."""
    text = f"{max(0, int(unix_seconds * 1000)):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


class DecisionDigests:
    """Reads one `decisions.db`. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._database = connect(path, synchronous="NORMAL", read_only=True)
        self._execute = self._database.conn.execute

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def columns(self) -> tuple[str, ...]:
        """The columns a decision has now."""
        return tuple(row[1] for row in self._execute("PRAGMA table_info(decisions)"))

    def span(self, after: str, until: str, columns: Sequence[str] | None = None) -> Span:
        """The decisions of a span as they are now; ValueError for columns that are not there."""
        names = tuple(columns if columns is not None else self.columns())
        if not names or not set(names) <= set(self.columns()):
            raise ValueError("the decisions lack columns they were counted with")
        digest, count = hashlib.sha256(), 0
        rows = self._execute(
            f"SELECT {', '.join(names)} FROM decisions WHERE decision > ? AND decision <= ? ORDER BY decision",
            (after, until),
        )
        for row in rows:
            raws = [str(piece).encode() for piece in row]
            digest.update(b"".join(b"%d:%b," % (len(raw), raw) for raw in raws))
            count += 1
            if count % _YIELD_EVERY == 0:
                time.sleep(0.001)  # calls are being answered in the same process
        return Span(after, until, count, digest.hexdigest(), names)

    def problem(self, span: Span) -> str:
        """How the decisions of a span differ from what was counted, in words; empty if they do not.

        What is older than everything kept may have been dropped to bound the file, if it is full; that is not held
        against it.
        """
        try:
            now = self.span(span.after, span.until, span.columns)
        except ValueError as error:
            return str(error)
        if (now.count, now.digest) == (span.count, span.digest):
            return ""
        oldest, kept = self._execute("SELECT coalesce(min(decision), ''), count(*) FROM decisions").fetchone()
        if now.count < span.count and kept >= KEPT and oldest > span.after:
            return ""
        if now.count != span.count:
            return f"there are {now.count} decisions after {span.after or 'the first'}, {span.count} were counted"
        return f"the decisions after {span.after or 'the first'} are not those that were counted"
