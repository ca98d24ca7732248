"""Brings a database to its schema: in one transaction under one lock, so that many processes may start at once.

Who has nothing to change needs no rights to change anything: a role that may only read and append starts too, once the
owner has run the service or `tenure` once.
"""

from collections.abc import Sequence
from importlib.resources import files

from tenure.store.connection import UntrustedStoreError
from tenure.store.postgres.session import Session
from tenure.store.postgres.shape import differences

_LOCK = 7_310_577_285  # any number that nobody else takes in this database
# functions with their owner's rights keep this path: what is not said is searched first, and a caller's temporary table
# in the place of ours would be written with those rights
_HERE_FIRST = "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)"
_OURS = ("events", "keys", "decisions")
_TABLE = "CREATE TABLE IF NOT EXISTS tenure_migrations (name TEXT PRIMARY KEY, applied_at TIMESTAMPTZ DEFAULT now())"


def schema_of(name: str) -> str:
    """The statements of `store/schema/postgres/<name>.sql`."""
    return files("tenure.store").joinpath(f"schema/postgres/{name}.sql").read_text()


def migrate(session: Session, projections: Sequence[tuple[str, str]] = ()) -> None:
    """Applies what is missing of our own schemas and the projections' (name, statements)."""
    steps = {f"{name}_1": schema_of(name) for name in _OURS} | dict(projections)
    done = _applied(session)
    unknown = sorted(done - steps.keys())
    if unknown:
        raise UntrustedStoreError(f"the database was made by a newer Tenure ({unknown[0]}); run that one")
    if done == steps.keys():
        return
    connection = session.connection()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock($1)", (_LOCK,))
        connection.execute(_HERE_FIRST)
        connection.execute(_TABLE)
        done = _applied(session)
        for name, text in steps.items():
            if name not in done:
                connection.execute(text.encode(), prepare=False)
                connection.execute("INSERT INTO tenure_migrations (name) VALUES ($1)", (name,))


def _applied(session: Session) -> set[str]:
    if session.execute("SELECT to_regclass('tenure_migrations')").fetchone()[0] is None:
        return set()
    return {row[0] for row in session.execute("SELECT name FROM tenure_migrations")}


def schema_problems(session: Session, projections: Sequence[tuple[str, str]] = ()) -> list[str]:
    """What is not as the schemas make it, in words; `projections`: (name, statements)."""
    return differences(session.connection(), [*map(schema_of, _OURS), *(text for _, text in projections)])
