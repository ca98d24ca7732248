"""The short way of every ordinary call: one strict parse, one primary-key read, two HMACs, one hash. No body.

The current and the previous secret are tried for every tenant, and a dummy pair for an unknown one, so that an unknown
tenant takes as long as a bad signature. Nothing decrypted is kept: a secret is opened from the row just read.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tenure.domain.check import Evidence, Match, Policy, Purpose, Verdict, check
from tenure.domain.ports import Contexts, Vault
from tenure.domain.qsh import accepted_hashes
from tenure.domain.refusals import Reason, Refused
from tenure.domain.tenant import Tenant
from tenure.domain.token import Token, read, signed_by

HS256_ONLY = frozenset(("HS256",))
DUMMY = " " * 36  # no client key can be this


@dataclass(frozen=True, slots=True)
class Passage:
    """What was found out about a call: the verdict, the context that was read, the token if it could be read, the
    evidence if it came to a check, the clock (Unix seconds) and what the token was shown for."""

    verdict: Verdict
    token: Token | None = None
    context: Tenant | None = None
    evidence: Evidence | None = None
    now: float = 0.0
    purpose: str = ""
    secret_position: int = 0

    @classmethod
    def refused(cls, reason: Reason, detail: str = "") -> "Passage":
        """A refusal before any token was read."""
        return cls(Verdict(reason, detail))

    @property
    def claimed(self) -> str:
        """The client key the token claims."""
        return self.token.iss if self.token else ""

    @property
    def position(self) -> int:
        """The position of the context that was read."""
        return self.context.position if self.context else 0


def secret_position(context: Tenant | None, match: Match) -> int:
    """The event that brought the secret that matched; 0: none did, or it was an install key."""
    if context is None or match is Match.NONE:
        return 0
    kept = context.secret if match is Match.CURRENT else context.previous
    return kept.position if kept else 0


class Gate:
    """Checks ordinary calls of one app."""

    def __init__(
        self, app_key: str, base_path: str, contexts: Contexts, vault: Vault, policy: Policy, clock: Callable[[], float]
    ) -> None:
        self._app_key = app_key
        self._base_path = base_path
        self._contexts = contexts
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._dummy: tuple[str, str] = ("", "")

    def prepare(self) -> None:
        """Makes the dummy secret that unknown tenants are checked against."""
        self._vault.ensure_key(self._app_key, DUMMY)
        self._vault.pin(self._app_key, DUMMY)
        self._dummy = (
            self._vault.seal(self._app_key, DUMMY, 1, "secret", b"x" * 64),
            self._vault.seal(self._app_key, DUMMY, 2, "secret", b"y" * 64),
        )

    def check_dummy(self) -> None:
        """Raises whatever opening the dummy secret does; if that does not open, no unknown tenant is answered."""
        self._vault.open(self._app_key, DUMMY, 1, "secret", self._dummy[0])

    def match(self, context: Tenant | None, token: Token) -> Match:
        """Which kept generation of the tenant's secret signed the token; as long for an unknown tenant."""
        if context is None or context.erased_at:
            self._holds(DUMMY, 1, self._dummy[0], token)
            self._holds(DUMMY, 2, self._dummy[1], token)
            return Match.NONE
        current = self._holds(context.client_key, context.secret.version, context.secret.sealed, token)
        before = context.previous
        if before is None:
            self._holds(DUMMY, 2, self._dummy[1], token)
            previous = False
        else:
            previous = self._holds(context.client_key, before.version, before.sealed, token)
        if current:
            return Match.CURRENT
        return Match.PREVIOUS if previous else Match.NONE

    def _holds(self, client_key: str, version: int, sealed: str, token: Token) -> bool:
        return signed_by(token, self._vault.open(self._app_key, client_key, version, "secret", sealed))

    async def check(self, find: Callable[[], str], method: str, path: str, query: str, purpose: Purpose) -> Passage:
        """Checks one call. `find` gives the token's text or raises Refused."""
        try:
            token = read(find(), HS256_ONLY)
        except Refused as refused:
            return Passage(Verdict(refused.reason, refused.detail), purpose=purpose.value)
        context = await self._contexts.get(self._app_key, token.iss)
        match, now = self.match(context, token), self._clock()
        # only of calls whose signature held: what a stranger sends as a query must cost nothing
        expected = accepted_hashes(method, path, query, self._base_path) if match is not Match.NONE else ()
        evidence = Evidence(purpose, token, match, expected)
        verdict = check(evidence, context, self._policy, now)
        return Passage(verdict, token, context, evidence, now, purpose.value, secret_position(context, match))
