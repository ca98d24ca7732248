"""Reads events in the order of tenants, for folding: each tenant's stream from its first event to its last.

So a fold holds one tenant at a time, however many there are. Each event's hash is held to its own columns and to the
stored hash of the event before, each version to the one before: together with positions without a gap that is the
whole chain, link by link in another order. The netstrings that are hashed are put together by SQLite, and what is
only shown (proof, changes) is not decoded; what is read of an event is what `codec.decode` reads.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from tenure.domain.chain import GENESIS
from tenure.domain.events import Event
from tenure.domain.ports import Transaction
from tenure.domain.swift import swift
from tenure.store.codec import COLUMNS, data_of_own

Place = tuple[str, str]

_NETSTRINGS = ", ".join(f"octet_length(e.{name}), ':', e.{name}, ','" for name in COLUMNS)
_FIELDS = ", ".join(f"e.{name}" for name in ("position", "version", "type", "app_key", "client_key", "recorded_at"))
_SELECT = (
    # the hash before the first event is the genesis; one that is not there makes a text of no event
    f"SELECT CAST(concat('64:', CASE e.position WHEN 1 THEN '{GENESIS}' ELSE p.hash END, ',', {_NETSTRINGS}) AS BLOB), "
    f"e.hash, {_FIELDS}, CAST(e.data AS BLOB) FROM events e LEFT JOIN events p ON p.position = e.position - 1"
)
_ORDER = "ORDER BY e.app_key, e.client_key, e.version"
_event = swift(Event)


class BrokenChainError(Exception):
    """An event does not follow from the one before; the log is not what it was."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the chain does not hold at position {position}; see: tenure log verify")
        self.position = position


def by_tenant(connection: Transaction, after: Place = ("", ""), until: Place | None = None) -> Iterator[Event]:
    """The events of every tenant behind `after` (and up to `until`), tenant by tenant, each checked against the chain.
    They carry neither proof nor changes. BrokenChainError at one that does not hold.
    """
    sql, parameters = f"{_SELECT} WHERE (e.app_key, e.client_key) > (?, ?)", list(after)
    if until is not None:
        sql += " AND (e.app_key, e.client_key) <= (?, ?)"
        parameters += until
    return held_events(connection.execute(f"{sql} {_ORDER}", parameters))


def of_tenant(connection: Transaction, place: Place) -> Iterator[Event]:
    """The same, of one tenant."""
    return held_events(connection.execute(f"{_SELECT} WHERE e.app_key = ? AND e.client_key = ? {_ORDER}", place))


def held_events(rows: Iterable[tuple[Any, ...]]) -> Iterator[Event]:
    """Rows of (what is hashed, hash, position, version, type, app key, client key, time, data), in the order of
    tenants, as events; BrokenChainError at one that does not hold.
    """
    sha, before, app, client = hashlib.sha256, 0, None, None
    for text, digest, position, version, kind, app_key, client_key, at, data in rows:
        if client_key != client or app_key != app:
            before, app, client = 0, app_key, client_key
        before += 1
        if sha(text).hexdigest() != digest or version != before:
            raise BrokenChainError(position)
        yield _event(position, version, kind, app_key, client_key, at, {}, None, data_of_own(kind, data), "", digest)


def gapless(connection: Transaction) -> bool:
    """Whether the positions run from 1 to the head without a gap, and the head is the last event's."""
    count, last = connection.execute("SELECT count(*), max(position) FROM events").fetchone()
    position, digest = connection.execute("SELECT position, hash FROM log_head WHERE id = 1").fetchone()
    row = connection.execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
    return bool(count == (last or 0) == position and (row[0] if row else GENESIS) == digest)


def bounds(connection: Transaction, ranges: int) -> list[Place]:
    """Places that part the tenants into about so many ranges of about equally many events."""
    head = connection.execute("SELECT position FROM log_head WHERE id = 1").fetchone()[0]
    sampled = {max(1, head * number // (ranges * 16)) for number in range(1, ranges * 16)}
    found = {
        tuple(connection.execute("SELECT app_key, client_key FROM events WHERE position = ?", (at,)).fetchone())
        for at in sampled
        if at <= head
    }
    ordered = sorted(found)
    return sorted({ordered[len(ordered) * number // ranges] for number in range(1, ranges)}) if ordered else []
