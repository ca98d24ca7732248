"""Summaries of the decision log for the report that vendors are measured by; each by an index on time or refusals.

Rates come from the counters by the hour, which are exact also under a flood, so that a time counts from its hour on.
Only how accepted calls were answered is read from their rows, all of which are kept as long as the counters
are, unless the file's quota takes them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tenure.domain.questions import Attempt, StatusCount
from tenure.store.dialect import Dialect

_FAILURE = "SELECT number, decision, at, reason, status, client_key, claimed_client_key, path, detail FROM decisions"
_NAMES = ("decision", "at", "reason", "status", "client_key", "claimed_client_key", "path", "detail")


def summaries(dialect: Dialect) -> dict[str, str]:
    """The statements, by name."""
    one_of, at = dialect.one_of, dialect.walked
    return {
        "counted": "SELECT kind, reason, CAST(sum(counted) AS BIGINT) FROM hours WHERE hour >= ? "
        f"AND kind {one_of} GROUP BY kind, reason",
        "answered_otherwise": "SELECT kind, status, count(*) FROM decisions WHERE at >= ? AND verdict = 'accepted' "
        f"AND status NOT IN (200, 204) AND kind {one_of} GROUP BY kind, status",
        "active": "SELECT DISTINCT client_key FROM counts WHERE hour >= ? AND verdict = 'accepted' AND counted > 0",
        "last_accepted": "SELECT at FROM decisions WHERE client_key = ? AND client_key <> '' "
        "AND verdict = 'accepted' ORDER BY number DESC LIMIT 1",
        "refused": f"{_FAILURE} WHERE verdict = 'refused' AND kind = ? AND {at} >= ? "
        f"AND reason NOT {one_of} ORDER BY number DESC LIMIT ?",
        "answered": f"{_FAILURE} WHERE at >= ? AND kind = ? AND verdict = 'accepted' AND status NOT IN (0, 200, 204) "
        "ORDER BY at DESC LIMIT ?",
        "attempts": f"SELECT kind, reason, path, kid, {dialect.agent}, count(*), max(at) FROM decisions "
        f"WHERE verdict = 'refused' AND {at} >= ? AND reason {one_of} "
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC LIMIT ?",
    }


class DecisionMeasures:
    """Summaries on one connection; one thread at a time."""

    def __init__(self, execute: Callable[..., Any], dialect: Dialect) -> None:
        self._execute = execute
        self._sql = summaries(dialect)

    def by_status(self, kinds: Sequence[str], since: str) -> list[StatusCount]:
        """How many decisions of these kinds there were by reason and status, from the beginning of an hour on: the
        refused ones with status 401 whatever it was, the accepted ones with 200 unless a row says otherwise.
        """
        listed, hour = _listed(kinds), since[:13]
        other = [StatusCount(kind, "", status, times)
                 for kind, status, times in self._execute(self._sql["answered_otherwise"], (hour, listed))]  # fmt: skip
        found = list(other)
        for kind, reason, times in self._execute(self._sql["counted"], (hour, listed)):
            told = 0 if reason else sum(one.times for one in other if one.kind == kind)
            found.append(StatusCount(kind, reason, 401 if reason else 200, max(0, times - told)))
        return found

    def active(self, since: str) -> set[str]:
        """The client keys with an accepted call since a time, by whole hours."""
        return {row[0] for row in self._execute(self._sql["active"], (since[:13],))}

    def last_accepted(self, client_key: str) -> str:
        """When a tenant's last kept accepted call was; empty if there is none."""
        row = self._execute(self._sql["last_accepted"], (client_key,)).fetchone()
        return str(row[0]) if row else ""

    def failures(self, kind: str, since: str, strangers: Sequence[str], limit: int) -> list[dict[str, Any]]:
        """The newest calls of a kind that were not answered 200 or 204, but for what strangers send."""
        rows = self._execute(self._sql["refused"], (kind, since, _listed(strangers), limit)).fetchall()
        rows += self._execute(self._sql["answered"], (since, kind, limit)).fetchall()
        newest = sorted(rows, key=lambda row: int(row[0]), reverse=True)[:limit]
        return [dict(zip(_NAMES, row[1:], strict=True)) for row in newest]

    def attempts(self, since: str, reasons: Sequence[str], limit: int) -> list[Attempt]:
        """What was tried and refused for these reasons, the most frequent first."""
        return [Attempt(*row) for row in self._execute(self._sql["attempts"], (since, _listed(reasons), limit))]


def _listed(values: Sequence[str]) -> str:
    return "[" + ",".join(f'"{value}"' for value in values) + "]"
