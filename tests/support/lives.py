"""A site's life told by pure functions alone: what it does becomes events and decisions, as the service makes them.

Verdicts come from `check`, changes from `describe_change`, states from `evolve`: nothing is set by hand but what is
sent. The clock is what the life says it is; `off` puts our own wrong by so many seconds.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from tenure.domain.alarms import (
    AlarmKind,
    Passed,
    Watch,
    due,
    left,
    refusal,
    refused_install,
    rotated,
    still,
    with_refusal,
)
from tenure.domain.callbacks import Payload, Site
from tenure.domain.check import Evidence, Match, Policy, Purpose, Verdict, check
from tenure.domain.decisions import Decision, Facts
from tenure.domain.events import Changed, Data, Erased, Event, Installed, Operated, Switched
from tenure.domain.lifecycle import describe_change
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant, evolve
from tenure.domain.times import stored_at
from tenure.domain.token import Token
from tenure.projections.case import Case, is_proof

APP, HOME = "com.example.app", "https://app.example.com"
BEGAN = 1_767_225_600.0
WINDOW_S = 12 * 3600
RIGHT, WRONG = "a" * 64, "f" * 64
SETTINGS = {"audiences": [HOME], "base_path": ""}


@dataclass
class World:
    """The clock, the log and the decision log that lives share."""

    now: float = BEGAN
    off: float = 0.0
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    policy: Policy = field(default_factory=lambda: Policy(frozenset((HOME,))))

    @property
    def ours(self) -> float:
        """What our clock says."""
        return self.now + self.off

    def append(self, client_key: str, kind: str, data: Data, changed: Changed | None = None) -> Event:
        """One more event."""
        version = sum(1 for event in self.events if event.client_key == client_key) + 1
        at = stored_at(self.ours)
        made = Event(len(self.events) + 1, version, kind, APP, client_key, at, {}, changed, data, "", "")
        self.events.append(made)
        return made

    def started(self, **settings: object) -> None:
        """The service starts (again)."""
        particulars = {"settings": "d", "deciding": {**SETTINGS, **settings}}
        self.append("", "operator.started", Operated("root", "host", particulars))

    def decide(self, kind: str, claimed: str, proved: str, verdict: Verdict, status: int, facts: Facts,
               read_position: int = 0, took_ms: float = 1.0) -> Decision:  # fmt: skip
        """One more decision."""
        made = Decision(
            f"d-{len(self.decisions) + 1}", stored_at(self.ours), kind, "refused" if verdict.reason else "accepted",
            verdict.reason.value if verdict.reason else "", verdict.detail, proved, claimed, "POST", f"/{kind}", status,
            took_ms, read_position, facts,
        )  # fmt: skip
        self.decisions.append(made)
        return made


class Life:
    """One site. `secret` is what it signs with, `known` what the service believes."""

    def __init__(self, world: World, client_key: str = "tenant-1") -> None:
        self.world = world
        self.client_key = client_key
        self.base_url = f"https://{client_key}.atlassian.net"
        self.secret = ""
        self.known: Tenant | None = None
        self.identifier = 0
        self.clock_off = 0.0

    def _append(self, kind: str, data: Data, changed: Changed | None = None) -> None:
        self.known = evolve(self.known, self.world.append(self.client_key, kind, data, changed))

    def _token(self, alg: str = "HS256", qsh: str = RIGHT, aud: tuple[str, ...] | None = None) -> Token:
        made = int(self.world.now + self.clock_off)
        return Token(alg, "kid" if alg == "RS256" else None, self.client_key, made, made + 180, None, aud, qsh, None,
                     b"", b"")  # fmt: skip

    def _match(self) -> Match:
        if self.known is None or not self.secret:
            return Match.NONE
        if self.known.secret.fingerprint == self.secret:
            return Match.CURRENT
        previous = self.known.previous
        return Match.PREVIOUS if previous and previous.fingerprint == self.secret else Match.NONE

    def _facts(self, token: Token, match: Match, retry: bool, **more: object) -> Facts:
        facts = Facts(
            purpose="traffic", now=self.world.ours, alg=token.alg, iat=token.iat, exp=token.exp, qsh=token.qsh,
            aud=token.aud, expected_qsh=(RIGHT,), match=match.value, retry=retry,
            token_mark=f"mark-{len(self.world.decisions)}",
        )  # fmt: skip
        return replace(facts, **more)  # type: ignore[arg-type]

    # -- lifecycle

    def install(self, *, secret: str = "", base_url: str = "", verdict: Verdict | None = None, aud: str = HOME,
                gone: bool = False, took_ms: float = 1.0, taken: bool = True) -> Decision:  # fmt: skip
        """`installed` with this secret (empty: the same); what `verdict` refuses becomes no event. With `taken` off the
        site goes on with the secret it had."""
        token = self._token("RS256", aud=(aud,))
        evidence = Evidence(Purpose.LIFECYCLE, token, Match.CURRENT, (RIGHT,), self.client_key)
        found = verdict or check(evidence, self.known, self.world.policy, self.world.ours)
        fresh, url = secret or self.secret, base_url or self.base_url
        if found.reason is None:
            payload = Payload(self.client_key, "", fresh.encode(), Site(url))
            changed = describe_change(self.known, payload, fresh)
            self._append("installed", Installed(url, f"sealed-{fresh}", fresh), changed)
            self.secret, self.base_url = (fresh if taken else self.secret), url
        status = 204 if found.reason is None else 503 if found.reason is Reason.KEY_UNAVAILABLE else 401
        proved = "" if found.reason else self.client_key
        facts = self._facts(token, Match.CURRENT, False, gone=gone)
        return self.world.decide("installed", self.client_key, proved, found, status, facts, 0, took_ms)

    def switch(self, kind: str) -> None:
        """`enabled`, `disabled` or `uninstalled`, believed."""
        self._append(kind, Switched())
        facts = self._facts(self._token(), Match.CURRENT, False)
        position = self.known.position if self.known else 0
        self.world.decide(kind, self.client_key, self.client_key, Verdict(), 204, facts, position)

    def erase(self) -> None:
        """The tenant is forgotten."""
        self._append("erased", Erased("tenure", "host", "key"))

    # -- traffic

    def call(self, *, kind: str = "webhook", secret: str | None = None, qsh: str = RIGHT, status: int = 200,
             **more: object) -> Decision:  # fmt: skip
        """A call signed with the site's secret, or another."""
        mine, self.secret = self.secret, self.secret if secret is None else secret
        token, match = self._token(qsh=qsh), self._match()
        self.secret = mine
        found = check(Evidence(Purpose.TRAFFIC, token, match, (RIGHT,)), self.known, self.world.policy, self.world.ours)
        self.identifier += 1
        facts = self._facts(token, match, found.retry, identifier=f"wh-{self.identifier}", **more)
        late = found.reason in (None, Reason.QSH_MISMATCH, Reason.TENANT_UNINSTALLED)
        proved = self.client_key if late and match is Match.CURRENT else ""
        code = (425 if found.retry else 401) if found.reason else status
        position = self.known.position if self.known else 0
        return self.world.decide(kind, self.client_key, proved, found, code, facts, position)

    def stranger(self, reason: Reason, kind: str = "webhook") -> None:
        """Somebody else names this site, and is refused."""
        facts = Facts(token_mark=f"stranger-{len(self.world.decisions)}", match="none")
        self.world.decide(kind, self.client_key, "", Verdict(reason), 401, facts)

    # -- asking

    def case(self, since_s: float = WINDOW_S, others: tuple["Life", ...] = ()) -> Case:
        """What the archive would gather now."""
        now, since = stored_at(self.world.ours), stored_at(self.world.ours - since_s)
        mine = [one for one in self.world.decisions if self.client_key in (one.client_key, one.claimed_client_key)]
        within = [one for one in self.world.decisions if since <= one.at <= now]
        accepted = [one for one in mine if one.verdict == "accepted"]
        return Case(
            name=self.client_key,
            since=since,
            now=now,
            tenant=self.known,
            history=tuple(event for event in self.world.events if event.client_key == self.client_key),
            calls=tuple(one for one in mine if since <= one.at <= now),
            last_accepted=accepted[-1] if accepted else None,
            siblings=tuple(life.known for life in others if life.known and life.known.base_url == self.base_url),
            elsewhere=tuple(one for one in within if one not in mine and one.verdict == "refused"),
            others=sum(1 for one in within if one not in mine and one.verdict == "accepted"),
            around=tuple(event for event in self.world.events if event.client_key == ""),
        )


class Ear:
    """Folds a world through the rules of alarms, looking after each step; `told` is what was due to be raised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[Watch] = []
        self._watches: dict[tuple[AlarmKind, str], Watch] = {}
        self._heard = (0, 0)

    def listen(self, life: Life) -> None:
        """Reads on, and notes what is due."""
        events, calls = self.world.events[self._heard[0] :], self.world.decisions[self._heard[1] :]
        first, self._heard = self._heard[1], (len(self.world.events), len(self.world.decisions))
        for event in events:
            found = rotated(event)
            if found is not None:
                self._watches[found.kind, found.client_key] = found
            if left(event):
                self._watches = {key: one for key, one in self._watches.items() if key[1] != event.client_key}
        gone = life.known.uninstalled_at if life.known else ""
        for number, call in enumerate(calls, first + 1):
            if call.claimed_client_key != life.client_key:
                continue
            install = refused_install(number, call)
            counted = refusal(number, call, gone and stored_at(self._seconds(gone) + 60))
            if install is not None:
                self._watches.setdefault((install.kind, install.client_key), install)
            elif counted is not None:
                place = (AlarmKind.CALLS_REFUSED, life.client_key)
                self._watches[place] = with_refusal(self._watches.get(place), life.client_key, counted)
        for place, watch in list(self._watches.items()):
            self._look(place, watch, self.passed(life))

    def _look(self, place: tuple[AlarmKind, str], watch: Watch, passed: Passed) -> None:
        kept = still(watch, passed, self.world.ours - self._seconds(watch.since))
        del self._watches[place]
        if kept is not None and due(kept, passed, self.world.ours - self._seconds(kept.since)):
            self.told.append(kept)
        elif kept is not None:
            self._watches[place] = kept

    def passed(self, life: Life) -> Passed:
        """What was accepted of a life."""
        mine = [(n, one) for n, one in enumerate(self.world.decisions, 1) if one.client_key == life.client_key]
        accepted = [(n, one) for n, one in mine if one.verdict == "accepted"]
        proofs = [(n, one) for n, one in accepted if is_proof(one)]
        last = accepted[-1][0] if accepted else 0
        return Passed(last, proofs[-1][0], proofs[-1][1].read_position) if proofs else Passed(last)

    @staticmethod
    def _seconds(at: str) -> float:
        return datetime.fromisoformat(at).timestamp()
