"""The reading room: events, contexts and decisions together, as audit questions need them, now or as of then.

Built by whoever opens the store (the command line, or a server's worker for `/audit`), on read-only connections of its
own and used by one thread at a time. It gathers; what is made of it are the pure functions beside it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, Protocol

from tenure.domain.alarms import Alarm, AlarmFilter
from tenure.domain.decisions import Count, Decision, Stored, Wanted
from tenure.domain.events import OPERATORS, Event, Operated
from tenure.domain.ports import Transaction
from tenure.domain.questions import EventFilter
from tenure.domain.tenant import Tenant, fold_stream
from tenure.projections import tenants
from tenure.projections.case import CALLS, STARTED, Case
from tenure.projections.explain import Known
from tenure.projections.measured import Measured, Measures, measure
from tenure.projections.settings import policy_of

By = Literal["reason", "tenant", "hour"]
CALLS_READ = 5000
ELSEWHERE_READ = 2000


class Events(Protocol):
    """The log's reading end."""

    @property
    def connection(self) -> Transaction: ...

    def read(
        self, *, client_key: str | None = ..., kind: str | None = ..., since: str | None = ...,
        until: str | None = ..., kid: str | None = ..., after: int = ..., limit: int = ...,
    ) -> Iterator[Event]: ...  # fmt: skip

    def stored(
        self, *, client_key: str | None = ..., kind: str | None = ..., since: str | None = ...,
        until: str | None = ..., kid: str | None = ..., after: int = ...,
    ) -> Iterator[dict[str, Any]]: ...  # fmt: skip

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]: ...

    def head(self) -> tuple[int, str]: ...

    def position_at(self, time: str) -> int: ...

    def kid_tenants(self, kid: str) -> list[str]: ...


class Alarms(Protocol):
    """The alarms' reading end."""

    def page(self, chosen: AlarmFilter | None = None, *, after: int = 0, limit: int = 100) -> list[Alarm]: ...

    def last_number(self) -> int: ...


class Decisions(Protocol):
    """The decision log's reading end; `number` is the order of commits."""

    def page(
        self, wanted: Wanted | None = None, *, after: int | None = None, limit: int = 100, newest_first: bool = True
    ) -> list[Stored]: ...

    def all(self, wanted: Wanted | None = None, *, after: int = 0, chunk: int = 500) -> Iterator[Stored]: ...

    def walk(
        self, wanted: Wanted, *, after: int | None = None, limit: int = 100, newest_first: bool = True
    ) -> tuple[list[Stored], int | None]: ...

    def one(self, decision: str) -> Stored | None: ...

    def last_number(self) -> int: ...

    @property
    def measures(self) -> Measures: ...

    @property
    def alarms(self) -> Alarms: ...

    def counts(self, by: By, wanted: Wanted | None = None) -> list[Count]: ...

    def total(self, wanted: Wanted | None = None) -> Count: ...

    def size(self) -> tuple[int, int]: ...

    def oldest(self) -> str: ...


class Archive:
    """Gathers what a question needs; of one app, if it is of one."""

    def __init__(self, events: Events, decisions: Decisions, app_key: str | None = None) -> None:
        self.events = events
        self.decisions = decisions
        self._app_key = app_key
        self._deciding: dict[str, dict[str, Any]] = {}

    def read(self, chosen: EventFilter, after: int, limit: int) -> Iterator[Event]:
        """Events behind a position, oldest first."""
        return self.events.read(
            client_key=chosen.client_key, kind=chosen.type, since=chosen.since, until=chosen.until, kid=chosen.kid,
            after=after, limit=limit,
        )  # fmt: skip

    def stored(self, chosen: EventFilter, after: int) -> Iterator[dict[str, Any]]:
        """The same, to the end, each as its stored columns."""
        return self.events.stored(
            client_key=chosen.client_key, kind=chosen.type, since=chosen.since, until=chosen.until, kid=chosen.kid,
            after=after,
        )  # fmt: skip

    def find(self, name: str) -> list[Tenant]:
        """Every tenant of a name, newest first; of the one app, if the archive is of one."""
        found = tenants.find(self.events.connection, name)
        return [tenant for tenant in found if self._app_key in (None, tenant.app_key)]

    def every_decision(self, wanted: Wanted, client_key: str | None = None) -> Iterator[Stored]:
        """All decisions wanted that are kept; of one client key, first those proved to be its, then those claimed."""
        if client_key is None:
            yield from self.decisions.all(wanted)
            return
        yield from self.decisions.all(replace(wanted, client_key=client_key))
        if wanted.verdict != "accepted":
            claimed = replace(wanted, claimed_client_key=client_key, verdict="refused")
            found = self.decisions.all(claimed)
            yield from (stored for stored in found if stored.decision.client_key != client_key)

    def tenants(self, after: str, limit: int, keys: list[str] | None = None) -> list[Tenant]:
        """Tenants by client key, behind one; `keys`: only these."""
        return tenants.page(self.events.connection, self._app_key, after, limit, keys)

    def tenant_at(self, tenant: Tenant, position: int | None) -> Tenant | None:
        """The tenant as of a position (None: now)."""
        if position is None:
            return tenant
        return fold_stream(self.events.stream(tenant.app_key, tenant.client_key, position))

    def history(self, client_key: str) -> tuple[Event, ...]:
        """The whole stream of a client key, of the one app if the archive is of one."""
        found = self.events.read(client_key=client_key) if client_key else iter(())
        return tuple(event for event in found if self._app_key in (None, event.app_key))

    def siblings(self, tenant: Tenant | None) -> tuple[Tenant, ...]:
        """Other tenants of the same baseUrl, newest first."""
        if tenant is None or not tenant.base_url:
            return ()
        same = [other for other in self.find(tenant.base_url) if other.base_url == tenant.base_url]
        return tuple(other for other in same if other.client_key != tenant.client_key)

    def known(self, decision: Decision) -> Known:
        """What explaining a decision needs."""
        claimed = decision.claimed_client_key or decision.client_key
        mine = (
            next((tenant for tenant in self.find(claimed) if tenant.client_key == claimed), None) if claimed else None
        )
        found = self.deciding(decision.facts.settings)
        policy = policy_of(found) if found else None
        return Known(decision, self.history(claimed), self.siblings(mine), policy, found.get("base_path", ""))

    def deciding(self, digest: str) -> dict[str, Any]:
        """The settings of a digest, as a start of the service told them; empty if they are not known."""
        if digest and digest not in self._deciding:
            for event in self._started():
                if isinstance(event.data, Operated):
                    told = event.data.particulars
                    self._deciding[str(told.get("settings"))] = told.get("deciding") or {}
        return self._deciding.get(digest, {})

    def _started(self, until: str | None = None) -> Iterator[Event]:
        return self.events.read(client_key=OPERATORS, kind=STARTED, until=until)

    def measured(self, since: str, quiet_since: str) -> Measured:
        """What vendors are measured on."""
        return measure(self.decisions.measures, self.tenants("", -1), since, quiet_since)

    def case(self, name: str, since: str, now: str) -> Case:
        """What diagnosing a site needs; of several tenants of one name, the newest."""
        found = self.find(name)
        newest = max(found, key=lambda tenant: (tenant.installed, tenant.installed_at), default=None)
        key = newest.client_key if newest else name
        calls = self._calls(key, since, now)
        mine = {call.decision for call in calls}
        refused = self._page(Wanted(verdict="refused", since=since, until=now), ELSEWHERE_READ)
        accepted = self._page(Wanted(verdict="accepted", since=since, until=now), ELSEWHERE_READ)
        operators = {event.position: event for event in self.events.read(client_key=OPERATORS, since=since, until=now)}
        # the start before this time as well: only against it can another one be seen to have other settings
        before = [event for event in self._started(until=now) if event.recorded_at < since][-1:]
        operators |= {event.position: event for event in before}
        return Case(
            name=name,
            since=since,
            now=now,
            tenant=newest,
            history=tuple(event for event in self.history(key) if event.recorded_at <= now),
            calls=calls,
            last_accepted=self._last_accepted(key, now),
            siblings=self.siblings(newest),
            elsewhere=tuple(call for call in refused if call.decision not in mine and call.claimed_client_key),
            others=len([call for call in accepted if call.client_key != key and call.kind in CALLS]),
            around=tuple(operators[position] for position in sorted(operators)),
        )

    def _calls(self, key: str, since: str, now: str) -> tuple[Decision, ...]:
        # a refused call proves nobody, so that it is found by what it claimed
        proved = Wanted(client_key=key, since=since, until=now)
        claimed = Wanted(claimed_client_key=key, verdict="refused", since=since, until=now)
        found = {
            stored.number: stored.decision
            for wanted in (proved, claimed)
            for stored in self.decisions.page(wanted, limit=CALLS_READ)
        }
        return tuple(found[number] for number in sorted(found) if found[number].kind in CALLS)

    def _page(self, wanted: Wanted, limit: int) -> list[Decision]:
        found = self.decisions.page(wanted, limit=limit)
        return [stored.decision for stored in reversed(found) if stored.decision.kind in CALLS]

    def _last_accepted(self, key: str, now: str) -> Decision | None:
        wanted = Wanted(client_key=key, verdict="accepted", until=now)
        found = (stored.decision for stored in self.decisions.page(wanted, limit=50))
        return next((call for call in found if call.kind in CALLS), None)
