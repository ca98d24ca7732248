"""The projection that lets people in: each tenant's security context, updated in the append's own transaction.

So the 204 to an uninstall means that the secret is already refused, in every process that reads the file. Everything
in it can be folded again from the log; `as_of` does just that, with the same `evolve`.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from tenure.domain.events import Event
from tenure.domain.ports import EventLog, Transaction
from tenure.domain.swift import swift
from tenure.domain.tenant import NO_SECRET, Secret, Tenant, evolve, fold_stream

# The columns of `security_contexts`, in their order.
NAMES = (
    "app_key", "client_key", "version", "position", "installed", "enabled", "disabled", "secret", "secret_fingerprint",
    "secret_version", "secret_position", "secret_since", "previous_secret", "previous_fingerprint", "previous_version",
    "previous_position", "previous_since", "base_url", "display_url", "product_type", "installation_id",
    "installed_at", "uninstalled_at", "erased_at", "host",
)  # fmt: skip

_READ = "SELECT * FROM security_contexts WHERE app_key = ? AND client_key = ?"
_ROW = f"({', '.join('?' * 25)})"
_WRITE_BEGINS = f"INSERT INTO security_contexts ({', '.join(NAMES)}) VALUES "
_WRITE_ENDS = (
    f" ON CONFLICT (app_key, client_key) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in NAMES[2:])}"
)
_WRITE = f"{_WRITE_BEGINS}{_ROW}{_WRITE_ENDS}"
_AT_ONCE = 100

_tenant, _secret = swift(Tenant), swift(Secret)

# The one row of `nobody`.
NOBODY = (
    "", "0" * 36, 2, 2, 1, 1, 0, "0" * 143, "0" * 16, 1, 1, "0" * 27, "0" * 70, "0" * 8, 1, 1, "", "0" * 26, "0" * 26,
    "jira", "", "0" * 27, "", "", "0" * 18,
)  # fmt: skip

# An unknown tenant reads a row, too, and of a known one's size, so that both take equally long.
_READ_ALIKE = f"{_READ} UNION ALL SELECT * FROM nobody LIMIT 1"


# The same for many at once, each asked for by the same primary-key read. In PostgreSQL's dialect alone: it saves round
# trips, and SQLite has none.
_READ_TOGETHER = (
    "SELECT found.* FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS asked (a, k, n) CROSS JOIN LATERAL "
    "(SELECT * FROM security_contexts WHERE app_key = a AND client_key = k UNION ALL SELECT * FROM nobody LIMIT 1) "
    "AS found ORDER BY n"
)


# What nearly every site's URL is; `urlsplit` would be a quarter of what a fold costs.
_PLAIN = re.compile(r"https?://([a-z0-9.-]+)(?:/|\Z)").match


def schema(dialect: str = "") -> tuple[str, str]:
    """The name and statements of this projection's migration, for SQLite or in the dialect `postgres`."""
    name = f"security_context.{dialect}.sql" if dialect else "security_context.sql"
    return "security_contexts_1", files("tenure.projections").joinpath(name).read_text()


def host_of(url: str) -> str:
    """The host of a site's URL, in lower case."""
    plain = _PLAIN(url)
    if plain is not None:
        return plain[1]
    return (urlsplit(url).hostname or "").lower()


def to_row(tenant: Tenant) -> tuple[Any, ...]:
    """The tenant as a row of `security_contexts`."""
    secret, previous = tenant.secret, tenant.previous or NO_SECRET
    return (
        tenant.app_key,
        tenant.client_key,
        tenant.version,
        tenant.position,
        int(tenant.installed),
        int(tenant.enabled),
        int(tenant.disabled),
        secret.sealed,
        secret.fingerprint,
        secret.version,
        secret.position,
        secret.since,
        previous.sealed,
        previous.fingerprint,
        previous.version,
        previous.position,
        previous.since,
        tenant.base_url,
        tenant.display_url,
        tenant.product_type,
        tenant.installation_id,
        tenant.installed_at,
        tenant.uninstalled_at,
        tenant.erased_at,
        host_of(tenant.base_url),
    )


def from_row(row: tuple[Any, ...]) -> Tenant:
    """The tenant of a row of `security_contexts`."""
    app_key, client_key, version, position, installed, enabled, disabled = row[:7]
    base_url, display_url, product_type, installation_id, installed_at, uninstalled_at, erased_at = row[17:24]
    return _tenant(
        app_key=app_key,
        client_key=client_key,
        version=version,
        position=position,
        installed=bool(installed),
        enabled=bool(enabled),
        disabled=bool(disabled),
        secret=_secret(*row[7:12]),
        previous=_secret(*row[12:17]) if row[12] else None,
        base_url=base_url,
        display_url=display_url,
        product_type=product_type,
        installation_id=installation_id,
        installed_at=installed_at,
        uninstalled_at=uninstalled_at,
        erased_at=erased_at,
    )


def current(connection: Transaction, app_key: str, client_key: str) -> Tenant | None:
    """The tenant as of the latest commit: one primary-key read. Whatever row is read: that tenant or none."""
    return _own(connection.execute(_READ_ALIKE, (app_key, client_key)).fetchone(), (app_key, client_key))


def current_of(connection: Transaction, asked: Sequence[tuple[str, str]]) -> list[Tenant | None]:
    """The tenants of many (app key, client key), in their order, as of one commit; PostgreSQL only."""
    rows = connection.execute(_READ_TOGETHER, ([app for app, _ in asked], [client for _, client in asked]))
    return [_own(row, place) for row, place in zip(rows, asked, strict=True)]


def _own(row: tuple[Any, ...], place: tuple[str, str]) -> Tenant | None:
    tenant = from_row(row)
    # both compared, however the first turns out: the row of nobody takes as long
    same = (tenant.app_key == place[0]) & (tenant.client_key == place[1]) & bool(tenant.app_key)
    return tenant if same else None


class SecurityContexts:
    """`ports.Contexts` where a read is microseconds: on the caller's thread, answered at once."""

    def __init__(self, connection: Transaction) -> None:
        self._connection = connection

    async def get(self, app_key: str, client_key: str) -> Tenant | None:
        """The tenant as of the latest commit."""
        return current(self._connection, app_key, client_key)


class SecurityContextProjector:
    """Keeps the projection; stateless."""

    def apply(self, transaction: Transaction, event: Event) -> None:
        """Folds one event into the tenant's row."""
        row = transaction.execute(_READ, (event.app_key, event.client_key)).fetchone()
        tenant = evolve(from_row(row) if row else None, event)
        if tenant is not None:
            put(transaction, tenant)


def put(transaction: Transaction, tenant: Tenant) -> None:
    """The tenant's row as it is now."""
    transaction.execute(_WRITE, to_row(tenant))


def apply_all(transaction: Transaction, events: Sequence[Event]) -> None:
    """As `SecurityContextProjector.apply` of each of them in their order: a tenant is read and written once."""
    tenants: dict[tuple[str, str], Tenant | None] = {}
    for event in events:
        place = (event.app_key, event.client_key)
        if place not in tenants:
            row = transaction.execute(_READ, place).fetchone() if event.version > 1 else None
            tenants[place] = from_row(row) if row else None
        tenants[place] = evolve(tenants[place], event)
    rows = [to_row(tenant) for tenant in tenants.values() if tenant is not None]
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        sql = f"{_WRITE_BEGINS}{', '.join([_ROW] * len(some))}{_WRITE_ENDS}"
        transaction.execute(sql, tuple(chain.from_iterable(some)))


def as_of(log: EventLog, app_key: str, client_key: str, position: int | None) -> Tenant | None:
    """The tenant as of a position (None: the head), folded from the log."""
    return fold_stream(log.stream(app_key, client_key, position))
