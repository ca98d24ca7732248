"""The log in PostgreSQL, for more than one machine: needs the extra `postgres` (psycopg)."""
