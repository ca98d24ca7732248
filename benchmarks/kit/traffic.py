"""Tenants and the calls of theirs: tokens signed beforehand, requests as bytes, bodies of a wanted size."""

import json
import pickle
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.domain.qsh import request_hash
from tenure.simulator import tokens

APP_KEY, BASE_URL = "com.example.app", "https://app.example.com"
WEBHOOK = "/webhooks/issue"
KID = "bench-key"

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Known:
    """A tenant both contestants know."""

    client_key: str
    secret: str

    @property
    def base_url(self) -> str:
        """Its site."""
        return f"https://{self.client_key}.atlassian.net"


def known(count: int) -> Iterator[Known]:
    """The same tenants every time."""
    return (Known(f"tenant-{number:08d}-bench", f"{number:08d}" + "s" * 56) for number in range(count))


def installed_body(tenant: Known, secret: str = "") -> dict[str, Any]:
    """The `installed` payload, as Jira sends it."""
    return {
        "key": APP_KEY, "clientKey": tenant.client_key, "sharedSecret": secret or tenant.secret,
        "publicKey": "M" * 380, "serverVersion": "100283", "pluginsVersion": "1001.0.0-SNAPSHOT",
        "baseUrl": tenant.base_url, "displayUrl": tenant.base_url, "productType": "jira",
        "description": f"Atlassian Jira at {tenant.base_url}", "serviceEntitlementNumber": "SEN-12345",
        "oauthClientId": "b" * 60, "eventType": "installed",
    }  # fmt: skip


def tenants_file(folder: Path, tenants: Iterable[Known]) -> Path:
    """The tenants as the peers are told of them."""
    path = folder / "tenants.json"
    path.write_text(json.dumps([installed_body(tenant) for tenant in tenants]))
    return path


def body_of(size: int) -> bytes:
    """A webhook's body of about `size` bytes of JSON."""
    fields: dict[str, Any] = {"summary": "Something happened", "labels": []}
    event = {
        "timestamp": 1_700_000_000_000,
        "webhookEvent": "jira:issue_updated",
        "issue": {"key": "TEN-1", "fields": fields},
    }
    number = 0
    while len(json.dumps(event)) < size - 40:
        fields[f"customfield_{10_000 + number}"] = {"name": f"field {number}", "value": number, "on": number % 2 == 0}
        number += 1
    fields["summary"] += "." * (size - len(json.dumps(event)))
    return json.dumps(event).encode()


def hs256(tenant: Known, method: str, path: str, **extra: Any) -> str:
    """A token of the tenant's that holds for most of an hour."""
    now = int(time.time())
    claims = {"iss": tenant.client_key, "iat": now, "exp": now + 3500, "qsh": request_hash(method, path, ""), **extra}
    return tokens.hs256(claims, tenant.secret)


def webhook_requests(
    tenants: Sequence[Known], body: bytes, *, path: str = WEBHOOK, internal: bool = False
) -> list[Pair]:
    """Deliveries, each with a fresh identifier when it is sent; `internal`: as a proxy asks `/forward-auth` about them,
    the body with them."""
    target = "/forward-auth" if internal else path
    proxied = f"X-Original-Method: POST\r\nX-Original-URI: {path}\r\n" if internal else ""
    made = []
    for number, tenant in enumerate(tenants):
        token = hs256(tenant, "POST", path, sub=f"557058:{number:032d}")
        head = (
            f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Atlassian HttpClient\r\n{proxied}"
            f"Authorization: JWT {token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "X-Atlassian-Webhook-Identifier: "
        )
        made.append((head.encode(), b"\r\n\r\n" + body))
    return made


def page_requests(tenants: Sequence[Known], path: str = "/page") -> list[Pair]:
    """Page loads a proxy asks about: no body."""
    return [
        (
            f"GET /forward-auth HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Original-Method: GET\r\nX-Original-URI: {path}\r\n"
            f"Authorization: JWT {hs256(tenant, 'GET', path)}\r\n\r\n".encode(),
            b"",
        )
        for tenant in tenants
    ]


def install_requests(count: int, first: int = 0) -> list[Pair]:
    """First installs of so many new tenants, each signed RS256 with the one install key."""
    key, made = tokens.pooled_key("bench", 0), []
    now, bound = int(time.time()), request_hash("POST", "/installed", "")
    for number in range(first, first + count):
        tenant = Known(f"install-{number:08d}", f"{number:08d}" + "s" * 56)
        claims = {"iss": tenant.client_key, "iat": now, "exp": now + 3500, "qsh": bound, "aud": [BASE_URL]}
        token = tokens.rs256(claims, key, KID)
        body = json.dumps(installed_body(tenant)).encode()
        made.append(
            (
                f"POST /installed HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: JWT {token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body,
                b"",
            )
        )
    return made


def install_key_pem() -> bytes:
    """What the key host publishes for `install_requests`."""
    return tokens.public_pem(tokens.pooled_key("bench", 0))


def shuffled(tenants: Sequence[Known], count: int) -> list[Known]:
    """`count` of the tenants at random, the same ones every time."""
    return random.Random(1).choices(tenants, k=count)


def keep(folder: Path, name: str, requests: list[Pair]) -> Path:
    """Writes requests where the load generator reads them."""
    path = folder / f"{name}.requests"
    path.write_bytes(pickle.dumps(requests))
    return path
