"""How long an auditor waits for the first page of each filter: `.venv/bin/python benchmarks/audit.py [COUNT]`.

Fills a store by plain SQL (a million events of 10,000 tenants, a million decisions over 28 days, one in twenty
refused), and asks it what `/audit` is asked, as the route does but for the network. Milliseconds, the least of five, so
that what else the machine does counts little; each filter also by a value that nothing has, and walked to its end where
that takes many pages. The goal is a first page under 50 ms on two cores.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tenure.api.audit_pages import (
    DECISION_PARAMETERS,
    EVENT_PARAMETERS,
    TENANT_PARAMETERS,
    Page,
    counted,
    decision_page,
    event_page,
    tenant_page,
)
from tenure.api.http import Call
from tenure.api.questions import Question
from tenure.domain.times import stored_at
from tenure.projections.archive import Archive
from tenure.projections.diagnosis import diagnose
from tenure.projections.explain import explain
from tenure.projections.security_context import schema
from tenure.store.connection import connect, schema_of, statements
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.sqlite import SqliteLog, open_log

APP = "com.example.app"
TENANTS = 10_000
DAYS = 28
GOAL_MS = 50.0
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)"
TIME = "strftime('%Y-%m-%dT%H:%M:%S', ?2 + i * ?3, 'unixepoch') || printf('.%06dZ', i % 1000000)"
FACTS = (
    '{"purpose":"traffic","now":1767225600.1,"alg":"HS256","iat":1767225600,"exp":1767225780,"qsh":"'
    + "a" * 64 + '","expected_qsh":["' + "a" * 64 + '"],"match":"current","secret_position":1,'
    '"address":"' + "s" * 60 + '","user_agent":"Atlassian HttpClient","settings":"0123456789abcdef",'
    '"token_mark":"' + "b" * 32 + '"}'
)  # fmt: skip


def fill_events(path: Path, count: int, began: float) -> None:
    """The first event of each tenant an `installed`, the others `enabled`; every column but the hash as it would be."""
    open_log(path, [schema()])
    database = connect(path)
    triggers = [line for line in statements(schema_of("events")) if line.startswith("CREATE TRIGGER")]
    for trigger in triggers:
        database.execute(f"DROP TRIGGER {trigger.split()[2]}")
    database.execute("BEGIN")
    database.execute(
        f"{NUMBERS} INSERT INTO events SELECT i + 1, i / {TENANTS} + 1, iif(i < {TENANTS}, 'installed', 'enabled'), "
        f"'{APP}', 'tenant-' || (i % {TENANTS}), {TIME}, "
        f"iif(i < {TENANTS}, json_object('kind', 'rs256', 'kid', 'kid-' || (i % 500)), '{{\"kind\":\"hs256\"}}'), "
        '\'{}\', iif(i < 10000, \'{"base_url":"https://x.atlassian.net","secret":"s","secret_fingerprint":"f"}\', '
        "'{}'), '', '' FROM n",
        [count, began, DAYS * 86400 / count],
    )
    database.execute("UPDATE log_head SET position = ?", [count])
    names = [row[1] for row in database.execute("PRAGMA table_info(security_contexts)").fetchall()]
    values = dict.fromkeys(names, "''") | {
        "app_key": f"'{APP}'", "client_key": "'tenant-' || i", "version": "1", "position": "i + 1", "installed": "1",
        "enabled": "1", "disabled": "0", "base_url": "'https://site-' || i || '.atlassian.net'",
        "host": "'site-' || i || '.atlassian.net'", "installed_at": "'2026-01-01T00:00:00.000000Z'",
        "secret": "'s'", "secret_version": "1", "secret_position": "1", "previous_version": "0",
        "previous_position": "0",
    }  # fmt: skip
    database.execute(
        f"{NUMBERS} INSERT INTO security_contexts SELECT {', '.join(values[name] for name in names)} FROM n", [TENANTS]
    )
    for trigger in triggers:
        database.execute(trigger)
    database.execute("COMMIT")
    database.close()


def fill_decisions(path: Path, count: int, began: float) -> None:
    """Webhooks of all tenants, one in twenty refused, one in a hundred thousand an `installed`."""
    open_decisions(path)
    database = connect(path)
    reasons = (
        "CASE i % 80 WHEN 0 THEN 'signature_bad' WHEN 20 THEN 'qsh_mismatch' WHEN 40 THEN 'expired' "
        "ELSE 'token_missing' END"
    )
    database.execute("BEGIN")
    database.execute(
        f"{NUMBERS} INSERT INTO decisions SELECT i + 1, printf('%032x', i), {TIME}, "
        "iif(i % 100000 = 7, 'installed', 'webhook'), iif(i % 20 = 0, 'refused', 'accepted'), "
        f"iif(i % 20 = 0, {reasons}, ''), '', iif(i % 20 = 0, '', 'tenant-' || (i % {TENANTS})), "
        f"'tenant-' || (i % {TENANTS}), 'POST', '/webhooks/issue', iif(i % 20 = 0, 401, 200), 1.5, i % {TENANTS} + 1, "
        f"'wh-' || i, iif(i % 100000 = 7, 'kid-' || (i % 500), ''), '', '{FACTS}' FROM n",
        [count, began, DAYS * 86400 / count],
    )
    database.execute(
        "INSERT INTO counts SELECT substr(at, 1, 13), client_key, kind, verdict, reason, count(*), count(*) "
        "FROM decisions GROUP BY 1, 2, 3, 4, 5"
    )
    database.execute("COMMIT")
    database.close()


def asked(path: str, known: frozenset[str], **parameters: Any) -> Question:
    """A question as it would have come."""
    scope = {"method": "GET", "path": path, "query_string": urlencode(parameters).encode(), "headers": []}

    async def nothing() -> dict[str, Any]:
        return {}

    return Question(Call(scope, nothing), known)


EVENTS: list[dict[str, Any]] = [
    {}, {"tenant": "tenant-7"}, {"tenant": "site-7.atlassian.net"}, {"type": "enabled"}, {"type": "installed"},
    {"type": "erased"}, {"kid": "kid-3"}, {"kid": "nobody's"}, {"since": "28d"}, {"since": "1h"}, {"until": "27d"},
    {"since": "27d", "until": "26d"}, {"type": "installed", "since": "1d"}, {"type": "erased", "since": "27d"},
    {"tenant": "tenant-7", "since": "14d"}, {"tenant": "tenant-7", "type": "installed"}, {"at": "14d"},
    {"type": "erased", "at": "14d"}, {"position": 500}, {"kid": "kid-3", "since": "1d"}, {"limit": 1000},
]  # fmt: skip
DECISIONS: list[dict[str, Any]] = [
    {}, {"order": "newest"}, {"tenant": "tenant-7"}, {"tenant": "tenant-7", "verdict": "refused"},
    {"verdict": "accepted"}, {"verdict": "refused"}, {"reason": "qsh_mismatch"}, {"reason": "token_reused"},
    {"kind": "webhook"}, {"kind": "installed"}, {"kind": "sign"}, {"kind": "sign", "verdict": "refused"},
    {"claimed": "tenant-7"}, {"claimed": "nobody"}, {"claimed": "tenant-40", "verdict": "refused"},
    {"claimed": "tenant-7", "verdict": "accepted"}, {"identifier": "wh-999990"}, {"identifier": "nobody's"},
    {"identifier": "nobody's", "order": "newest"}, {"identifier": "wh-20", "verdict": "refused"},
    {"kid": "kid-7"}, {"kid": "nobody's"}, {"kid": "nobody's", "verdict": "accepted", "order": "newest"},
    {"since": "28d"}, {"since": "28d", "order": "newest"}, {"since": "1h"}, {"until": "27d"},
    {"until": "27d", "order": "newest"}, {"since": "14d", "until": "13d"}, {"since": "14d", "verdict": "refused"},
    {"since": "27d", "reason": "token_reused"}, {"since": "27d", "kind": "sign"}, {"at": "14d", "order": "newest"},
    {"tenant": "tenant-7", "since": "14d"}, {"tenant": "tenant-7", "kind": "installed"}, {"position": 500},
    {"tenant": "tenant-7", "identifier": "nobody's"}, {"limit": 1000},
]  # fmt: skip
COUNTS: list[dict[str, Any]] = [
    {"by": "reason"}, {"by": "tenant"}, {"by": "hour"}, {"by": "reason", "tenant": "tenant-7"},
    {"by": "reason", "since": "1d"},
]  # fmt: skip


def took(ask: Callable[[], object]) -> float:
    """Milliseconds of an answer, the least of five."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        ask()
        found.append((time.perf_counter() - began) * 1000)
    return min(found)


def _ask(page: Callable[[Question], Page], path: str, known: frozenset[str], parameters: dict[str, Any]) -> Page:
    return page(asked(path, known, **parameters))


def walked(
    page: Callable[..., Page], path: str, known: frozenset[str], parameters: dict[str, Any]
) -> tuple[int, float]:
    """How many pages a walk to the end takes, at most 1,000, and how long the longest of them took."""
    after: dict[str, str] = {}
    longest = 0.0
    for number in range(1, 1001):
        began = time.perf_counter()
        found = page(asked(path, known, **parameters, **after))
        longest = max(longest, (time.perf_counter() - began) * 1000)
        if found.next is None or len(found.items) == parameters.get("limit", 100):
            return number, longest
        after = {"after": found.next}
    return 1000, longest


def main(events: int, decisions: int, folder: Path) -> int:
    """Fills, asks and tells; how many answers were over the goal."""
    began, now = time.perf_counter(), time.time() - DAYS * 86400
    fill_events(folder / "events.db", events, now)
    fill_decisions(folder / "decisions.db", decisions, now)
    print(f"{events:,} events, {decisions:,} decisions, filled in {time.perf_counter() - began:.0f} s")
    log = SqliteLog(folder / "events.db", read_only=True)
    reads = SqliteDecisions(folder / "decisions.db", read_only=True)
    archive, over = Archive(log, reads, APP), 0
    routes: list[tuple[str, Callable[[Archive, Question], Page], frozenset[str], list[dict[str, Any]]]] = [
        ("/audit/events", event_page, EVENT_PARAMETERS, EVENTS),
        ("/audit/decisions", decision_page, DECISION_PARAMETERS, DECISIONS),
        ("/audit/decisions", counted, DECISION_PARAMETERS, COUNTS),
        ("/audit/tenants", tenant_page, TENANT_PARAMETERS, [{}, {"kid": "kid-3"}, {"position": 500}]),
    ]
    for path, page, known, filters in routes:
        for parameters in filters:
            asking = partial(page, archive)
            ms = took(partial(_ask, asking, path, known, parameters))
            pages, longest = walked(asking, path, known, parameters) if path.endswith("decisions") else (1, 0.0)
            over += ms > GOAL_MS
            more = f"  to the first full page or the end: {pages} pages, the longest {longest:.0f} ms" * (pages > 1)
            print(f"{'OVER ' if ms > GOAL_MS else '     '}{ms:9.1f} ms  {path}?{urlencode(parameters)}{more}")
    now_text = stored_at(time.time())
    refused = reads.page(limit=20_000)[0].decision
    for name, ask in (
        ("diagnose", lambda: diagnose(archive.case("tenant-7", stored_at(time.time() - 43200), now_text))),
        ("diagnose 28d", lambda: diagnose(archive.case("tenant-7", stored_at(now), now_text))),
        ("explain", lambda: explain(archive.known(refused))),
        ("measured", lambda: archive.measured(stored_at(now), stored_at(time.time() - 7 * 86400))),
    ):
        print(f"     {took(ask):9.1f} ms  {name}")
    log.close()
    reads.close()
    return over


if __name__ == "__main__":
    sizes = [int(text) for text in sys.argv[1:3]] or [1_000_000, 1_000_000]
    with tempfile.TemporaryDirectory() as name:
        late = main(sizes[0], sizes[-1], Path(name))
    print(f"{late} first pages over {GOAL_MS:.0f} ms")
