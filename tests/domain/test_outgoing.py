"""Tokens for calls to the site: what they claim, and for which URLs they are made."""

import jwt
import pytest

from tenure.domain.outgoing import sign
from tenure.domain.qsh import request_hash

SECRET = b"s" * 32
NOW = 1_800_000_000
CLOUD, SERVER = "https://acme.atlassian.net", "https://Jira.example.com:8443/jira/"


def qsh_of(base_url: str, method: str, url: str) -> str:
    """The hash in the token made for a call."""
    made = sign("com.example.app", SECRET, base_url, method, url, NOW)
    claims = jwt.decode(made.token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert claims == {"iss": "com.example.app", "iat": NOW, "exp": NOW + 180, "qsh": claims["qsh"]}
    assert made.expires_at == NOW + 180
    return str(claims["qsh"])


@pytest.mark.parametrize(
    ("base_url", "url", "path", "query"),
    [
        (CLOUD, "/rest/api/2/issue?expand=names&jql=a%20b", "/rest/api/2/issue", "expand=names&jql=a%20b"),
        (CLOUD, "https://acme.atlassian.net/rest/x?a=1", "/rest/x", "a=1"),
        (CLOUD, "https://ACME.atlassian.net/rest/x", "/rest/x", ""),
        (CLOUD, "https://acme.atlassian.net", "/", ""),
        (SERVER, "https://jira.example.com:8443/jira/rest/x", "/rest/x", ""),
        (SERVER, "https://jira.example.com:8443/jira", "/", ""),
        (SERVER, "/jira/rest/x", "/rest/x", ""),
        (SERVER, "/rest/x", "/rest/x", ""),
        ("https://jira.example.com/boX/", "/boX/rest", "/rest", ""),
        ("https://jira.example.com/boX", "https://jira.example.com/boX/rest", "/rest", ""),
    ],
)
def test_a_token_is_bound_to_one_url_of_the_site(base_url: str, url: str, path: str, query: str) -> None:
    """Three minutes, by the app, and the hash of method, query and the path below the site's base URL."""
    for method in ("GET", "PUT"):
        assert qsh_of(base_url, method, url) == request_hash(method, path, query)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (CLOUD, "https://evil.example/rest/x"),
        (CLOUD, "http://acme.atlassian.net/rest/x"),
        (CLOUD, "https://acme.atlassian.net:8443/rest/x"),
        (CLOUD, "//evil.example/rest/x"),
        (CLOUD, "//acme.atlassian.net/rest/x"),
        (CLOUD, "https:/rest/x"),
        (SERVER, "https://jira.example.com:8443/jirax/rest"),
        (SERVER, "https://jira.example.com:8443/rest"),
        (SERVER, "https://jira.example.com:8443"),
    ],
)
def test_no_token_is_made_for_another_place(base_url: str, url: str) -> None:
    """Another scheme, host, port or path than the site's: refused, with both named."""
    with pytest.raises(ValueError, match="is not below the tenant's base URL") as caught:
        sign("com.example.app", SECRET, base_url, "GET", url, NOW)
    assert url in str(caught.value)


@pytest.mark.parametrize("url", ["", "rest/x", "?a=1", "XX/rest"])
def test_a_relative_url_begins_with_a_slash(url: str) -> None:
    """A path that does not say where it begins is refused."""
    with pytest.raises(ValueError, match="a path that begins with /"):
        sign("com.example.app", SECRET, CLOUD, "GET", url, NOW)
