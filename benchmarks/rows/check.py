"""The check itself in this process, from a token's text to a verdict, secrets at hand: strict reading, signature,
times, hash, state; against PyPI atlassian-jwt's `Authenticator` and against PyJWT's two decodes with our own hash.
"""

import time

import atlassian_jwt
import jwt
from kit.bench import Bench
from kit.measure import Bound, Figure, in_turn, rate, ratio
from kit.traffic import WEBHOOK, hs256

from tenure.domain.check import Evidence, Match, Policy, Purpose, check
from tenure.domain.qsh import accepted_hashes, request_hash
from tenure.domain.tenant import Secret, Tenant
from tenure.domain.token import read, signed_by

ALGORITHMS = frozenset(("HS256",))
POLICY = Policy(frozenset(("https://app.example.com",)))
QUERY = "user_id=557058&project=TEN"
URL = f"{WEBHOOK}?{QUERY}"


class _Authenticator(atlassian_jwt.Authenticator):  # type: ignore[misc]
    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__()
        self._secrets = secrets

    def get_shared_secret(self, client_key: str) -> str:
        return self._secrets[client_key]


def run(bench: Bench) -> list[Figure]:
    """Two figures."""
    tenants = bench.tenants()
    bound = request_hash("POST", WEBHOOK, QUERY)
    found = [hs256(tenant, "POST", WEBHOOK, qsh=bound) for tenant in tenants]
    raw = {tenant.client_key: tenant.secret.encode() for tenant in tenants}
    secrets = {tenant.client_key: tenant.secret for tenant in tenants}
    contexts = {tenant.client_key: _context(tenant.client_key) for tenant in tenants}
    authenticator = _Authenticator(secrets)

    def ours(count: int) -> None:
        for number in range(count):
            token = read(found[number % 1000], ALGORITHMS)
            match = Match.CURRENT if signed_by(token, raw[token.iss]) else Match.NONE
            evidence = Evidence(Purpose.TRAFFIC, token, match, accepted_hashes("POST", WEBHOOK, QUERY))
            assert check(evidence, contexts[token.iss], POLICY, time.time()).reason is None

    def package(count: int) -> None:
        for number in range(count):
            authenticator.authenticate("POST", URL, {"Authorization": f"JWT {found[number % 1000]}"})

    def pyjwt(count: int) -> None:
        for number in range(count):
            text = found[number % 1000]
            issuer = jwt.decode(text, options={"verify_signature": False})["iss"]
            claims = jwt.decode(text, secrets[issuer], algorithms=["HS256"], leeway=30)
            assert claims["qsh"] == request_hash("POST", WEBHOOK, QUERY)

    count = 2_000 if bench.quick else 20_000
    samples = in_turn({"tenure": lambda: rate(ours, count), "atlassian-jwt": lambda: rate(package, count),
                       "PyJWT": lambda: rate(pyjwt, count)}, bench.rounds)  # fmt: skip
    return [
        ratio(
            "check, token to verdict / PyPI atlassian-jwt",
            "checks/s",
            samples["tenure"],
            samples["atlassian-jwt"],
            Bound(8.0),
            labels=("tenure", "atlassian-jwt"),
        ),
        ratio(
            "check, token to verdict / two PyJWT decodes and qsh",
            "checks/s",
            samples["tenure"],
            samples["PyJWT"],
            Bound(4.0),
            labels=("tenure", "PyJWT"),
        ),
    ]


def _context(client_key: str) -> Tenant:
    secret = Secret("", "", 1, 1, "2026-01-01T00:00:00.000000Z")
    return Tenant("com.example.app", client_key, 1, 1, True, True, False, secret, None, "", "", "", "", "", "")
