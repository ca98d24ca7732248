"""The URI that is checked is the URI that the app gets, and no path leads from an open place into a closed one."""

import re
from pathlib import Path

import pytest

from support.house import House
from support.proxies import NAMES, Front, Proxy

ODD = (
    "/page//two", "/page/./two", "/page/../two", "/pa%67e", "/a%2Fb", "/a%2fb", "/a%25b", "/a;v=1/b", "/a,b/c(d)",
    "/p%C3%A4ge", "/page/", "/page?", "/page?a", "/page?a=%20+%2B", "/page?a;b=1", "/page?a=[1]", "/~a/b:c@d",
)  # fmt: skip
TRAEFIK_CHANGES = ("/page//two", "/page/./two", "/page/../two", "/pa%67e", "/a%2fb", "/page?a;b=1")
ESCAPES = (
    "/static/../page", "/static/%2e%2e/page", "/static/..%2fpage", "/static/%2e%2e%2fpage", "/static/x/../../page",
    "/static/..\\page", "/static/..%5cpage", "/static//../../page", "/static/..;/page", "/static/.%2e/page",
    "//page", "/./page", "/%70age", "/webhooks/../page", "/installed/../page", "/atlassian-connect.json/../page",
    "/STATIC/../page", "/page/../static/x", "/page/..%2fstatic/x", "/page/%2e%2e/static/x", "/page%2f..%2fstatic/x",
    "/page/..%2f/static/x", "/page/..\\static\\x", "/static/%00x", "/static/x%0a", "/static/x%3fy", "/static/x;y",
)  # fmt: skip
PLAIN = re.compile(r"/static/([A-Za-z0-9_-][A-Za-z0-9._-]*/?)+(\?|\Z)")


def _send(front: Front, uri: str, token: str = "") -> tuple[int, list[str]]:
    """Status, and the raw targets that the app saw."""
    front.house.receiver.clear()
    bearer = f"Authorization: JWT {token}\r\n" if token else ""
    head = f"GET {uri} HTTP/1.1\r\nHost: {front.proxy.host}\r\nConnection: close\r\n{bearer}\r\n"
    status = int(front.proxy.raw(head.encode()).split(b" ", 2)[1])
    return status, [received.path for received in front.seen()]


def test_what_is_checked_is_what_the_app_gets(front: Front) -> None:
    """A URI signed in its raw form passes and arrives raw; Traefik tidies some first, and those are then refused."""
    site, wrong = front.installed(), []
    for uri in ODD:
        path, _, query = uri.partition("?")
        status, seen = _send(front, uri, site.page_token("GET", path, query))
        changed = front.proxy.name == "traefik" and uri in TRAEFIK_CHANGES
        wanted = (401, []) if changed else (200, [uri.removesuffix("?")])
        if (status, [target.removesuffix("?") for target in seen]) != wanted:
            wrong.append((uri, status, seen))
    assert wrong == []


def test_no_path_leads_out_of_the_open_places(front: Front) -> None:
    """Without a token the app gets plain paths below `/static/` and nothing that it could read as another one."""
    seen = [target for uri in ESCAPES for target in _send(front, uri)[1]]
    assert [target for target in seen if not PLAIN.match(target)] == []


def test_a_context_token_opens_the_front_ends_routes_only(front: Front) -> None:
    """A token of the front end is bound to no URL: it opens plain paths below `/api/`, no odd spelling of others."""
    token = front.installed().page_token("GET", "/", context=True)
    for uri in ESCAPES:
        for target in _send(front, uri.replace("static", "api"), token)[1]:
            assert PLAIN.match(target.replace("/api/", "/static/", 1)), (uri, target)


def test_plain_paths_of_the_open_places_are_open(front: Front) -> None:
    """What the patterns are for passes, with its query."""
    for uri in ("/static/app.js?v=1", "/static/css/v1.2/main.min.css", "/static/a/"):
        assert _send(front, uri) == (200, [uri])


PREFIXED = {
    "nginx": {"~ ^/(installed": "~ ^/addon/(installed", "~ ^/webhooks": "~ ^/addon/webhooks"},
    "caddy": {
        "/installed /uninstalled /enabled /disabled /webhooks /webhooks/*": "/addon/installed /addon/uninstalled "
        "/addon/enabled /addon/disabled /addon/webhooks /addon/webhooks/*"
    },
    "traefik": {f"Path(`/{name}`)": f"Path(`/addon/{name}`)" for name in ("installed", "uninstalled", "enabled")}
    | {"PathPrefix(`/webhooks/`)": "PathPrefix(`/addon/webhooks/`)"},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_base_url_with_a_path_keeps_it(name: str, tmp_path: Path) -> None:
    """With a base URL below `/addon` nothing is stripped: Tenure takes it off the hash, the app gets the whole path."""
    (tmp_path / "proxy").mkdir()
    settings = {"FORWARD_AUTH": name, "BASE_URL": "https://app.example.com/addon"}
    with (
        House(tmp_path, settings) as house,
        Proxy(
            name, tmp_path / "proxy", house.url, house.service.internal_url, house.receiver.url, PREFIXED[name]
        ) as proxy,
        proxy.client() as client,
    ):
        front = Front(house, proxy, client)
        site = front.installed()
        assert site.webhook(path="/issues").status == 200
        for uri, token in (("/addon/page", site.page_token("GET", "/page")), ("/addon", site.page_token("GET", "/"))):
            assert front.ask("GET", uri, token).status_code == 200
            assert [received.path for received in front.seen()] == [uri]
