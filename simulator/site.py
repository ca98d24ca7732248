"""One simulated Jira site: it installs the app, signs for real and sends what Jira sends.

Rule: like Jira, the site takes a new shared secret as its own only after a 2xx, signs installs and
uninstalls RS256 with a key its key host publishes (15 minutes) and everything else HS256 with the current
secret (3 minutes). Any claim or body field can be overridden, or left out with `tokens.OMIT`, to make the
request an honest site would not send.
"""

import base64
import functools
import json
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from tenure.domain import qsh
from tenure.simulator import tokens
from tenure.simulator.tokens import LIFETIMES, merged

PATHS: Final[Mapping[str, str]] = {
    "installed": "/installed",
    "uninstalled": "/uninstalled",
    "enabled": "/enabled",
    "disabled": "/disabled",
    "webhooks": "/webhooks",
}
USER_AGENT: Final = "Atlassian HttpClient unknown / JIRA-1001.0.0-SNAPSHOT (100283) / Default"

Body = dict[str, Any] | bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it was sent, and its answer."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    token: str | None
    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code


@functools.cache
def tls() -> ssl.SSLContext:
    """What certificates are checked with: one for all clients, because making it takes 25 ms."""
    return httpx.create_ssl_context()


class SigningKeys(Protocol):
    """The keys a key host publishes, with their private halves (`KeyHost`)."""

    def new_key(self) -> str: ...

    def private_key(self, kid: str) -> rsa.RSAPrivateKey: ...

    def public_pem(self, kid: str) -> bytes: ...


def _encoded(body: Body) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode("ascii")


class Site:
    """`secret` is the current shared secret, `secrets` the ones it replaced, oldest first.

    `connect_url` is where requests really go when that is not `tenure_url`; its path, if it has one, stands
    in for the path of `tenure_url`.
    """

    def __init__(
        self,
        tenure_url: str,
        *,
        app_key: str,
        key_host: SigningKeys,
        base_url: str | None = None,
        client_key: str | None = None,
        audience: str | None = None,
        paths: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
        connect_url: str | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        self.app_key, self.key_host, self.clock = app_key, key_host, clock
        self.client_key = client_key or str(uuid.uuid4())
        self.base_url = base_url or f"https://site-{uuid.uuid4().hex[:8]}.atlassian.net"
        self.tenure_url = tenure_url.rstrip("/")
        self.audience = audience or tenure_url
        self.paths = {**PATHS, **(paths or {})}
        self.kid = key_host.new_key()
        self.secret = tokens.new_secret()
        self.secrets: list[str] = []
        self.base_path = httpx.URL(self.tenure_url).path.rstrip("/")
        self._target = self._real_target(connect_url)
        # Every call on a connection of its own: a server that was restarted in between is simply met anew. Told by the
        # header and not by a limit of the pool, which under many threads closes connections that are just being used.
        limits = httpx.Limits(max_keepalive_connections=None)
        self._client = client or httpx.Client(
            timeout=30, trust_env=False, limits=limits, headers={"Connection": "close"}, verify=tls()
        )

    def _real_target(self, connect_url: str | None) -> str:
        if connect_url is None:
            return self.tenure_url
        target = (connect_url if "://" in connect_url else f"http://{connect_url}").rstrip("/")
        has_path = httpx.URL(target).path.rstrip("/") != ""
        return target if has_path else target + self.base_path

    # -- what an honest site does

    def install(
        self,
        new_secret: bool | str | None = None,
        *,
        token: str | None = None,
        body_extra: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> Sent:
        """Install or upgrade: with the current secret, a fresh one (True) or the given one."""
        secret = self._next_secret(new_secret)
        body = self.lifecycle_body("installed", {"sharedSecret": secret, **(body_extra or {})})
        return self._adopted(self._lifecycle("installed", "RS256", body, token, overrides), body, secret)

    def legacy_install(self, signed: bool, new_secret: bool | str | None = None, **overrides: Any) -> Sent:
        """The old scheme: unsigned the first time, HS256 by the secret held before ever after."""
        secret = self._next_secret(new_secret)
        body = self.lifecycle_body("installed", {"sharedSecret": secret})
        if signed:
            sent = self._lifecycle("installed", "HS256", body, None, overrides)
        else:
            sent = self.send("installed", body, None, **overrides)
        return self._adopted(sent, body, secret)

    def uninstall(self, **overrides: Any) -> Sent:
        """RS256; `alg="HS256"` for the old scheme."""
        return self._plain("uninstalled", "RS256", overrides)

    def enable(self, **overrides: Any) -> Sent:
        return self._plain("enabled", "HS256", overrides)

    def disable(self, **overrides: Any) -> Sent:
        return self._plain("disabled", "HS256", overrides)

    def rotate(self, **overrides: Any) -> Sent:
        """The host replaces the shared secret."""
        return self.install(True, **overrides)

    def rename(self, new_base_url: str, **overrides: Any) -> Sent:
        """The site moves to another address: same tenant, `installed` again, no `enabled` after it."""
        self.base_url = new_base_url
        return self.install(**overrides)

    def webhook(
        self,
        event: str = "jira:issue_created",
        body: bytes | None = None,
        *,
        identifier: str | None = None,
        secret: str | bytes | None = None,
        path: str = "",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        **claims: Any,
    ) -> Sent:
        """One delivery; `path` is appended to the webhook path, `identifier` is the same across retries."""
        target = self.paths["webhooks"] + path
        payload = {"timestamp": int(self.clock() * 1000), "webhookEvent": event, "issue": {"key": "TEN-1"}}
        token = self._token(target, "HS256", query=query, secret=secret, **claims)
        marked = {"X-Atlassian-Webhook-Identifier": identifier or str(uuid.uuid4()), **(headers or {})}
        return self.send(target, _encoded(payload) if body is None else body, token, query, marked)

    def page_token(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        context: bool = False,
        account_id: str | None = None,
        secret: str | bytes | None = None,
        **claims: Any,
    ) -> str:
        """The token of an iframe load or an API call, bound to its URL or (`context`) to the front end."""
        extra: dict[str, Any] = {"qsh": qsh.CONTEXT_QSH} if context else {}
        if account_id is not None:
            extra["sub"] = account_id
        return self._token(path, "HS256", method=method, query=query, secret=secret, **{**extra, **claims})

    def resend(self, sent: Sent, body: Body | None = None, *, token: str | None = None) -> Sent:
        """The same request once more, with the same body and token unless given."""
        headers = {**sent.headers, "Authorization": f"JWT {token}"} if token else sent.headers
        content = sent.body if body is None else _encoded(body)
        return self._post(sent.url, headers, content, token or sent.token)

    # -- the parts of it

    def lifecycle_body(self, kind: str, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The payload of real Jira; `sharedSecret` only if it is in `extra`."""
        number = f"SEN-{self.client_key[:8]}"
        pem_lines = self.key_host.public_pem(self.kid).decode("ascii").splitlines()
        body = {
            "key": self.app_key,
            "clientKey": self.client_key,
            "publicKey": "".join(pem_lines[1:-1]),
            "serverVersion": "100283",
            "pluginsVersion": "1001.0.0-SNAPSHOT",
            "baseUrl": self.base_url,
            "displayUrl": self.base_url,
            "displayUrlServicedeskHelpCenter": self.base_url,
            "productType": "jira",
            "description": f"Atlassian Jira at {self.base_url}",
            "serviceEntitlementNumber": number,
            "entitlementId": str(uuid.uuid5(uuid.NAMESPACE_URL, self.client_key)),
            "entitlementNumber": f"E-{number}",
            "oauthClientId": base64.b64encode(self.client_key.encode()).decode("ascii"),
            "eventType": kind,
        }
        return merged(body, extra or {})

    def lifecycle_token(self, kind: str, *, alg: str, **claim_overrides: Any) -> str:
        """A token for a lifecycle URL; `query unique kid secret header` are no claims (see `_token`)."""
        return self._token(self.paths[kind], alg, **claim_overrides)

    def send(
        self,
        kind: str,
        body: Body,
        token: str | None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Sent:
        """POST to a lifecycle kind, `webhooks`, or any path of the app's (with a leading slash)."""
        url = self._target + self.paths.get(kind, kind) + (f"?{query}" if query else "")
        full = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if token is not None:
            full["Authorization"] = f"JWT {token}"
        return self._post(url, {**full, **(headers or {})}, _encoded(body), token)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _token(
        self,
        path: str,
        alg: str,
        *,
        method: str = "POST",
        query: str = "",
        unique: bool = True,
        kid: str | None = None,
        secret: str | bytes | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        now = int(self.clock())
        bound = qsh.request_hash(method, path, query, self.base_path)
        base: dict[str, Any] = {"iss": self.client_key, "iat": now, "exp": now + LIFETIMES[alg], "qsh": bound}
        if alg == "RS256":
            base["aud"] = self.audience
        if unique:
            base["jti"] = uuid.uuid4().hex
        signed = merged(base, claims)
        if alg == "HS256":
            return tokens.hs256(signed, self.secret if secret is None else secret, header)
        kid = kid or self.kid
        return tokens.rs256(signed, self.key_host.private_key(kid), kid, header)

    def _next_secret(self, wanted: bool | str | None) -> str:
        if isinstance(wanted, str):
            return wanted
        return tokens.new_secret() if wanted else self.secret

    def _adopted(self, sent: Sent, body: Mapping[str, Any], secret: str) -> Sent:
        taken = sent.response.is_success and body.get("sharedSecret") == secret
        if taken and secret != self.secret:
            self.secrets.append(self.secret)
            self.secret = secret
        return sent

    def _plain(self, kind: str, alg: str, overrides: dict[str, Any]) -> Sent:
        token = overrides.pop("token", None)
        body = self.lifecycle_body(kind, overrides.pop("body_extra", None))
        return self._lifecycle(kind, alg, body, token, overrides)

    def _lifecycle(self, kind: str, alg: str, body: Body, token: str | None, overrides: dict[str, Any]) -> Sent:
        query, headers = overrides.pop("query", ""), overrides.pop("headers", None)
        if token is None:
            token = self.lifecycle_token(kind, **{"alg": alg, "query": query, **overrides})
        return self.send(kind, body, token, query, headers)

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, token: str | None) -> Sent:
        response = self._client.post(url, content=body, headers=dict(headers), follow_redirects=False)
        return Sent("POST", url, dict(headers), body, token, response)
