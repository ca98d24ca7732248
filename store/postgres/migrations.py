"""Brings a database to its schema: in one transaction under one lock, so that many processes may start at once.

Who has nothing to change needs no rights to change anything: a role that may only read and append starts too, once the
owner has run the service or `tenure` once.
"""

import re
from collections.abc import Sequence
from importlib.resources import files

from tenure.store.connection import UntrustedStoreError, refuse_missing
from tenure.store.postgres.session import Session
from tenure.store.postgres.shape import differences

_LOCK = 7_310_577_285  # any number that nobody else takes in this database
_TABLE = "CREATE TABLE IF NOT EXISTS tenure_migrations (name TEXT PRIMARY KEY, applied_at TIMESTAMPTZ DEFAULT now())"
_TRIGGER = re.compile(
    r"CREATE TRIGGER (\w+) BEFORE ([A-Z ]+) ON (\w+) FOR EACH (ROW|STATEMENT) EXECUTE FUNCTION (\w+)\(\)"
)
_FUNCTION = re.compile(r"CREATE FUNCTION (\w+)\(\).*?AS \$\$(.*?)\$\$", re.DOTALL)
_BITS = {"ROW": 1, "STATEMENT": 0, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_BEFORE = 2


def schema_of(name: str) -> str:
    """The statements of `store/schema/postgres/<name>.sql`."""
    return files("tenure.store").joinpath(f"schema/postgres/{name}.sql").read_text()


def migrate(session: Session, projections: Sequence[tuple[str, str]] = ()) -> None:
    """Applies what is missing of the log's schema and the projections' (name, statements)."""
    steps = {"events_1": schema_of("events"), **dict(projections)}
    done = _applied(session)
    unknown = sorted(done - steps.keys())
    if unknown:
        raise UntrustedStoreError(f"the database was made by a newer Tenure ({unknown[0]}); run that one")
    if done == steps.keys():
        return
    connection = session.connection()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock($1)", (_LOCK,))
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


def check_guards(session: Session) -> None:
    """Refuses a log whose triggers are gone, changed or switched off."""
    refuse_missing(missing_guards(session))


def missing_guards(session: Session) -> list[str]:
    """The names of triggers that are gone, changed or switched off."""
    text = schema_of("events")
    bodies = dict(_FUNCTION.findall(text))
    wanted = {
        (name, table, _BEFORE | _BITS[each] | sum(_BITS[word] for word in events.split(" OR ")), bodies[function])
        for name, events, table, each, function in _TRIGGER.findall(text)
    }
    rows = session.execute(
        "SELECT t.tgname, c.relname, t.tgtype, p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE c.oid IN (to_regclass('events'), to_regclass('log_head'), "
        "to_regclass('spent_tokens')) AND t.tgenabled = 'A' AND t.tgqual IS NULL AND cardinality(t.tgattr::int2[]) = 0"
    )
    return sorted(name for name, *_ in wanted - {tuple(row) for row in rows})


def schema_problems(session: Session, projections: Sequence[str] = ()) -> list[str]:
    """What is not as the schemas make it, in words; `projections`: their statements."""
    return differences(session.connection(), [schema_of("events"), *projections])


def refuse_other(problems: list[str]) -> None:
    """Refuses a database whose tables are not as they were made."""
    if problems:
        named = "; ".join(problems[:5])
        raise UntrustedStoreError(f"the database is not as Tenure made it: {named}. Restore a backup")
