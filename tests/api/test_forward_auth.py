"""Forward auth: what a proxy asks, whose headers are believed, and who the caller is."""

from collections.abc import Iterator

import httpx
import pytest

from support.house import APP_KEY, House
from tenure.simulator import tokens
from tenure.simulator.site import Site

FAMILIES = {
    "traefik": ("X-Forwarded-Method", "X-Forwarded-Uri"),
    "caddy": ("X-Forwarded-Method", "X-Forwarded-Uri"),
    "nginx": ("X-Original-Method", "X-Original-URI"),
}
IDENTITY = ("client-key", "base-url", "account-id", "enabled", "installation-id", "app-key", "decision")

Pairs = list[tuple[str, str]]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service for one proxy family."""
    with House(tmp_path_factory.mktemp(request.param), {"FORWARD_AUTH": request.param}) as house:
        yield house


def _names(house: House) -> tuple[str, str]:
    return FAMILIES[house.settings["FORWARD_AUTH"]]


def _other(house: House) -> tuple[str, str]:
    return FAMILIES["traefik" if house.settings["FORWARD_AUTH"] == "nginx" else "nginx"]


def _asked(house: House, uri: str, token: str | None = None, method: str = "GET") -> Pairs:
    names = _names(house)
    bearer = [("Authorization", f"JWT {token}")] if token else []
    return [(names[0], method), (names[1], uri), *bearer]


def _identity(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers[f"x-tenure-{name}"] for name in IDENTITY}


def _why(house: House, answer: httpx.Response) -> str:
    assert answer.status_code == 401
    assert not [name for name in answer.headers if name.startswith("x-tenure-") and name != "x-tenure-decision"]
    return house.reason(answer)


def test_accepted_call_has_all_identity_headers(family: House) -> None:
    """A 200 has all seven identity headers, with the user where the token names one."""
    site = family.installed()
    token = site.page_token("GET", "/page", "a=b", account_id="account-7")
    answer = family.forward_auth(_asked(family, "/page?a=b", token))
    assert answer.status_code == 200
    found = _identity(answer)
    assert found.pop("decision") == family.decision(answer)["decision"]
    assert found == {
        "client-key": site.client_key,
        "base-url": site.base_url,
        "account-id": "account-7",
        "enabled": "true",
        "installation-id": "",
        "app-key": APP_KEY,
    }


def test_unknown_identity_is_empty_not_missing(family: House) -> None:
    """What is not known is an empty header, so that the proxy overwrites what a client sent."""
    site = family.site()
    assert site.install(body_extra={"installationId": "installation-1"}).status == 204
    answer = family.forward_auth(_asked(family, "/page", site.page_token("GET", "/page")))
    assert (answer.status_code, _identity(answer)["account-id"], _identity(answer)["enabled"]) == (200, "", "false")
    assert _identity(answer)["installation-id"] == "installation-1"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_token_in_the_query(family: House, method: str) -> None:
    """The token may come in the original URI's `jwt` parameter, under any method."""
    site = family.installed()
    token = site.page_token(method, "/page", "x=1")
    assert family.forward_auth(_asked(family, f"/page?x=1&jwt={token}", method=method)).status_code == 200


def test_two_tokens_are_refused(family: House) -> None:
    """A token in the query and one in the header are refused, even if both are good or the same."""
    site = family.installed()
    token = site.page_token("GET", "/page")
    doubled = family.forward_auth(_asked(family, f"/page?jwt={token}", token))
    twice = family.forward_auth(_asked(family, f"/page?jwt={token}&jwt={token}"))
    lines = family.forward_auth([*_asked(family, "/page", token), ("Authorization", f"JWT {token}")])
    assert [_why(family, answer) for answer in (doubled, twice, lines)] == ["token_ambiguous"] * 3


def test_headers_of_the_other_family_change_nothing(family: House) -> None:
    """Only the configured proxy's headers are believed; the other family's neither help nor hurt."""
    site = family.installed()
    token, method, uri = site.page_token("GET", "/page"), *_other(family)
    alone = family.forward_auth([(method, "GET"), (uri, "/page"), ("Authorization", f"JWT {token}")])
    assert _why(family, alone) == "request_ambiguous"
    beside = family.forward_auth([*_asked(family, "/page", token), (method, "DELETE"), (uri, "/admin")])
    assert beside.status_code == 200
    moved = family.forward_auth([*_asked(family, "/admin", token), (method, "GET"), (uri, "/page")])
    assert _why(family, moved) == "qsh_mismatch"


@pytest.mark.parametrize("which", [0, 1])
def test_doubled_or_missing_headers_are_refused(family: House, which: int) -> None:
    """Each of the two headers must be there exactly once."""
    site = family.installed()
    asked = _asked(family, "/page", site.page_token("GET", "/page"))
    doubled = family.forward_auth([*asked, asked[which]])
    missing = family.forward_auth([pair for pair in asked if pair != asked[which]])
    assert [_why(family, doubled), _why(family, missing)] == ["request_ambiguous"] * 2


@pytest.mark.parametrize("uri", ["page", "", "http://a/page", "/pa ge", "/page\u00ff"])
def test_odd_original_uris_are_refused(family: House, uri: str) -> None:
    """An original URI that is no path and query in plain ASCII is refused."""
    asked = [
        (n.encode(), v.encode("latin-1")) for n, v in _asked(family, uri, family.installed().page_token("GET", "/"))
    ]
    answer = httpx.get(f"{family.service.internal_url}/forward-auth", headers=asked)
    assert _why(family, answer) == "request_ambiguous"


def test_spoofed_identity_headers_change_nothing(family: House) -> None:
    """Identity headers that a client sent do not come back, nor do they let it in."""
    site, victim = family.installed(), family.installed()
    spoofed = [(f"X-Tenure-{name}", victim.client_key) for name in IDENTITY]
    answer = family.forward_auth([*_asked(family, "/page", site.page_token("GET", "/page")), *spoofed])
    assert answer.status_code == 200
    assert victim.client_key not in str(answer.headers)
    assert _why(family, family.forward_auth([*_asked(family, "/page"), *spoofed])) == "token_missing"


def test_method_and_uri_are_what_is_hashed(family: House) -> None:
    """A token holds for its method, path and query, and for no other."""
    site = family.installed()
    token = site.page_token("GET", "/page", "a=1")
    for method, uri in (("POST", "/page?a=1"), ("GET", "/pages?a=1"), ("GET", "/page?a=2"), ("GET", "/page?a=1&b=")):
        assert _why(family, family.forward_auth(_asked(family, uri, token, method))) == "qsh_mismatch"


def test_the_proxys_own_method_does_not_matter(family: House) -> None:
    """The proxy may ask with any method of its own; what is checked is the original one."""
    site = family.installed()
    headers = _asked(family, "/page", site.page_token("PUT", "/page"), "PUT")
    for method in ("GET", "POST", "PUT", "HEAD"):
        assert httpx.request(method, f"{family.service.internal_url}/forward-auth", headers=headers).status_code == 200


def test_front_end_routes_take_context_tokens_only(family: House) -> None:
    """`accept=context` takes tokens of the front end and only those; everywhere else they are refused."""
    site = family.installed()
    context = site.page_token("GET", "/page", context=True)
    bound = site.page_token("GET", "/page")
    assert family.forward_auth(_asked(family, "/other", context), "?accept=context").status_code == 200
    assert _why(family, family.forward_auth(_asked(family, "/page", bound), "?accept=context")) == "context_required"
    assert _why(family, family.forward_auth(_asked(family, "/page", context))) == "context_not_allowed"
    # the client's own query cannot ask for it
    assert _why(family, family.forward_auth(_asked(family, "/page?accept=context", context))) == "context_not_allowed"


def test_tokens_that_are_not_the_tenants(family: House) -> None:
    """Bearer tokens, install-key tokens, the app's own outgoing tokens and stale ones are refused."""
    site = family.installed()
    names = _names(family)
    good = site.page_token("GET", "/page")
    bearer = [(names[0], "GET"), (names[1], "/page"), ("Authorization", f"Bearer {good}")]
    assert _why(family, family.forward_auth(bearer)) == "token_missing"
    for token, reason in (
        (_rs256(site), "algorithm_not_allowed"),
        (site.page_token("GET", "/page", iss=APP_KEY), "tenant_unknown"),
        (site.page_token("GET", "/page", secret=tokens.new_secret()), "signature_bad"),
        (site.page_token("GET", "/page", iat=1_000_000_000, exp=1_000_000_100), "expired"),
    ):
        assert _why(family, family.forward_auth(_asked(family, "/page", token))) == reason


def _rs256(site: Site) -> str:
    _, claims = tokens.read(site.page_token("GET", "/page"))
    return tokens.rs256(claims, site.key_host.private_key(site.kid), site.kid)


def test_a_page_may_be_loaded_again(family: House) -> None:
    """Tokens of ordinary calls are not spent: the same page load passes twice."""
    site = family.installed()
    asked = _asked(family, "/page", site.page_token("GET", "/page"))
    assert [family.forward_auth(asked).status_code for _ in range(2)] == [200, 200]


def test_without_a_configured_proxy(bare: House) -> None:
    """Unset, the route is 404, whatever is asked, and the public listener never has it."""
    site = bare.installed()
    assert bare.page(site).status_code == 404
    assert httpx.get(f"{bare.url}/forward-auth").status_code == 404


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that names no proxy and has no upstream."""
    with House(tmp_path_factory.mktemp("bare"), {"FORWARD_AUTH": "", "UPSTREAM_URL": ""}) as house:
        yield house


def test_refuse_disabled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With REFUSE_DISABLED a believed `disabled` refuses traffic; that no `enabled` has come yet does not."""
    with House(tmp_path_factory.mktemp("strict"), {"REFUSE_DISABLED": "on"}) as house:
        site = house.site()
        assert site.install().status == 204
        assert house.page(site).status_code == 200
        assert site.disable().status == 204
        assert _why(house, house.page(site)) == "tenant_disabled"
        assert site.enable().status == 204
        assert house.page(site).status_code == 200
