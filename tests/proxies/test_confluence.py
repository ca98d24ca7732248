"""A Confluence site, whose base URL ends in /wiki: what it sends is checked, what the app sends it can check."""

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from atlassian_jwt import url_utils

from support.apps import APPS
from support.house import APP_KEY, House
from tenure.simulator import tokens
from tenure.simulator.receiver import Receiver
from tenure.simulator.site import Site
from tenure.store.key_file import KeyFile
from tenure.store.tokens import ApiTokens


@pytest.fixture(scope="module")
def wiki() -> Iterator[Receiver]:
    """The site's REST API, as a real server."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that takes sites on loopback."""
    with House(tmp_path_factory.mktemp("wiki"), {"ALLOWED_SITES": ".atlassian.net,127.0.0.1"}) as house:
        yield house


@pytest.fixture
def confluence(house: House, wiki: Receiver) -> Site:
    """A Confluence site that has installed the app."""
    site = house.site(base_url=f"{wiki.url}/wiki")
    assert site.install(body_extra={"productType": "confluence"}).status == 204
    assert site.enable().status == 204
    return site


@pytest.fixture
def call(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., httpx.Response]:
    """The how-to's function, with an API token of its own."""
    store = ApiTokens(KeyFile(Path(house.folder) / "keys.db"))
    token = store.create(f"backend-{len(store.listing())}", ("sign",), 1)[0]
    store.close()
    monkeypatch.setenv("TENURE_API_TOKEN", token)
    monkeypatch.setenv("TENURE_INTERNAL_URL", house.service.internal_url)
    found: Callable[..., httpx.Response] = runpy.run_path(str(APPS / "site_call.py"))["call"]
    return found


def test_what_comes_in_is_signed_over_the_apps_own_path(house: House, confluence: Site) -> None:
    """Lifecycle, webhooks and pages of a Confluence site pass: /wiki has no part in their hashes."""
    assert confluence.webhook("page_created").status == 200
    answer = house.page(confluence)
    assert (answer.status_code, answer.headers["x-tenure-base-url"]) == (200, confluence.base_url)
    assert confluence.uninstall().status == 204


@pytest.mark.parametrize("path", ["/rest/api/content?limit=10&expand=b,a", "/rest/api/content/1/child?x=a%20b&x=c"])
def test_what_goes_out_is_signed_relative_to_wiki(
    confluence: Site, wiki: Receiver, call: Callable[..., Any], path: str
) -> None:
    """The site gets the call below /wiki, with a token whose hash an independent implementation agrees to."""
    wiki.clear()
    assert call(confluence.client_key, "GET", path).status_code == 200
    (received,) = wiki.received
    assert received.path == f"/wiki{path}"
    token = (received.header("Authorization") or "").removeprefix("JWT ")
    claims = jwt.decode(token, confluence.secret, algorithms=["HS256"])
    assert (claims["iss"], claims["qsh"]) == (APP_KEY, url_utils.hash_url("GET", path))


def _sign(house: House, tenant: str, url: str) -> httpx.Response:
    body = {"tenant": tenant, "method": "GET", "url": url}
    headers = {"Authorization": f"Bearer {os.environ['TENURE_API_TOKEN']}"}
    return httpx.post(f"{house.service.internal_url}/sign", json=body, headers=headers)


@pytest.mark.usefixtures("call")
def test_all_spellings_of_a_url_give_the_same_hash(house: House, confluence: Site) -> None:
    """Relative, with /wiki, or whole: the same hash; a URL of the host's Jira is refused."""
    path = "/rest/api/content?limit=10"
    hashes = {
        tokens.read(_sign(house, confluence.client_key, url).json()["token"])[1]["qsh"]
        for url in (path, f"/wiki{path}", f"{confluence.base_url}{path}")
    }
    assert len(hashes) == 1
    elsewhere = f"{confluence.base_url.removesuffix('/wiki')}/rest/api/3/myself"
    assert _sign(house, confluence.client_key, elsewhere).status_code == 400


@pytest.mark.usefixtures("call")
def test_a_host_with_both_products_is_ambiguous(house: House) -> None:
    """Jira and Confluence of one host are two tenants: naming the host is refused, naming the client key is not."""
    host = "https://both.atlassian.net"
    jira, confluence = house.installed(base_url=host), house.installed(base_url=f"{host}/wiki")
    assert _sign(house, "both.atlassian.net", "/rest/x").status_code == 409
    for site in (jira, confluence):
        answer = _sign(house, site.client_key, "/rest/x")
        assert answer.json()["base_url"] == site.base_url
