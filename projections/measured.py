"""What vendors are measured on, and what is easily overlooked: rates, twins, silence, and what strangers try.

Atlassian counts a callback or a webhook as good if it is answered 200 or 204, over 28 days, and asks for 99 % of
installation callbacks. Calls that anybody can send (no token, a bad signature, an unknown key) are not Atlassian's:
they are counted apart, and the rate is told without them; each failure is listed, so that a person can judge. The
numbers are exact, also under a flood, and begin with the hour; the lists are of what was kept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tenure.domain.questions import Attempt, StatusCount
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Standing, Tenant, standing

GOOD = frozenset((200, 204))
GOAL = 0.99
FAILURES_SHOWN = 100
SCANNER_KID = "fake-kid"
STRANGERS = frozenset(
    (Reason.TOKEN_MISSING, Reason.TOKEN_MALFORMED, Reason.TOKEN_AMBIGUOUS, Reason.TOKEN_TOO_LARGE,
     Reason.ALGORITHM_NOT_ALLOWED, Reason.KID_MALFORMED, Reason.KID_UNKNOWN, Reason.SIGNATURE_BAD,
     Reason.CLAIM_MISSING, Reason.CLAIM_MALFORMED, Reason.TENANT_UNKNOWN, Reason.TOKEN_REUSED)
)  # fmt: skip


class Measures(Protocol):
    """Summaries of the decision log."""

    def by_status(self, kinds: Sequence[str], since: str) -> list[StatusCount]: ...

    def active(self, since: str) -> set[str]: ...

    def last_accepted(self, client_key: str) -> str: ...

    def failures(self, kind: str, since: str, strangers: Sequence[str], limit: int) -> list[dict[str, Any]]: ...

    def attempts(self, since: str, reasons: Sequence[str], limit: int) -> list[Attempt]: ...


@dataclass(frozen=True, slots=True)
class Rate:
    """`rate` is good / (good + failed), None without any; `strangers` are counted apart. `failures`: the newest."""

    good: int
    failed: int
    strangers: int
    rate: float | None
    met: bool | None
    failures: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Twins:
    """Tenants of one baseUrl under several client keys, oldest first: each but the last is a predecessor."""

    base_url: str
    client_keys: tuple[str, ...]
    installed_at: tuple[str, ...]
    successor: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """A live tenant whose last accepted call is long ago (empty: none is kept)."""

    client_key: str
    base_url: str
    last_accepted: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The whole report."""

    since: str
    installs: Rate
    webhooks: Rate
    twins: tuple[Twins, ...]
    quiet: tuple[Quiet, ...]
    scanner: tuple[Attempt, ...]
    strangers: tuple[Attempt, ...]


def measure(measures: Measures, tenants: Iterable[Tenant], since: str, quiet_since: str) -> Measured:
    """The report over the decisions since a time; tenants are quiet whose last accepted call is before another."""
    counts, known = measures.by_status(("installed", "webhook"), since), list(tenants)
    attempts = measures.attempts(since, sorted(STRANGERS), 200)
    return Measured(
        since=since,
        installs=_rate("installed", counts, measures, since),
        webhooks=_rate("webhook", counts, measures, since),
        twins=twins(known),
        quiet=quiet(known, measures, quiet_since),
        scanner=tuple(one for one in attempts if one.kid == SCANNER_KID),
        strangers=tuple(one for one in attempts if one.kid != SCANNER_KID),
    )


def _rate(kind: str, counts: Iterable[StatusCount], measures: Measures, since: str) -> Rate:
    counted: Counter[str] = Counter()
    for count in counts:
        # 0: passed on, and the app's own receiver has not answered yet
        if count.kind == kind and count.status:
            counted[_class(count)] += count.times
    good, failed = counted["good"], counted["failed"]
    rate = good / (good + failed) if good + failed else None
    failures = measures.failures(kind, since, sorted(STRANGERS), FAILURES_SHOWN) if failed else []
    return Rate(good, failed, counted["strangers"], rate, None if rate is None else rate >= GOAL, tuple(failures))


def _class(count: StatusCount) -> str:
    if count.status in GOOD:
        return "good"
    return "strangers" if count.reason in STRANGERS else "failed"


def twins(tenants: Iterable[Tenant]) -> tuple[Twins, ...]:
    """Tenants that share a baseUrl, as a site import leaves them."""
    by_url: dict[str, list[Tenant]] = {}
    for tenant in tenants:
        if tenant.base_url:
            by_url.setdefault(tenant.base_url, []).append(tenant)
    found = []
    for url, group in sorted(by_url.items()):
        if len(group) > 1:
            ordered = sorted(group, key=lambda tenant: tenant.installed_at)
            keys = tuple(tenant.client_key for tenant in ordered)
            found.append(Twins(url, keys, tuple(tenant.installed_at for tenant in ordered), keys[-1]))
    return tuple(found)


def quiet(tenants: Iterable[Tenant], measures: Measures, before: str) -> tuple[Quiet, ...]:
    """Live tenants installed and last accepted before a time, the longest silent first."""
    active = measures.active(before)
    found = [
        Quiet(tenant.client_key, tenant.base_url, measures.last_accepted(tenant.client_key))
        for tenant in tenants
        if standing(tenant) is Standing.LIVE and tenant.installed_at < before and tenant.client_key not in active
    ]
    return tuple(sorted((one for one in found if one.last_accepted < before), key=lambda one: one.last_accepted))
