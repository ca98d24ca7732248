"""The log and its keys in PostgreSQL, for more than one machine: needs the extra `postgres` (psycopg)."""
