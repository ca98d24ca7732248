"""Is the database's schema the one that Tenure makes? Compared with a fresh one: made in the session's own temporary
schema, read, and rolled back, so that whatever a version of PostgreSQL says of a table, it says of both.

It needs the right to make temporary tables (PUBLIC has it unless it was taken away) and nothing else.
"""

import re
from collections.abc import Sequence
from typing import Any

from psycopg import Connection
from psycopg.errors import InsufficientPrivilege

from tenure.store.connection import UntrustedStoreError

SLICE = r"^decisions_(accepted|refused)_\d+$"
_FUNCTION = re.compile(r"FUNCTION (\w+\(\))")  # in a temporary schema functions are found by its name only

# of each table: its own nature, its columns, what is demanded of rows, indexes, triggers with what they run, rules
_SHAPE = """
WITH ours AS (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity FROM pg_class c
    WHERE c.relnamespace = $1::oid AND c.relname = ANY($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT 'table', relname::text, concat_ws(' ', relkind, relrowsecurity, pg_get_partkeydef(oid)) FROM ours
UNION ALL SELECT 'column', relname || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod), collname,
    attnotnull, attidentity, pg_get_expr(adbin, adrelid))
    FROM ours JOIN pg_attribute ON attrelid = ours.oid LEFT JOIN pg_collation l ON l.oid = attcollation
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'constraint', relname || '.' || conname, pg_get_constraintdef(o.oid)
    FROM ours JOIN pg_constraint o ON conrelid = ours.oid WHERE contype <> 'n'
UNION ALL SELECT 'index', i.relname::text, concat_ws(' ', ours.relname, indisunique, indisvalid,
    regexp_replace(pg_get_indexdef(indexrelid), ' ON (ONLY )?\\S+ ', ' ON '))
    FROM ours JOIN pg_index ON indrelid = ours.oid JOIN pg_class i ON i.oid = indexrelid
UNION ALL SELECT 'trigger', relname || '.' || tgname, concat_ws(' ', tgtype, tgenabled, tgqual::text, tgattr::text,
    prosecdef, prosrc, array_to_string(proconfig, ';') LIKE '%pg_temp',
    has_function_privilege('public', p.oid, 'EXECUTE'))
    FROM ours JOIN pg_trigger ON tgrelid = ours.oid JOIN pg_proc p ON p.oid = tgfoid WHERE NOT tgisinternal
UNION ALL SELECT 'rule', relname || '.' || rulename, pg_get_ruledef(r.oid)
    FROM ours JOIN pg_rewrite r ON ev_class = ours.oid WHERE relkind = 'r'
"""
# slices come and go; what they are made after is compared
_TABLES = (
    "SELECT array_agg(relname::text) FROM pg_class WHERE relnamespace = $1::oid AND relkind IN ('r', 'p') "
    f"AND relname !~ '{SLICE}'"
)
_HERE = "SELECT relnamespace FROM pg_class WHERE oid = to_regclass('log_head')"


def differences(connection: Connection[tuple[Any, ...]], schemas: Sequence[str]) -> list[str]:
    """Every table, column, constraint, index, trigger and rule that is not as the schemas make it, in words. The
    session must not be in a transaction; it may be one that reads only.
    """
    found = connection.execute(_HERE).fetchone()
    if found is None:
        return ["the tables are not there"]
    connection.execute("BEGIN READ WRITE")
    try:
        connection.execute("SET LOCAL search_path = pg_temp")
        for text in schemas:
            connection.execute(_FUNCTION.sub(r"FUNCTION pg_temp.\1", text).encode(), prepare=False)
        (temporary,) = connection.execute("SELECT pg_my_temp_schema()").fetchone() or (0,)
        (tables,) = connection.execute(_TABLES, (temporary,)).fetchone() or ([],)
        wanted, there = _shape(connection, temporary, tables), _shape(connection, found[0], tables)
    except InsufficientPrivilege:
        raise UntrustedStoreError(
            "the schema cannot be compared: this role may not make temporary tables (GRANT TEMPORARY ON DATABASE)"
        ) from None
    finally:
        connection.execute("ROLLBACK")
    how = {(True, False): "gone", (False, True): "not of ours", (True, True): "changed"}
    # an index of somebody's own changes no answer
    keys = wanted.keys() | {key for key in there if key[0] != "index"}
    names = sorted(key for key in keys if wanted.get(key) != there.get(key))
    return [f"{key[0]} {key[1]} is {how[key in wanted, key in there]}" for key in names]


def _shape(connection: Connection[tuple[Any, ...]], schema: int, tables: list[str]) -> dict[tuple[str, str], str]:
    return {(kind, name): text for kind, name, text in connection.execute(_SHAPE, (schema, tables))}
