"""Any sequence of lifecycle calls and traffic does what a six-line model says, in memory and over HTTP alike."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tenure.domain.callbacks import Callback
from tenure.domain.check import Evidence, Match, Policy, Purpose, check
from tenure.domain.events import Event, EventType, Installed, Switched
from tenure.domain.lifecycle import Proof, decide
from tenure.domain.refusals import Refused
from tenure.domain.tenant import Tenant, evolve
from tenure.domain.token import Token
from tenure.service import Service
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.site import Site
from tenure.store.vault import new_master_key

APP = "com.example.machine"
NOW = 2_000_000_000


class Driver(Protocol):
    """One tenant's way in. Each call gives the status; secrets are numbered."""

    def install(self, secret: int) -> int: ...

    def switch(self, callback: Callback, secret: int) -> int: ...

    def traffic(self, secret: int) -> int: ...

    def history(self) -> list[str]: ...


class InMemory:
    """The pure rules alone: decide, evolve and check, over a list."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._tenant: Tenant | None = None

    def install(self, secret: int) -> int:
        return self._call(
            Callback.INSTALLED, Proof.RS256, Installed("https://a.atlassian.net", f"s{secret}", f"{secret}")
        )

    def switch(self, callback: Callback, secret: int) -> int:
        if callback is Callback.UNINSTALLED:
            return self._call(callback, Proof.RS256, Switched())
        if self._tenant is not None and self._match(secret) is not Match.CURRENT:
            return 401
        return self._call(callback, Proof.HS256, Switched())

    def _call(self, callback: Callback, proof: Proof, data: Installed | Switched) -> int:
        try:
            kind = decide(callback, proof, self._tenant, legacy=False)
        except Refused:
            return 401
        if kind is not None:
            self._append(kind, data)
        return 204

    def _append(self, kind: EventType, data: Installed | Switched) -> None:
        number = len(self._events) + 1
        event = Event(number, number, kind, APP, "t", "2033-05-18T03:33:20.000000Z", {}, None, data, "", "")
        self._events.append(event)
        self._tenant = evolve(self._tenant, event)

    def _match(self, secret: int) -> Match:
        assert self._tenant is not None
        if self._tenant.secret.fingerprint == f"{secret}":
            return Match.CURRENT
        previous = self._tenant.previous
        return Match.PREVIOUS if previous and previous.fingerprint == f"{secret}" else Match.NONE

    def traffic(self, secret: int) -> int:
        token = Token("HS256", None, "t", NOW, NOW + 60, None, None, "q", None, b"", b"")
        match = self._match(secret) if self._tenant else Match.NONE
        verdict = check(Evidence(Purpose.TRAFFIC, token, match, ("q",)), self._tenant, Policy(frozenset()), NOW)
        if verdict.retry:
            return 425
        return 401 if verdict.reason else 200

    def history(self) -> list[str]:
        return [event.type for event in self._events]


class OverHttp:
    """A simulated site against a real serve."""

    service: ClassVar[Service]
    keys: ClassVar[KeyHost]
    log: ClassVar[Path]

    def __init__(self) -> None:
        self.site = Site("https://app.example.com", app_key=APP, key_host=self.keys, connect_url=self.service.url)
        self._secrets = [f"secret-{number}-of-{self.site.client_key}" for number in range(4)]

    def install(self, secret: int) -> int:
        return self.site.install(self._secrets[secret]).status

    def switch(self, callback: Callback, secret: int) -> int:
        options: dict[str, Any] = {} if callback is Callback.UNINSTALLED else {"secret": self._secrets[secret]}
        return int(getattr(self.site, callback.value.removesuffix("d") if callback is not Callback.UNINSTALLED
                           else "uninstall")(**options).status)  # fmt: skip

    def traffic(self, secret: int) -> int:
        token = self.site.page_token("GET", "/page", secret=self._secrets[secret])
        headers = {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}"}
        return httpx.get(f"{self.service.internal_url}/forward-auth", headers=headers, trust_env=False).status_code

    def history(self) -> list[str]:
        database = sqlite3.connect(f"file:{self.log}?mode=ro", uri=True)
        try:
            sql = "SELECT type FROM events WHERE client_key = ? ORDER BY version"
            return [row[0] for row in database.execute(sql, (self.site.client_key,))]
        finally:
            database.close()


class Lifecycle(RuleBasedStateMachine):
    """The model: standing, current and previous secret, and the events that must be there."""

    driver_type: ClassVar[type[InMemory] | type[OverHttp]]

    @initialize()
    def given_nobody(self) -> None:
        self.driver: Driver = self.driver_type()
        self.known = self.live = False
        self.current = self.previous = -1
        self.events: list[str] = []

    @rule(secret=st.integers(0, 3))
    def installed(self, secret: int) -> None:
        assert self.driver.install(secret) == 204
        if self.known and secret != self.current:
            self.previous = self.current
        self.known, self.live, self.current = True, True, secret
        self.events.append("installed")

    @rule()
    def uninstalled(self) -> None:
        assert self.driver.switch(Callback.UNINSTALLED, 0) == 204
        if self.live:
            self.events.append("uninstalled")
        self.live = False

    @rule(callback=st.sampled_from((Callback.ENABLED, Callback.DISABLED)), secret=st.integers(0, 3))
    def switched(self, callback: Callback, secret: int) -> None:
        believed = self.known and secret == self.current
        assert self.driver.switch(callback, secret) == (204 if believed else 401)
        if believed and self.live:
            self.events.append(callback.value)

    @rule(secret=st.integers(0, 3))
    def traffic(self, secret: int) -> None:
        expected = 401
        if self.live and secret == self.current:
            expected = 200
        elif self.live and secret == self.previous:
            expected = 425
        assert self.driver.traffic(secret) == expected

    @invariant()
    def the_log_is_the_history(self) -> None:
        if hasattr(self, "driver"):
            assert self.driver.history() == self.events


def test_any_history_in_memory() -> None:
    """Over the pure rules alone, every sequence ends as the model says."""

    class Machine(Lifecycle):
        driver_type = InMemory

    run_state_machine_as_test(Machine, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))


@pytest.fixture
def over_http(tmp_path: Path) -> Iterator[type[OverHttp]]:
    environment = {"APP_KEY": APP, "BASE_URL": "https://app.example.com", "MASTER_KEY": new_master_key()}
    with KeyHost() as keys:
        environment |= {"INSTALL_KEYS_URL": keys.url, "FORWARD_AUTH": "nginx"}
        with Service(tmp_path, environment) as service:
            OverHttp.service, OverHttp.keys, OverHttp.log = service, keys, tmp_path / "events.db"
            yield OverHttp


def test_any_history_over_http(over_http: type[OverHttp]) -> None:
    """Over HTTP, against a real serve and its log, every sequence ends as the model says."""

    class Machine(Lifecycle):
        driver_type = over_http

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
