"""Reading the decision log: filtered pages, one by its id, exact counts against what is kept.

A page is read on from a number (the order of commits), so that it neither repeats nor skips while writes go on. Each
filter has an index: tenant and time for all decisions, the others for refusals only, because indexes are what
recording costs (32 rows a batch: 9 us a row with none, 35 with two). The filters on claimed key, path, identifier,
address and kid are therefore cheap for refusals and within a tenant; else a walk looks at 20,000 rows at most, may
find none, and says where to go on (`walk`).

A filter by time becomes a range of numbers, because rows are told in the order of numbers, and times follow it but
for what workers wrote at one moment and for steps of the clock: the range reaches as far as the 10,000 rows next to
its edge in the order of times do. The time itself is asked of every row all the same.
"""

import time
from collections.abc import Iterator
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from tenure.domain.decisions import Count, Decision, Facts, Stored, Wanted
from tenure.store.alarms import AlarmReads
from tenure.store.dialect import SQLITE, Dialect
from tenure.store.measures import DecisionMeasures
from tenure.store.tally import Execute

_FACTS = TypeAdapter(Facts)

_PLAIN = tuple(name for name in Decision.__dataclass_fields__ if name != "facts")
COLUMNS = (*_PLAIN, "identifier", "kid", "address_mark", "facts")
_SELECT = f"SELECT number, {', '.join(COLUMNS)} FROM decisions"
By = Literal["reason", "tenant", "hour"]
_GROUPS: dict[By, tuple[str, str]] = {
    "reason": ("reason", "reason"),
    "tenant": ("client_key", "client_key"),
    "hour": ("hour", "substr(at, 1, 13)"),
}
FAILED_TOKENS_S = 60.0
LOOKED_AT = 20_000
EDGE = 10_000
EVERY = (0, (1 << 63) - 1)
_NEAR = f"FROM (SELECT number FROM decisions WHERE at {{}} LIMIT {EDGE}) AS near"
SQL_SINCE = f"SELECT min(number) {_NEAR.format('>= ? ORDER BY at')}"
SQL_UNTIL = f"SELECT max(number) {_NEAR.format('<= ? ORDER BY at DESC')}"
# a sum of PostgreSQL's is no whole number by itself
_SUMS = "CAST(sum(counted) AS BIGINT), CAST(sum(kept) AS BIGINT)"


def conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    """The WHERE of a question; terms without a parameter are there for the partial indexes."""
    terms, parameters = ["true"], []
    refused = wanted.verdict == "refused" or bool(wanted.reason)
    if refused:
        terms.append("verdict = 'refused'")
        if wanted.verdict == "accepted":
            terms.append("false")
    elif wanted.verdict is not None:
        terms.append("verdict = ?")
        parameters.append(wanted.verdict)
    for name in ("client_key", "claimed_client_key", "reason", "kind", "path", "identifier", "address_mark", "kid"):
        value = getattr(wanted, name)
        if value is not None:
            terms.append(f"{name} = ?")
            parameters.append(value)
            if value and name in ("client_key", "identifier", "kid"):
                terms.append(f"{name} <> ''")
    for name, sign, value in (("at", ">=", wanted.since), ("at", "<=", wanted.until)):
        if value is not None:
            terms.append(f"{name} {sign} ?")
            parameters.append(value)
    return " AND ".join(terms), parameters


def page_sql(
    wanted: Wanted, *, after: int | None, limit: int, newest_first: bool, within: tuple[int, int] = EVERY
) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters; `within`: only these numbers."""
    where, parameters = conditions(wanted)
    low, high = within
    if after is not None:
        low, high = (low, min(high, after - 1)) if newest_first else (max(low, after + 1), high)
    if (low, high) != EVERY:
        where += " AND number BETWEEN ? AND ?"
        parameters += [low, high]
    order = "DESC" if newest_first else "ASC"
    return f"{_SELECT} WHERE {where} ORDER BY number {order} LIMIT ?", [*parameters, limit]


def _is_walked(wanted: Wanted) -> bool:
    """Whether no index leads to what is wanted, so that rows have to be looked at one by one."""
    if wanted.client_key or wanted.verdict == "refused" or wanted.reason:
        return False
    names = ("claimed_client_key", "kind", "path", "identifier", "address_mark", "kid")
    return any(getattr(wanted, name) is not None for name in names)


class DecisionReads:
    """Questions to the decision log on one connection; one thread at a time."""

    def __init__(self, execute: Execute, dialect: Dialect = SQLITE) -> None:
        self._execute = execute
        self._measures = DecisionMeasures(execute, dialect)
        self._alarms = AlarmReads(execute)

    @property
    def measures(self) -> DecisionMeasures:
        """Summaries."""
        return self._measures

    @property
    def alarms(self) -> AlarmReads:
        """What the service said unasked."""
        return self._alarms

    def page(
        self, wanted: Wanted | None = None, *, after: int | None = None, limit: int = 100, newest_first: bool = True
    ) -> list[Stored]:
        """At most `limit` decisions beyond the number `after` (None: from the end that comes first)."""
        wanted = wanted or Wanted()
        return self._page(wanted, after, limit, newest_first, self._within(wanted))

    def walk(
        self, wanted: Wanted, *, after: int | None = None, limit: int = 100, newest_first: bool = True
    ) -> tuple[list[Stored], int | None]:
        """A page that looks at 20,000 rows at most, and the number to go on behind; None: that was all."""
        low, high = self._within(wanted)
        if _is_walked(wanted):
            last = self.last_number()
            low, high = max(low, self._first_number()), min(high, last)
            if newest_first:
                low = max(low, (min(high, after - 1) if after is not None else high) - LOOKED_AT + 1)
            else:
                high = min(high, max(low, (after or 0) + 1) + LOOKED_AT - 1)
        found = self._page(wanted, after, limit + 1, newest_first, (low, high))
        if len(found) > limit:
            return found[:limit], found[limit - 1].number
        if not _is_walked(wanted):
            return found, None
        first, end = self._within(wanted)
        if newest_first:
            return found, low if low > max(first, self._first_number()) else None
        return found, high if high < min(end, last) else None

    def _page(
        self, wanted: Wanted, after: int | None, limit: int, newest_first: bool, within: tuple[int, int]
    ) -> list[Stored]:
        sql, parameters = page_sql(wanted, after=after, limit=limit, newest_first=newest_first, within=within)
        return [_stored(row) for row in self._execute(sql, parameters).fetchall()]

    def _within(self, wanted: Wanted) -> tuple[int, int]:
        """The numbers among which the times wanted lie."""
        low, high = EVERY
        if wanted.since is not None:
            low = self._execute(SQL_SINCE, (wanted.since,)).fetchone()[0] or high
        if wanted.until is not None:
            high = self._execute(SQL_UNTIL, (wanted.until,)).fetchone()[0] or 0
        return low, high

    def _first_number(self) -> int:
        return int(self._execute("SELECT min(number) FROM decisions").fetchone()[0] or 0)

    def all(self, wanted: Wanted | None = None, *, after: int = 0, chunk: int = 500) -> Iterator[Stored]:
        """Every decision wanted, oldest first, read in chunks so that no reader holds the file."""
        while found := self.page(wanted, after=after, limit=chunk, newest_first=False):
            yield from found
            after = found[-1].number

    def one(self, decision: str) -> Stored | None:
        """The decision of an id; None if it is unknown, or was counted only."""
        row = self._execute(f"{_SELECT} WHERE decision = ?", (decision,)).fetchone()
        return _stored(row) if row else None

    def read(
        self, *, client_key: str | None = None, verdict: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The newest decisions as plain fields without the facts, oldest of them first."""
        found = self.page(Wanted(client_key=client_key, verdict=verdict), limit=limit)
        return [plain_fields(stored.decision) for stored in reversed(found)]

    def last_number(self) -> int:
        """The number of the newest decision; 0 if there is none."""
        return int(self._execute("SELECT max(number) FROM decisions").fetchone()[0] or 0)

    def counts(self, by: By, wanted: Wanted | None = None) -> list[Count]:
        """Exact counts by reason, proved tenant or hour (the first two largest first, hours in their order). Takes
        the filters on tenant, verdict, reason, kind and time, the last by whole hours; ValueError for others."""
        wanted = wanted or Wanted()
        name = _GROUPS[by][0]
        where, parameters = _count_conditions(wanted)
        order = "1" if by == "hour" else "2 DESC, 1"
        table = "counts" if by == "tenant" or wanted.client_key is not None else "hours"
        rows = self._execute(
            f"SELECT {name}, {_SUMS} FROM {table} WHERE {where} GROUP BY 1 HAVING sum(counted) > 0 ORDER BY {order}",
            parameters,
        )
        return [Count(*row) for row in rows]

    def total(self, wanted: Wanted | None = None) -> Count:
        """How many decisions were counted and how many of them are kept; filters as for `counts`."""
        wanted = wanted or Wanted()
        where, parameters = _count_conditions(wanted)
        table = "counts" if wanted.client_key is not None else "hours"
        row = self._execute(f"SELECT {_SUMS} FROM {table} WHERE {where}", parameters).fetchone()
        return Count("", row[0] or 0, row[1] or 0)

    def totals(self) -> list[dict[str, Any]]:
        """The counters that only grow, a row for each kind, verdict and reason."""
        rows = self._execute("SELECT * FROM totals ORDER BY kind, verdict, reason")
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def upstream(self) -> list[tuple[int, int]]:
        """How often the app's own receiver answered with each status."""
        return [(status, answers) for status, answers in self._execute("SELECT * FROM upstream ORDER BY status")]

    def size(self) -> tuple[int, int]:
        """Bytes in use, and those that they take up."""
        raise NotImplementedError

    def oldest(self) -> str:
        """The time of the oldest decision kept; empty if there is none."""
        return self._execute("SELECT min(at) FROM decisions").fetchone()[0] or ""

    def taken(self, client_key: str, identifier: str) -> bool:
        """Whether the upstream took this webhook before."""
        row = self._delivery(client_key, identifier)
        return row is not None and row[0] is not None

    def busy(self, client_key: str, identifier: str) -> bool:
        """Whether someone is passing this webhook on just now."""
        row = self._delivery(client_key, identifier)
        return row is not None and row[0] is None and row[1] > time.time()

    def _delivery(self, client_key: str, identifier: str) -> Any:
        return self._execute(
            "SELECT taken_at, claimed_until FROM deliveries WHERE client_key = ? AND identifier = ?",
            (client_key, identifier),
        ).fetchone()

    def failures(self, address_mark: str) -> int:
        """How many API tokens from an address opened nothing in the last minute, in all workers."""
        row = self._execute(
            "SELECT count(*) FROM failed_tokens WHERE address_mark = ? AND at > ?",
            (address_mark, time.time() - FAILED_TOKENS_S),
        ).fetchone()
        return int(row[0])


def plain_fields(decision: Decision) -> dict[str, Any]:
    """A decision's own fields, without the facts."""
    return {name: getattr(decision, name) for name in _PLAIN}


def _count_conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    uncounted = ("claimed_client_key", "path", "identifier", "address_mark", "kid")
    if any(getattr(wanted, name) is not None for name in uncounted):
        raise ValueError(f"decisions are not counted by {', '.join(uncounted)}")
    terms, parameters = ["true"], []
    for term, value in (
        ("client_key = ?", wanted.client_key),
        ("verdict = ?", wanted.verdict),
        ("reason = ?", wanted.reason),
        ("kind = ?", wanted.kind),
        ("hour >= ?", wanted.since and wanted.since[:13]),
        ("hour <= ?", wanted.until and wanted.until[:13]),
    ):
        if value is not None:
            terms.append(term)
            parameters.append(value)
            if value and term.startswith("client_key"):
                terms.append("client_key <> ''")
    return " AND ".join(terms), parameters


def _stored(row: tuple[Any, ...]) -> Stored:
    number, plain = row[0], row[1 : 1 + len(_PLAIN)]
    identifier, kid, address_mark, text = row[1 + len(_PLAIN) :]
    told = orjson.loads(text) | {"identifier": identifier, "kid": kid, "address_mark": address_mark}
    # read leniently: names that this code does not know are passed over
    return Stored(number, Decision(**dict(zip(_PLAIN, plain, strict=True)), facts=_FACTS.validate_python(told)))
