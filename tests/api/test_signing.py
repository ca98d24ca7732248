"""`POST /sign`: tokens for the app's own calls, for callers with an API token of the right scope."""

from collections.abc import Iterator

import httpx
import pytest

from support.house import APP_KEY, House
from tenure.domain import qsh
from tenure.simulator import tokens
from tenure.simulator.site import Site
from tenure.store.key_file import KeyFile
from tenure.store.tokens import ApiTokens

URL = "/rest/api/3/issue/TEN-1?expand=names&jql=a+b"


@pytest.fixture(scope="module")
def access(signed: House) -> Iterator[dict[str, str]]:
    """An API token of scope `sign` and one of scope `audit`."""
    store = ApiTokens(KeyFile(signed.folder / "keys.db"))
    yield {scope: store.create(f"{scope}-test", (scope,), 1)[0] for scope in ("sign", "audit")}
    store.close()


def _sign(house: House, token: str | None, tenant: str, url: str = URL, method: str = "GET") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"tenant": tenant, "method": method, "url": url}
    return httpx.post(f"{house.service.internal_url}/sign", json=body, headers=headers)


@pytest.mark.parametrize("name", ["client key", "host", "URL"])
def test_signed_for_a_tenant(signed: House, access: dict[str, str], name: str) -> None:
    """The token is the app's, for one URL, three minutes long, signed by the tenant's current secret."""
    site = signed.installed()
    assert site.rotate().status == 204
    named = {"client key": site.client_key, "host": site.base_url.partition("://")[2], "URL": site.base_url}[name]
    answer = _sign(signed, access["sign"], named, site.base_url + URL)
    assert answer.status_code == 200
    body = answer.json()
    assert (set(body), body["base_url"]) == ({"token", "expires_at", "base_url"}, site.base_url)
    _, claims = tokens.read(body["token"])
    assert (claims["iss"], claims["exp"] - claims["iat"]) == (APP_KEY, 180)
    path, _, query = URL.partition("?")
    assert claims["qsh"] == qsh.request_hash("GET", path, query, "")
    signing_input, _, signature = body["token"].rpartition(".")
    assert tokens.b64url(tokens.sign_hs256(signing_input.encode(), site.secret.encode())) == signature


def test_outgoing_token_is_never_accepted_inbound(signed: House, access: dict[str, str]) -> None:
    """A token for an outgoing call opens nothing here."""
    site = signed.installed()
    token = _sign(signed, access["sign"], site.client_key, "/page").json()["token"]
    assert signed.page(site, token).status_code == 401


def test_who_may_sign(signed: House, access: dict[str, str]) -> None:
    """No API token and an invented one are 401, one of another scope 403."""
    site = signed.installed()
    statuses = [_sign(signed, token, site.client_key).status_code for token in (None, "tnr_invented", access["audit"])]
    assert statuses == [401, 401, 403]


def test_what_cannot_be_signed(signed: House, access: dict[str, str]) -> None:
    """Another host's URL is 400, an unknown tenant 404, an uninstalled one 409."""
    site: Site = signed.installed()
    evil = site.base_url + ".evil.example"
    for url in ("https://evil.example/x", evil, f"{site.base_url}@evil.example/", "//evil.example/x", "relative"):
        assert _sign(signed, access["sign"], site.client_key, url).status_code == 400
    assert _sign(signed, access["sign"], "nobody").status_code == 404
    assert site.uninstall().status == 204
    assert _sign(signed, access["sign"], site.client_key).status_code == 409


def test_base_url_with_a_path_is_stripped(signed: House, access: dict[str, str]) -> None:
    """For a site whose base URL has a path the hash is over what comes after it."""
    site = signed.installed(base_url="https://with-path.atlassian.net/wiki")
    token = _sign(signed, access["sign"], site.client_key, f"{site.base_url}/rest/x").json()["token"]
    assert tokens.read(token)[1]["qsh"] == qsh.request_hash("GET", "/rest/x", "", "")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tenant":1}', b'{"tenant":"a","method":"GET"}', b"\xff"])
def test_bad_bodies(signed: House, access: dict[str, str], body: bytes) -> None:
    """A body that is not the three texts is 400."""
    headers = {"Authorization": f"Bearer {access['sign']}"}
    assert httpx.post(f"{signed.service.internal_url}/sign", content=body, headers=headers).status_code == 400
