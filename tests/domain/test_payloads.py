"""Lifecycle bodies at the border: which are taken, which are refused and why."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.api.payloads import check_site, client_key_of, parse, read_object
from tenure.domain.callbacks import Callback, Payload
from tenure.domain.refusals import Reason, Refused

KEY, SITES = "com.example.app", (".atlassian.net", ".jira.com")
BODY: dict[str, Any] = {
    "key": KEY,
    "clientKey": "client-1",
    "eventType": "installed",
    "sharedSecret": "s" * 32,
    "baseUrl": "https://acme.atlassian.net",
    "productType": "jira",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def parsed(callback: Callback = Callback.INSTALLED, **more: Any) -> Payload:
    """The payload of the usual body with some members replaced; read from its JSON."""
    body = {**BODY, "eventType": callback.value, **more}
    return parse(callback, read_object(json.dumps(body).encode()), KEY, SITES)


def reason(callback: Callback = Callback.INSTALLED, **more: Any) -> Reason | None:
    """Why a body is refused, None if it is taken."""
    try:
        parsed(callback, **more)
    except Refused as refused:
        return refused.reason
    return None


@given(body=st.binary(), callback=st.sampled_from(Callback))
def test_any_bytes_are_a_payload_or_refused(body: bytes, callback: Callback) -> None:
    """No body raises anything but a refusal."""
    members = read_object(body)
    client_key_of(members)
    with pytest.raises(Refused):
        parse(callback, members, KEY, SITES)


@given(
    callback=st.sampled_from(Callback),
    more=st.dictionaries(
        st.sampled_from(["clientKey", "sharedSecret", "baseUrl", "displayUrl", "accountId", "installationId", "odd"]),
        JSON,
    ),
)
def test_any_json_in_a_known_member_is_taken_or_refused(callback: Callback, more: dict[str, Any]) -> None:
    """No JSON value of any member raises anything but a refusal."""
    assert reason(callback, **more) in (None, Reason.PAYLOAD_INVALID, Reason.SITE_NOT_ALLOWED)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"key":1,"key":2}', b"{", b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}']
)
def test_a_body_that_is_no_strict_object_is_invalid(body: bytes) -> None:
    """Loose JSON is no payload and names no client key."""
    assert read_object(body) is None
    assert client_key_of(read_object(body)) is None
    with pytest.raises(Refused) as caught:
        parse(Callback.INSTALLED, read_object(body), KEY, SITES)
    assert caught.value.reason == Reason.PAYLOAD_INVALID


def test_a_good_install_is_read_whole() -> None:
    """Secret and site are taken, a trailing slash is not, personal and unknown members are kept apart."""
    found = parsed(baseUrl="https://acme.atlassian.net/wiki/", accountId="a", description="d", odd={"x": [1]})
    assert found.site is not None
    assert (found.client_key, found.secret) == ("client-1", b"s" * 32)
    assert (found.site.base_url, found.site.product_type) == ("https://acme.atlassian.net/wiki", "jira")
    assert json.loads(found.personal) == {"accountId": "a", "description": "d", "odd": {"x": [1]}}


@pytest.mark.parametrize("callback", [Callback.UNINSTALLED, Callback.ENABLED, Callback.DISABLED])
def test_only_an_install_brings_a_secret(callback: Callback) -> None:
    """From any other body secret and site are dropped, and it needs neither."""
    found = parsed(callback)
    assert (found.secret, found.site) == (b"", None)
    assert "sharedSecret" not in found.personal
    assert reason(callback, sharedSecret=None, baseUrl=None) is None
    assert reason(callback, sharedSecret="short") is None


@pytest.mark.parametrize(
    ("secret", "taken"),
    [
        ("s" * 16, True),
        ("s" * 400, True),
        ("s" * 4096, True),
        ("é" * 8, True),
        ("é" * 2048, True),
        ("s" * 15, False),
        ("s" * 4097, False),
        ("é" * 2049, False),
        ("", False),
        (None, False),
        (1234567890123456, False),
        (["s" * 32], False),
    ],
)
def test_a_secret_is_16_to_4096_bytes(secret: Any, taken: bool) -> None:
    """Bytes are counted, not letters; empty or null is missing."""
    assert reason(sharedSecret=secret) == (None if taken else Reason.PAYLOAD_INVALID)


def test_a_refusal_never_holds_the_secret() -> None:
    """A refusal names the member that is wrong, never what it holds."""
    with pytest.raises(Refused) as caught:
        parsed(sharedSecret=["very-secret"], productType=7)
    assert caught.value.detail == "productType, sharedSecret"


@pytest.mark.parametrize("name", ["displayUrl", "productType", "installationId", "cloudId", "accountId", "description"])
def test_null_counts_as_not_told(name: str) -> None:
    """A known member that is null is as if it were not there."""
    null: dict[str, Any] = {name: None}
    without: dict[str, Any] = {"productType": ""} if name == "productType" else {}
    assert parsed(**null) == parsed(**without)


@pytest.mark.parametrize("name", ["clientKey", "key", "eventType", "baseUrl", "sharedSecret"])
def test_what_an_install_needs_may_not_be_null(name: str) -> None:
    """A required member that is null refuses."""
    null: dict[str, Any] = {name: None}
    assert reason(**null) is not None


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\n", 1, None, True, ["a"]])
def test_a_client_key_is_plain_text(key: Any) -> None:
    """A client key that is empty, too long, not ASCII or with blanks is invalid."""
    assert reason(clientKey=key) == Reason.PAYLOAD_INVALID


@pytest.mark.parametrize("key", ["jira:15489595", "acme.atlassian.net", "x" * 255])
def test_a_client_key_is_opaque(key: str) -> None:
    """All known spellings of client keys are taken as they are."""
    assert parsed(clientKey=key).client_key == key


def test_snake_case_members_are_unknown_ones() -> None:
    """A member spelled as in our code is unknown, kept as such and never taken for the known one."""
    found = parsed(shared_secret="x" * 20, base_url="https://evil.example", client_key="other")
    assert found.site is not None
    assert (found.secret, found.client_key, found.site.base_url) == (b"s" * 32, "client-1", BODY["baseUrl"])


def test_the_order_is_app_event_type_site_fields() -> None:
    """Where several things are wrong, the first of app, event type, site and fields is reported."""
    wrong: dict[str, Any] = {"sharedSecret": ""}
    assert reason(**wrong) == Reason.PAYLOAD_INVALID
    wrong |= {"baseUrl": "https://evil.example"}
    assert reason(**wrong) == Reason.SITE_NOT_ALLOWED
    wrong |= {"eventType": "enabled"}
    assert reason(**wrong) == Reason.EVENT_TYPE_MISMATCH
    wrong |= {"key": "other"}
    assert reason(**wrong) == Reason.APP_MISMATCH


def site_reason(url: Any, sites: tuple[str, ...] = SITES) -> Reason | None:
    """Why a base URL is refused, None if it is allowed."""
    try:
        check_site(url, sites)
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.atlassian.net",
        "https://ACME.Atlassian.NET",
        "HTTPS://acme.atlassian.net/wiki",
        "https://acme.atlassian.net:443",
        "https://acme.jira.com",
        "https://a.b.atlassian.net",
    ],
)
def test_sites_below_a_suffix_are_allowed(url: str) -> None:
    """Any host below an allowed suffix, in any case, on the usual port."""
    assert site_reason(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.atlassian.net.evil.com",
        "https://evilatlassian.net",
        "https://atlassian.net",
        "https://acme.atlassian.net:8443",
        "https://acme.atlassian.net:80",
        "https://evil.com/.atlassian.net",
        "https://127.0.0.1",
        "https://[::1]",
    ],
)
def test_other_sites_are_not_allowed(url: str) -> None:
    """A host that only looks like an allowed one, and another port, are refused as a site."""
    assert site_reason(url) == Reason.SITE_NOT_ALLOWED


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.atlassian.net",
        "http://acme.atlassian.net",
        "ftp://acme.atlassian.net",
        "javascript://acme.atlassian.net",
        "//acme.atlassian.net",
        "https://",
        "https:acme.atlassian.net",
        "https://user@acme.atlassian.net",
        "https://user:pass@acme.atlassian.net",
        "https://@acme.atlassian.net",
        "https://evil.com\\.atlassian.net",
        "https://evil.com\\@acme.atlassian.net",
        "https://evil.com?.atlassian.net",
        "https://evil.com#.atlassian.net",
        "https://acme.atlassian.net:x",
        "https://.atlassian.net",
        "https://acme.atlassian.net.",
        "https://evil.com/x@acme.atlassian.net",
        "https://evil.com%2f.atlassian.net",
        "https://evil.com;.atlassian.net",
        "https://evil.com&.atlassian.net",
        "https://evil.com<>.atlassian.net",
        "https://*.atlassian.net",
        "https://a..atlassian.net",
        "https://-.atlassian.net",
        "https://acme.atlassian.net?",
        "https://acme.atlassian.net#",
        "https://acme.atlassian.net:",
        "https://acme.atlassian.net/../x",
        "https://[acme.atlassian.net",
        "https://acme.atlassian.net\n",
        "https://acme .atlassian.net",
        " https://acme.atlassian.net",
        "https://acmé.atlassian.net",
        "https://acme。atlassian.net",
        "https://acme.atlassian.net/" + "x" * 2000,
        None,
        1,
        True,
        ["https://acme.atlassian.net"],
    ],
)
def test_what_is_no_plain_site_url_is_invalid(url: Any) -> None:
    """Users, queries, fragments, backslashes, blanks, other schemes and other types are no base URL."""
    assert site_reason(url) == Reason.PAYLOAD_INVALID


def test_a_site_named_in_full_is_allowed_alone() -> None:
    """An allowed site without a leading dot is that host and none below it."""
    assert site_reason("https://jira.example", ("jira.example",)) is None
    assert site_reason("https://a.jira.example", ("jira.example",)) == Reason.SITE_NOT_ALLOWED


def test_http_and_ports_are_for_loopback() -> None:
    """A loopback site may be http on any port, if it is allowed at all."""
    for url in ("http://localhost:2990/jira", "https://localhost", "http://127.0.0.1:8080"):
        assert site_reason(url, ("localhost", "127.0.0.1")) is None
        assert site_reason(url) == Reason.SITE_NOT_ALLOWED


@given(url=st.text())
def test_any_url_is_allowed_or_refused(url: str) -> None:
    """No text as a base URL raises anything but a refusal."""
    site_reason(url)
    site_reason(f"https://{url}.atlassian.net")


@pytest.mark.parametrize("odd", ["1180591620717411303424", "[" * 200 + "]" * 200, '"\\\\u0000"', "1.5e300"])
def test_unknown_fields_of_any_kind_are_kept(odd: str) -> None:
    """Long numbers, nested lists and an escaped backslash in an unknown field are taken as they came."""
    body = json.dumps(BODY | {"odd": "@"}).replace('"@"', odd).encode()
    found = parse(Callback.INSTALLED, read_object(body), KEY, SITES)
    assert json.loads(found.personal)["odd"] == json.loads(odd)


@pytest.mark.parametrize("odd", ["1e999", "-1e999", '"\\u0000"', '"\\ud800"', "NaN", "[" * 100_000])
def test_what_is_no_sound_json_is_no_body(odd: str) -> None:
    """Numbers without end, NUL, lone surrogates and bottomless nesting make no body."""
    assert read_object(b'{"odd": ' + odd.encode() + b"}") is None
