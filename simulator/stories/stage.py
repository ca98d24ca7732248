"""Where a story is played: makes its sites, sends its calls and holds each answer against what it should be.

A step is right when its status is one of those expected; where the service's own records can be read (the decision
log, the event log), the reason of a refusal and the history of the tenant must be right as well. Where they cannot,
those are not looked at, and the step says so.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tenure.simulator import tokens
from tenure.simulator.site import Sent, Site

OK: Final = (204,)
PASSED: Final = tuple(range(200, 300))
REFUSED: Final = (401,)
LATER: Final = (425,)


class Records(Protocol):
    """What can be read of the service's own records; None: not readable."""

    def reason(self, decision: str) -> str | None: ...

    def history(self, client_key: str) -> list[str] | None: ...


class NoRecords:
    """Nothing can be read."""

    def reason(self, decision: str) -> str | None:
        return None

    def history(self, client_key: str) -> list[str] | None:
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done, what should have come of it and what did. `status` 0: no call, something else was looked at.

    `sent` describes the request; `reason` is the refusal's, as far as the answer or the service's records tell it.
    """

    what: str
    expected: str
    came: str
    right: bool
    means: str = ""
    status: int = 0
    reason: str | None = None
    decision: str = ""
    sent: str = ""


def say_expected(statuses: Sequence[int], reason: str = "") -> str:
    """Statuses as people write them: `2xx`, `204`, `204 or 401`; with the reason."""
    text = "2xx" if tuple(statuses) == PASSED else " or ".join(map(str, statuses))
    return f"{text} {reason}" if reason else text


def describe(sent: Sent) -> str:
    """A request in a line: where it went, and how it was signed; never the token."""
    return f"{sent.method} {sent.url.partition('?jwt=')[0]}, {_signature(sent.token)}, {len(sent.body)} bytes"


def _signature(token: str | None) -> str:
    if token is None:
        return "no token"
    try:
        header, _ = tokens.read(token)
    except ValueError:
        return "no readable token"
    alg, kid = header.get("alg"), header.get("kid")
    return f"{alg} by key {kid}" if kid else f"{alg}"


def _told_reason(sent: Sent) -> str | None:
    # told to callers with a believed proof (400), and of what is the service's own fault (503)
    try:
        return str(sent.response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return None


class Stage:
    """`make_site` gives a site that has not installed the app; its keywords are those of `Site`."""

    def __init__(
        self,
        make_site: Callable[..., Site],
        records: Records | None = None,
        tell: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self._make_site = make_site
        self._records: Records = records or NoRecords()
        self._tell = tell
        self.steps: list[Step] = []

    @property
    def right(self) -> bool:
        """Whether every step gave what it should."""
        return all(step.right for step in self.steps)

    def site(self, **options: Any) -> Site:
        """A site that has not installed the app yet."""
        return self._make_site(**options)

    def installed(self, **options: Any) -> Site:
        """A site that has installed and enabled the app: the first two steps of many stories."""
        site = self.site(**options)
        self.call("installed, RS256 by the key host's key", site.install)
        self.call("enabled, HS256 by the new secret", site.enable)
        return site

    def call(
        self,
        what: str,
        send: Callable[[], Sent],
        expected: Sequence[int] = OK,
        means: str = "",
        *,
        reason: str = "",
    ) -> Sent:
        """Sends, and notes whether the answer is one of `expected` (and its reason `reason`)."""
        return self.judge(what, send(), expected, means, reason=reason)

    def judge(self, what: str, sent: Sent, expected: Sequence[int] = OK, means: str = "", *, reason: str = "") -> Sent:
        """Notes whether an answer that has come is one of `expected` (and its reason `reason`)."""
        decision = sent.response.headers.get("x-tenure-decision", "")
        found = _told_reason(sent) or (self._records.reason(decision) if decision else None)
        right = sent.status in expected and (not reason or found is None or found == reason)
        came = f"{sent.status} {found}" if found else str(sent.status)
        told = say_expected(expected, reason)
        self._note(Step(what, told, came, right, means, sent.status, found, decision, describe(sent)))
        return sent

    def refused(self, what: str, send: Callable[[], Sent], reason: str, means: str = "") -> Sent:
        """As `call`, of one that must be a 401 for that reason."""
        return self.call(what, send, REFUSED, means, reason=reason)

    def traffic(self, what: str, site: Site, secret: str | None = None, means: str = "") -> Sent:
        """A webhook that must be let through."""
        return self.call(what, lambda: site.webhook(secret=secret), PASSED, means)

    def at_once(
        self, what: str, sends: Sequence[Callable[[], Sent]], expected: Sequence[int] = OK, means: str = ""
    ) -> list[Sent]:
        """Sends all at the same time."""
        with ThreadPoolExecutor(len(sends)) as pool:
            answers = [future.result() for future in [pool.submit(send) for send in sends]]
        for number, sent in enumerate(answers, 1):
            self.judge(f"{what} ({number} of {len(answers)} at once)", sent, expected, means)
        return answers

    def history(self, site: Site, kinds: Sequence[str], means: str = "") -> None:
        """The types of the tenant's events must be these; passed over where the log cannot be read."""
        found = self._records.history(site.client_key)
        came = "not readable from here" if found is None else ", ".join(found) or "no event"
        right = found is None or found == list(kinds)
        self._note(Step("the tenant's history", ", ".join(kinds) or "no event", came, right, means))

    def claim(self, what: str, right: bool, came: str, expected: str, means: str = "") -> None:
        """Anything else that must hold of answers already told."""
        self._note(Step(what, expected, came, right, means))

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        self._tell(step)


@dataclass(frozen=True, slots=True)
class Story:
    """`teaches` is one sentence: what must hold."""

    name: str
    teaches: str
    play: Callable[[Stage], None]


@dataclass(slots=True)
class Chapter:
    """The stories of one file, in their order."""

    stories: list[Story] = field(default_factory=list)

    def story(self, teaches: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
        """Registers a function under its own name, dashes for underscores."""

        def register(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
            self.stories.append(Story(play.__name__.replace("_", "-"), teaches, play))
            return play

        return register
