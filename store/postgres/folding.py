"""Events in the order of tenants, as `store.folding` reads them from a file; by pages: a client holds whole results."""

from collections.abc import Iterator
from typing import Any

from tenure.domain.chain import GENESIS
from tenure.domain.events import Event
from tenure.domain.ports import Transaction
from tenure.store.codec import COLUMNS
from tenure.store.folding import held_events

_PAGE = 2000
_NETSTRINGS = " || ".join(f"octet_length(e.{name}::text) || ':' || e.{name}::text || ','" for name in COLUMNS)
_FIELDS = ", ".join(f"e.{name}" for name in ("position", "version", "type", "app_key", "client_key", "recorded_at"))
_READ = (
    f"SELECT convert_to('64:' || CASE e.position WHEN 1 THEN '{GENESIS}' ELSE p.hash END || ',' || {_NETSTRINGS}, "
    f"'UTF8'), e.hash, {_FIELDS}, convert_to(e.data, 'UTF8') "
    "FROM events e LEFT JOIN events p ON p.position = e.position - 1 "
    "WHERE (e.app_key, e.client_key, e.version) > (?, ?, ?) ORDER BY e.app_key, e.client_key, e.version LIMIT ?"
)


def by_tenant(connection: Transaction) -> Iterator[Event]:
    """The events of every tenant, tenant by tenant, each checked against the chain. They carry neither proof nor
    changes. BrokenChainError at one that does not hold.
    """
    return held_events(_rows(connection))


def _rows(connection: Transaction) -> Iterator[tuple[Any, ...]]:
    after: tuple[str, str, int] = ("", "", 0)
    while True:
        rows = connection.execute(_READ, (*after, _PAGE)).fetchall()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = (rows[-1][5], rows[-1][6], rows[-1][3])
