"""A believed call with a bad payload is 400 and changes nothing; unknown fields are taken."""

import json
import time
from typing import Any

import pytest

from support.house import House, raw_exchange
from tenure.domain.events import Installed
from tenure.simulator import tokens
from tenure.simulator.site import Site
from tenure.simulator.tokens import OMIT

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no sharedSecret": ({"sharedSecret": OMIT}, "payload_invalid"),
    "null sharedSecret": ({"sharedSecret": None}, "payload_invalid"),
    "empty sharedSecret": ({"sharedSecret": ""}, "payload_invalid"),
    "short sharedSecret": ({"sharedSecret": "x" * 15}, "payload_invalid"),
    "long sharedSecret": ({"sharedSecret": "x" * 4097}, "payload_invalid"),
    "sharedSecret a number": ({"sharedSecret": 1234567890123456789}, "payload_invalid"),
    "sharedSecret a list": ({"sharedSecret": ["x" * 32]}, "payload_invalid"),
    "no baseUrl": ({"baseUrl": OMIT}, "payload_invalid"),
    "empty baseUrl": ({"baseUrl": ""}, "payload_invalid"),
    "null baseUrl": ({"baseUrl": None}, "payload_invalid"),
    "baseUrl a number": ({"baseUrl": 7}, "payload_invalid"),
    "baseUrl of http": ({"baseUrl": "http://acme.atlassian.net"}, "payload_invalid"),
    "baseUrl with a user": ({"baseUrl": "https://acme.atlassian.net@evil.example"}, "payload_invalid"),
    "baseUrl with a fragment": ({"baseUrl": "https://evil.example#.atlassian.net"}, "payload_invalid"),
    "baseUrl with a line break": ({"baseUrl": "https://acme.atlassian.net\r\nX-Evil: 1"}, "payload_invalid"),
    "baseUrl elsewhere": ({"baseUrl": "https://evil.example"}, "site_not_allowed"),
    "baseUrl of a look-alike": ({"baseUrl": "https://evilatlassian.net"}, "site_not_allowed"),
    "baseUrl with the site in its path": ({"baseUrl": "https://evil.example/.atlassian.net"}, "site_not_allowed"),
    "baseUrl of a longer host": ({"baseUrl": "https://acme.atlassian.net.evil.example"}, "site_not_allowed"),
    "baseUrl with a port": ({"baseUrl": "https://acme.atlassian.net:8443"}, "site_not_allowed"),
    "no eventType": ({"eventType": OMIT}, "event_type_mismatch"),
    "another eventType": ({"eventType": "enabled"}, "event_type_mismatch"),
    "no key": ({"key": OMIT}, "app_mismatch"),
    "another app's key": ({"key": "com.example.other"}, "app_mismatch"),
    "productType a number": ({"productType": 1}, "payload_invalid"),
    "no clientKey": ({"clientKey": OMIT}, "payload_invalid"),
    "clientKey a number": ({"clientKey": 5}, "payload_invalid"),
    "installationId with a line break": ({"installationId": "x\r\ny: z"}, "payload_invalid"),
}


def _install(site: Site, extra: dict[str, Any]) -> Any:
    body = site.lifecycle_body("installed", {"sharedSecret": tokens.new_secret(), **extra})
    return site.send("installed", body, site.lifecycle_token("installed", alg="RS256"))


@pytest.mark.parametrize("state", ["first", "again"])
@pytest.mark.parametrize("name", BAD)
def test_bad_payload_changes_nothing(signed: House, name: str, state: str) -> None:
    """A signed install with an unusable field is 400 with its reason, and a good tenant stays as it was."""
    extra, reason = BAD[name]
    site = signed.site() if state == "first" else signed.installed()
    before = signed.trail(site.client_key)
    sent = _install(site, extra)
    assert (sent.status, signed.reason(sent)) == (400, reason)
    assert sent.response.json()["reason"] == reason
    assert signed.trail(site.client_key) == before
    if state == "again":
        assert signed.page(site).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe{}", b'{"key":"a","key":"b"}', b"[" * 100_000, b'{"a":NaN}'],
    ids=["empty", "cut", "list", "null", "text", "not UTF-8", "doubled member", "deep", "NaN"],
)
def test_body_that_is_no_object(signed: House, body: bytes) -> None:
    """A good token with a body that is no JSON object is 400 and changes nothing."""
    site = signed.installed()
    before = signed.trail(site.client_key)
    sent = site.send("installed", body, site.lifecycle_token("installed", alg="RS256"))
    assert (sent.status, signed.reason(sent)) == (400, "payload_invalid")
    assert signed.trail(site.client_key) == before


@pytest.mark.parametrize("secret", ["s" * 16, "s" * 400, "s" * 4096, "ü" * 32], ids=["16", "400", "4096", "not ASCII"])
def test_usable_secrets(signed: House, secret: str) -> None:
    """A `sharedSecret` of 16 to 4096 bytes is taken, and signs."""
    site = signed.site()
    assert site.install(secret).status == 204
    assert site.enable().status == 204


@pytest.mark.parametrize(
    "base_url",
    [
        "https://acme.atlassian.net",
        "https://acme.atlassian.net/wiki",
        "https://old.jira.com",
        "https://a.atlassian.net/",
    ],
)
def test_usable_base_urls(signed: House, base_url: str) -> None:
    """The base URLs that real sites have are taken."""
    site = signed.site()
    assert _install(site, {"baseUrl": base_url}).status == 204
    assert signed.known(site.client_key).base_url == base_url.rstrip("/")


def test_unknown_fields_are_taken(signed: House) -> None:
    """Fields that nobody knows are accepted, and kept sealed: their text is nowhere in the files in the clear."""
    site = signed.site()
    sent = site.install(True, body_extra={"newField": {"deep": ["kept-in-a-seal"]}, "accountId": "account-in-a-seal"})
    assert sent.status == 204
    (event,) = signed.events(site.client_key)
    assert isinstance(event.data, Installed)
    assert event.data.personal
    for name in ("events.db", "events.db-wal", "decisions.db", "decisions.db-wal", "keys.db", "keys.db-wal"):
        file = signed.folder / name
        content = file.read_bytes() if file.exists() else b""
        for text in ("kept-in-a-seal", "account-in-a-seal", site.secret):
            assert text.encode() not in content


def test_missing_optional_fields_are_fine(signed: House) -> None:
    """Nothing but key, clientKey, eventType, sharedSecret and baseUrl is required of an install."""
    site = signed.site()
    full = site.lifecycle_body("installed", {"sharedSecret": site.secret})
    body = {name: full[name] for name in ("key", "clientKey", "eventType", "sharedSecret", "baseUrl")}
    assert site.send("installed", body, site.lifecycle_token("installed", alg="RS256")).status == 204
    assert site.enable().status == 204


@pytest.mark.parametrize("client_key", ["jira:15489595", "acme.atlassian.net", "0f3c-11", "a" * 255])
def test_client_keys_are_opaque(signed: House, client_key: str) -> None:
    """A client key may be a UUID, a number with a prefix or a host name."""
    unique = f"{client_key[:200]}-{time.time_ns()}"[:255]
    site = signed.installed(client_key=unique)
    assert signed.known(site.client_key).client_key == unique


@pytest.mark.parametrize("kind", ["installed", "enabled"])
def test_too_big_body(signed: House, kind: str) -> None:
    """A lifecycle body over 256 KiB is 413, and changes nothing."""
    site = signed.installed()
    before = signed.trail(site.client_key)
    body = site.lifecycle_body(kind, {"sharedSecret": tokens.new_secret(), "padding": "x" * 300 * 1024})
    alg = "RS256" if kind == "installed" else "HS256"
    assert site.send(kind, body, site.lifecycle_token(kind, alg=alg)).status == 413
    assert signed.trail(site.client_key) == before


def test_too_big_body_in_chunks(signed: House) -> None:
    """A body whose length is not announced is counted as it comes: 413 all the same."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = b"POST /installed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = raw_exchange(signed.url, head + chunk * 5 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_big_body_below_the_limit(signed: House) -> None:
    """A body of 200 KiB is taken."""
    site = signed.site()
    assert site.install(True, body_extra={"padding": "x" * 200 * 1024}).status == 204
    assert len(json.dumps(site.lifecycle_body("installed"))) < 256 * 1024
