"""Does a commit wait for a standby that is not there?

Where `synchronous_standby_names` asks for more standbys than are connected and confirm, every append waits until its
bound and is answered 503, while checks go on. The server says nothing of it by itself.
"""

from tenure.domain.ports import Transaction

# ANY 2 (a, b), FIRST 1 (a), 2 (a, b), or names alone, of which the first is enough
_WANTED = (
    "SELECT CASE WHEN s = '' THEN 0 ELSE coalesce("
    "(regexp_match(s, '^\\s*(?:any|first)?\\s*(\\d+)\\s*\\(', 'i'))[1]::integer, 1) END "
    "FROM current_setting('synchronous_standby_names') AS s"
)
# without the right to read statistics only their number is seen, not their state
_THERE = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NULL OR sync_state IN ('sync', 'quorum')"


def missing_standbys(connection: Transaction) -> str:
    """In words, how many synchronous standbys are missing; empty if none is, or if none is asked for."""
    (wanted,) = connection.execute(_WANTED).fetchone()
    if not wanted:
        return ""
    (there,) = connection.execute(_THERE).fetchone()
    if there >= wanted:
        return ""
    return (
        f"{there} synchronous standby of {wanted} that a commit waits for is connected: nothing can be appended, "
        "callbacks are answered 503"
    )
