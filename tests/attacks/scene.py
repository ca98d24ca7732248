"""Where an attack happens: a running service, an honest site, a stranger with a site of his own, and a trap.

The stranger knows every public fact, has what he captured on the wire and a site of his own; never the victim's secret.
The trap is a server of his that would give out his own key: whoever asks it for anything has done what he wanted.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.house import House, raw_exchange
from tenure.domain import qsh
from tenure.domain.decisions import Decision
from tenure.domain.tenant import Tenant
from tenure.projections import tenants
from tenure.simulator import tokens
from tenure.simulator.attacker import Attacker
from tenure.simulator.keyhost import Answer, Loopback, Pairs
from tenure.simulator.site import Site
from tenure.store.decisions import SqliteDecisions
from tenure.store.sqlite import SqliteLog

RS: Final = ("installed", "uninstalled")
HS: Final = ("enabled", "disabled", "webhook", "page")
ROUTES: Final = (*RS, *HS)
UNKNOWN_KID: Final = "a-kid-that-no-host-knows"

Headers = Sequence[tuple[str, str]]


class Trap(Loopback):
    """The stranger's server: a key of his at every path, and a note of each request."""

    def __init__(self, pem: bytes) -> None:
        self._pem = pem
        self.requests: list[str] = []
        super().__init__()

    def respond(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        self.requests.append(f"{method} {path}")
        return Answer(200, self._pem)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for the bytes sent: every answer's status, the last one's decision, and all of the bytes."""

    statuses: tuple[int, ...]
    raw: bytes

    @property
    def status(self) -> int:
        return self.statuses[-1] if self.statuses else 0


@dataclass(frozen=True, slots=True)
class View:
    """What an attack must leave as it was, and the place in the decision log it starts from."""

    head: tuple[int, str]
    tenant: Tenant | None
    number: int
    received: int
    trapped: int
    asked: int


@dataclass
class Scene:
    """One group's service and its people. `sent`: the signatures and secrets that must not be found anywhere."""

    house: House
    trap: Trap
    victim: Site
    rival: Site
    gone: Site
    attacker: Attacker
    sent: list[str] = field(default_factory=list)
    view: View | None = None

    @classmethod
    def set(cls, folder: Path, settings: Mapping[str, str], *arguments: str) -> "Scene":
        """A service with its people, in `folder`."""
        house = House(folder, settings, *arguments)
        victim, rival, gone = house.installed(), house.installed(), house.installed()
        assert gone.uninstall().status == 204
        attacker = Attacker(victim)
        scene = cls(house, Trap(tokens.public_pem(attacker.key)), victim, rival, gone, attacker)
        scene.sent += [site.secret for site in (victim, rival, gone)] + [attacker.secret]
        scene._log = SqliteLog(folder / "events.db", read_only=True)
        scene._decisions = SqliteDecisions(folder / "decisions.db", read_only=True)
        return scene

    _log: SqliteLog = field(init=False)
    _decisions: SqliteDecisions = field(init=False)

    def close(self) -> None:
        """Ends all of it."""
        self._log.close()
        self._decisions.close()
        self.trap.close()
        self.house.close()

    def crash(self) -> None:
        """kill -9, and a new process on the same store; the sites call where it listens now."""
        self.house.restart(kill=True)
        for name in ("victim", "rival", "gone"):
            setattr(self, name, self.house.again(getattr(self, name)))
        self.attacker.site = self.victim

    # -- looking

    def begin(self) -> View:
        """The state of things now; an attack that has honest calls for a prelude begins again behind them."""
        found = tenants.find(self._log.connection, self.victim.client_key)
        newest = self._decisions.page(limit=1)
        self.view = View(
            head=self._log.head(),
            tenant=found[0] if found else None,
            number=newest[0].number if newest else 0,
            received=len(self.house.receiver.received),
            trapped=len(self.trap.requests),
            asked=len(self.house.keys.requests),
        )
        return self.view

    def decisions(self, after: int) -> list[Decision]:
        """The decisions recorded behind a number."""
        return [stored.decision for stored in self._decisions.page(after=after, limit=200, newest_first=False)]

    def recorded(self, after: int, count: int) -> list[Decision]:
        """As `decisions`, once there are so many, or after 2 s: the record of a call cut off comes late."""
        ends = time.monotonic() + 2
        while len(found := self.decisions(after)) < count and time.monotonic() < ends:
            time.sleep(0.005)
        return found

    # -- sending

    def raw(self, request: bytes, *, internal: bool = False) -> Reply:
        """Bytes as they are; the request should say that it wants the connection closed."""
        url = self.house.service.internal_url if internal else self.house.url
        raw = raw_exchange(url, request)
        return Reply(tuple(int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)), raw)

    def call(self, method: str, target: str, headers: Headers = (), body: bytes = b"", internal: bool = False) -> Reply:
        """One request, target and headers as they are."""
        lines = [f"{method} {target} HTTP/1.1", "Host: app.example.com", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join((*lines, "", "")).encode("latin-1", "replace") + body, internal=internal)

    def path(self, route: str) -> str:
        """The path of a route as it is asked for."""
        return "/page" if route == "page" else self.victim.base_path + self.victim.paths[_kind(route)]

    def claims(self, route: str, **more: Any) -> dict[str, Any]:
        """What an honest token of the victim for this route says, with some replaced."""
        site, now = self.victim, int(self.victim.clock())
        method, path = ("GET", "/page") if route == "page" else ("POST", site.paths[_kind(route)])
        alg = "RS256" if route in RS else "HS256"
        base: dict[str, Any] = {"iss": site.client_key, "iat": now, "exp": now + tokens.LIFETIMES[alg]}
        base["qsh"] = qsh.request_hash(method, path, "")
        base["jti"] = tokens.new_secret()
        if alg == "RS256":
            base["aud"] = site.audience
        return tokens.merged(base, more)

    def honest(self, route: str, header: Mapping[str, Any] | None = None, **more: Any) -> str:
        """A token with a signature that holds: by the victim's secret, or by Atlassian's key."""
        if route in RS:
            return self.by_key(self.claims(route, **more), header)
        return tokens.hs256(self.claims(route, **more), self.victim.secret, header)

    def by_key(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Claims signed by Atlassian's key."""
        return tokens.rs256(claims, self.victim.key_host.private_key(self.victim.kid), self.victim.kid, header)

    def raw_honest(self, route: str, header: bytes, payload: bytes) -> str:
        """Raw header and claims under a signature that holds."""
        if route in RS:
            return tokens.raw_rs256(header, payload, self.victim.key_host.private_key(self.victim.kid))
        return tokens.raw_hs256(header, payload, self.victim.secret)

    def forged(self, route: str, header: Mapping[str, Any] | None = None, **more: Any) -> str:
        """A token by the stranger's own secret, or own key under the victim's kid unless the header says another."""
        if route in RS:
            full = {"kid": self.victim.kid, **(header or {})}
            return tokens.rs256(self.claims(route, **more), self.attacker.key, None, tokens.merged(full, {}))
        return tokens.hs256(self.claims(route, **more), self.attacker.secret, header)

    def body(self, route: str, **more: Any) -> dict[str, Any]:
        """The victim's body for a lifecycle route; of an `installed` with the stranger's secret in it."""
        extra = {"sharedSecret": self.attacker.secret} if route == "installed" else {}
        return self.victim.lifecycle_body(route, {**extra, **more})

    def deliver(
        self,
        route: str,
        token: str | None,
        *,
        body: bytes | None = None,
        headers: Headers = (),
        query: str = "",
        scheme: str = "JWT ",
    ) -> Reply:
        """A token to a route, in the Authorization header."""
        if token is not None:
            self.sent.append(token.rpartition(".")[2])
            headers = (("Authorization", f"{scheme}{token}"), *headers)
        target = self.path(route) + (f"?{query}" if query else "")
        if route == "page":
            asked = (("X-Original-Method", "GET"), ("X-Original-URI", target), *headers)
            return self.call("GET", "/forward-auth", asked, internal=True)
        if body is None:
            body = b'{"webhookEvent":"jira:issue_deleted"}' if route == "webhook" else tokens.to_json(self.body(route))
        return self.call("POST", target, headers, body)


def _kind(route: str) -> str:
    return "webhooks" if route == "webhook" else route
