"""Finds tenants as people name them: by client key, a site's host name or URL, or an installation id."""

from tenure.domain.ports import Transaction
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import from_row, host_of


def find(connection: Transaction, name: str) -> list[Tenant]:
    """Every tenant of that name, newest first.

    A client key is proved, what else a tenant says of itself is not: so a plain name that is a client key means that
    one alone, and what looks like a host is never taken for an installation id.
    """
    try:
        host = host_of(name) if "://" in name else name.lower().rstrip("/")
    except ValueError:
        return []
    if not host or "\0" in name:
        return []
    if "." in host or ":" in host:
        return _where(connection, "client_key = ?1 OR host = ?2", name, host)
    return _where(connection, "client_key = ?", name) or _where(
        connection, "installation_id = ?1 OR host = ?2", name, host
    )


def listing(connection: Transaction) -> list[Tenant]:
    """All tenants, newest first."""
    return _where(connection, "true")


def _where(connection: Transaction, condition: str, *parameters: str) -> list[Tenant]:
    sql = f"SELECT * FROM security_contexts WHERE {condition} ORDER BY position DESC"
    return [from_row(row) for row in connection.execute(sql, parameters)]
