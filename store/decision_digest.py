"""Counts and digests decisions, so that the log can vouch for a file that may be changed.

A span is the ids after one and up to another (ids sort by time; the ends need not be ids of decisions). Accepted and
refused are counted apart, because retention lets the oldest of each go at its own time. A digest is SHA-256 over every
named column of its decisions in the order of their ids, each as a netstring; the columns' names are kept with it, so
that a column added later changes no old digest.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tenure.store.connection import connect

_YIELD_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """The decisions after one id (exclusive) up to another (inclusive): of each verdict how many, the first one's id
    (empty: none) and their digest in hex.
    """

    after: str
    until: str
    accepted: int
    accepted_first: str
    accepted_digest: str
    refused: int
    refused_first: str
    refused_digest: str
    columns: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many in all."""
        return self.accepted + self.refused


def id_at(unix_seconds: float) -> str:
    """The lowest id a decision of that moment can have (UUIDv7)."""
    text = f"{max(0, int(unix_seconds * 1000)):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


def time_of(decision: str) -> float:
    """Unix seconds of an id; 0 if it is none."""
    try:
        return int(decision[:13].replace("-", ""), 16) / 1000
    except ValueError:
        return 0.0


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
        digests = {False: hashlib.sha256(), True: hashlib.sha256()}
        counts, firsts = {False: 0, True: 0}, {False: "", True: ""}
        rows = self._execute(
            f"SELECT verdict = 'refused', decision, {', '.join(names)} FROM decisions "
            "WHERE decision > ? AND decision <= ? ORDER BY decision",
            (after, until),
        )
        for refused, decision, *columns_ in rows:
            firsts[bool(refused)] = firsts[bool(refused)] or decision
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

        Retention lets the oldest of a verdict go, so a span that has lost its first one is not held against the file.
        """
        try:
            now = self.span(span.after, span.until, span.columns)
        except ValueError as error:
            return str(error)
        when = f"between {_when(span.after)} and {_when(span.until)}"
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

    def _let_go(self, verdict: str, first: str) -> bool:
        (oldest,) = self._execute("SELECT min(decision) FROM decisions WHERE verdict = ?", (verdict,)).fetchone()
        return oldest is not None and oldest > first


def _when(decision: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_of(decision)))
