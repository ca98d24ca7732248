"""Finds tenants as people name them: by client key, a site's host name or URL, or an installation id."""

from collections.abc import Iterator

from tenure.domain.ports import Transaction
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import from_row, host_of

ASKED_AT_ONCE = 500


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


def uninstalled_before(connection: Transaction, time: str) -> list[Tenant]:
    """Tenants that are uninstalled since before a stored time and not erased, newest first."""
    return _where(connection, "installed = 0 AND erased_at = '' AND uninstalled_at < ?", time)


def sealed_secrets(connection: Transaction) -> Iterator[tuple[str, str]]:
    """Client key and sealed secret of every tenant that is not erased."""
    yield from connection.execute("SELECT client_key, secret FROM security_contexts WHERE erased_at = ''")


def page(
    connection: Transaction, app_key: str | None, after: str, limit: int, keys: list[str] | None = None
) -> list[Tenant]:
    """Tenants (of an app) by client key, behind `after`: a key that never moves, so that a walk neither repeats nor
    skips while events are appended. `keys`: only these.
    """
    if keys is None:
        return _behind(connection, app_key, after, limit)
    # by parts: a statement takes only so many parameters, and both databases order text as Python does
    wanted, found = sorted(key for key in keys if key > after), list[Tenant]()
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        if 0 <= limit <= len(found):
            break
        found += _behind(connection, app_key, after, limit, wanted[start : start + ASKED_AT_ONCE])
    return found[:limit] if limit >= 0 else found


def _behind(
    connection: Transaction, app_key: str | None, after: str, limit: int, keys: list[str] | None = None
) -> list[Tenant]:
    sql, parameters = "SELECT * FROM security_contexts WHERE client_key > ?", [after]
    if app_key is not None:
        sql += " AND app_key = ?"
        parameters.append(app_key)
    if keys is not None:
        sql += f" AND client_key IN ({', '.join('?' * len(keys))})"
        parameters += keys
    sql += " ORDER BY client_key"
    rows = connection.execute(sql if limit < 0 else f"{sql} LIMIT {int(limit)}", parameters)
    return [from_row(row) for row in rows]


def _where(connection: Transaction, condition: str, *parameters: str) -> list[Tenant]:
    sql = f"SELECT * FROM security_contexts WHERE {condition} ORDER BY position DESC"
    return [from_row(row) for row in connection.execute(sql, parameters)]
