"""What is recorded of a decision: the outcome of one check or lifecycle call. Never a token, never a secret.

A decision holds what deciding it again needs besides the tenant's state at `read_position`: what the token claimed,
which kept generation of the secret its signature held under (that step can only be read back: tokens are not kept),
the hash expected, the settings and the clock. `Facts` is that part; it is stored as one JSON text, the rest as columns
that are asked for.

Every decision is counted exactly. Accepted ones are all stored; refused ones as far as there is room, because a
stranger can make any number of them. What was answered is what was counted: recorded, or counted as dropped.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WITHIN_MS = (1, 5, 25, 100, 250, 1000, 5000)
"""Answers are counted by how long they took: within each of these milliseconds, and beyond the last."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of one call. Empty or None: not known, because the call was refused before it was looked at.

    `purpose` is that of `domain.check`; `now`, `iat`, `exp` and `nbf` are Unix seconds, `now` that of our clock when it
    was checked. `qsh` is the hash received, `expected_qsh` those that would have been right. `match` is the kept
    generation of the secret, `secret_position` the event that brought the one that matched. `query_names` are names
    only. `account` is a keyed hash, or the account id where the settings keep it. `address` is the caller's, sealed;
    `address_mark` a keyed hash of it for exact filters; `peer` the trusted proxy the call came through, if it did.
    `identifier` is the webhook's, `trace` the W3C trace id, `gone` whether the caller had hung up before the answer,
    `settings` names the settings in force (their digest, as in the `operator.started` event that lists them),
    `body_client_key` is a lifecycle body's, `token_mark` the first half of the token's fingerprint (as in an event's).
    `mistakes` are the codes of `domain.qsh_doctor` for a wrong hash, found while the query was still at hand.
    """

    purpose: str = ""
    now: float = 0.0
    alg: str = ""
    kid: str = ""
    iat: int | None = None
    exp: int | None = None
    nbf: int | None = None
    aud: tuple[str, ...] | None = None
    qsh: str | None = None
    expected_qsh: tuple[str, ...] = ()
    match: str = ""
    secret_position: int = 0
    body_client_key: str | None = None
    query_names: tuple[str, ...] = ()
    account: str = ""
    address: str = ""
    address_mark: str = ""
    peer: str = ""
    user_agent: str = ""
    identifier: str = ""
    trace: str = ""
    gone: bool = False
    retry: bool = False
    settings: str = ""
    token_mark: str = ""
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `decision` is its id, sortable by time; `at` is UTC; `took_ms` milliseconds; `read_position` the
    position of the tenant's context that was read (0: none). `claimed_client_key` is what the token said, `client_key`
    what was proved. `verdict` is `accepted` or `refused`; `path` has no query. `status` 0: passed on, the answer of the
    app's own receiver not known yet.
    """

    decision: str
    at: str
    kind: str
    verdict: str
    reason: str
    detail: str
    client_key: str
    claimed_client_key: str
    method: str
    path: str
    status: int
    took_ms: float
    read_position: int
    facts: Facts = field(default_factory=Facts)


class Claim(StrEnum):
    """What came of asking for a webhook: ours to pass on, taken by the upstream before, or under way elsewhere."""

    OURS = "ours"
    TAKEN = "taken"
    BUSY = "busy"


class Fate(StrEnum):
    """What became of an entry in the log's file."""

    UNKNOWN = "unknown"
    KEPT = "kept"
    COUNTED = "counted"
    LOST = "lost"


class Entry:
    """A decision on its way into the log, between the writer and the caller who waits no longer than the bound.

    `take` is true for the first of the two who asks: the writer takes it to write it, the waiting caller to withdraw
    it. So an answer that says `unrecordable` and a row that says `accepted` cannot both stand: what the writer had
    taken already is amended. `claim` is a webhook's (clientKey, identifier), to be claimed in the same transaction.
    `row` is what the store made of the decision beforehand, if it did.
    """

    __slots__ = ("_ticket", "claim", "decision", "fate", "row", "withdrawn")

    def __init__(self, decision: Decision, claim: tuple[str, str] | None = None) -> None:
        self.decision = decision
        self.claim = claim
        self.fate = Fate.UNKNOWN
        self.row: tuple[Any, ...] | None = None
        self.withdrawn = False
        self._ticket = [True]

    def take(self) -> bool:
        """Whether it was still there to be taken."""
        try:
            return self._ticket.pop()  # one of two threads gets it: list.pop is atomic
        except IndexError:
            return False


@dataclass(frozen=True, slots=True)
class Amended:
    """The answer to an entry was another than was written: refused with this reason and status."""

    entry: Entry
    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the app's own receiver answered a webhook that was passed on: the true status, and the end of its claim."""

    decision: str
    client_key: str
    identifier: str
    status: int
    took_ms: float
    gone: bool = False

    @property
    def taken(self) -> bool:
        """Whether the upstream has it: (clientKey, identifier) is the same in every retry of Jira's."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class FailedToken:
    """An API token that opened nothing, from an address (its keyed hash), at Unix seconds."""

    address_mark: str
    at: float


Item = Entry | Amended | Outcome | FailedToken


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are asked for; None: any. `since` and `until` are stored times, both included."""

    client_key: str | None = None
    claimed_client_key: str | None = None
    verdict: str | None = None
    reason: str | None = None
    kind: str | None = None
    since: str | None = None
    until: str | None = None
    path: str | None = None
    identifier: str | None = None
    address_mark: str | None = None
    kid: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A decision as read; `number` is its place in the order of commits, a cursor that neither repeats nor skips."""

    number: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class Count:
    """How many decisions of a group were counted, and how many of them are still kept as rows."""

    name: str
    counted: int
    kept: int
