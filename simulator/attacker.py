"""What a stranger who knows a site's public facts tries against its Tenure.

Rule: the attacker knows the tenant's clientKey, the app key, every URL and whatever it captured on the wire,
and never the site's secret or private key. Each method sends one real request and returns it; none changes
the site. None of them may ever be believed (`padded_copy` with the body unchanged is a duplicate, and may be
acknowledged as one).
"""

import json
import uuid
from typing import Any, Final

from tenure.domain import qsh
from tenure.simulator import tokens
from tenure.simulator.site import Sent, Site

SCANNER_SECRET: Final = "fake-jwt-secret"
SCANNER_KID: Final = "fake-kid"


class Attacker:
    """`secret` and `key` are the attacker's own; `site` is the victim."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.secret = tokens.new_secret()
        self.key = tokens.pooled_key("attacker", 0)

    # -- taking a tenant over by an `installed` of one's own

    def unsigned_install(self) -> Sent:
        """No token at all."""
        return self._install(None)

    def self_signed_install(self) -> Sent:
        """HS256 by the very secret the body brings."""
        return self._install(tokens.hs256(self._claims("installed"), self.secret))

    def unknown_key_install(self, kid: str | None = None) -> Sent:
        """RS256 by an own key, under a kid no host knows."""
        claims = self._claims("installed", "RS256")
        return self._install(tokens.rs256(claims, self.key, kid or str(uuid.uuid4())))

    def borrowed_kid_install(self) -> Sent:
        """RS256 by an own key, under the kid of the victim."""
        return self._install(tokens.rs256(self._claims("installed", "RS256"), self.key, self.site.kid))

    def embedded_key_install(self) -> Sent:
        """RS256 by an own key that the header brings along and points to."""
        numbers = self.key.public_key().public_numbers()
        modulus = tokens.b64url(numbers.n.to_bytes(256, "big"))
        header = {"jwk": {"kty": "RSA", "n": modulus, "e": "AQAB"}, "jku": "https://attacker.example/keys"}
        claims = self._claims("installed", "RS256")
        return self._install(tokens.rs256(claims, self.key, str(uuid.uuid4()), header))

    def alg_none(self, kind: str = "installed", alg: str = "none") -> Sent:
        """A token that says it needs no signature."""
        return self._send(kind, tokens.none_token(self._claims(kind, "RS256"), alg))

    def key_confusion(self) -> Sent:
        """HS256 with the public key's PEM as the secret, under the kid it belongs to."""
        pem = self.site.key_host.public_pem(self.site.kid)
        header = {"kid": self.site.kid}
        return self._install(tokens.hs256(self._claims("installed", "RS256"), pem, header))

    def foreign_install(self, own_site: Site) -> Sent:
        """An honest token of the attacker's own site, with the victim's clientKey in the body."""
        return self._install(own_site.lifecycle_token("installed", alg="RS256"))

    # -- using what was captured

    def captured_install(self, sent: Sent) -> Sent:
        """A captured install token, with another `sharedSecret` in the body."""
        return self.site.resend(sent, self._with_own_secret(sent))

    def padded_copy(self, sent: Sent, *, own_secret: bool = True) -> Sent:
        """The same with `=` padding on the signature: other text, same token."""
        token = tokens.padded(_token_of(sent))
        body = self._with_own_secret(sent) if own_secret else None
        return self.site.resend(sent, body, token=token)

    def moved_token(self, sent: Sent, kind: str) -> Sent:
        """A captured token, taken to another lifecycle URL."""
        return self._send(kind, _token_of(sent))

    # -- ordinary calls

    def own_webhook(self, body: bytes = b'{"webhookEvent":"jira:issue_deleted"}') -> Sent:
        """A webhook signed by an own secret."""
        return self.site.webhook(body=body, secret=self.secret)

    def own_lifecycle(self, kind: str = "disabled") -> Sent:
        """A lifecycle call other than `installed`, signed HS256 by an own secret."""
        return self._send(kind, tokens.hs256(self._claims(kind), self.secret))

    def unsigned(self, kind: str) -> Sent:
        """Any lifecycle call without a token."""
        return self._send(kind, None)

    def scanner_probes(self, kind: str = "installed") -> list[Sent]:
        """What the vendor's own scanner sends to every app: each must be answered 400 or above, not 503."""
        claims = self._claims(kind, "RS256")
        probes = (
            None,
            tokens.hs256(claims, SCANNER_SECRET),
            tokens.none_token(claims),
            tokens.rs256(claims, self.key, SCANNER_KID),
        )
        return [self._send(kind, token) for token in probes]

    def _claims(self, kind: str, alg: str = "HS256") -> dict[str, Any]:
        site, now = self.site, int(self.site.clock())
        claims = {
            "iss": site.client_key,
            "iat": now,
            "exp": now + tokens.LIFETIMES[alg],
            "qsh": qsh.request_hash("POST", site.paths[kind], "", site.base_path),
            "jti": uuid.uuid4().hex,
        }
        return {**claims, "aud": site.audience} if alg == "RS256" else claims

    def _install(self, token: str | None) -> Sent:
        return self._send("installed", token)

    def _send(self, kind: str, token: str | None) -> Sent:
        extra = {"sharedSecret": self.secret} if kind == "installed" else {}
        return self.site.send(kind, self.site.lifecycle_body(kind, extra), token)

    def _with_own_secret(self, sent: Sent) -> bytes:
        return json.dumps({**json.loads(sent.body), "sharedSecret": self.secret}).encode("ascii")


def _token_of(sent: Sent) -> str:
    if sent.token is None:
        raise ValueError("that request carried no token")
    return sent.token
