"""Who gets into the console, for how long, from where; and that each look is on record."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.auditor import token_of
from support.browser import login_code
from support.house import House
from tenure.api.console.session import COOKIE, IDLE_S, LONGEST_S, Sessions
from tenure.api.http import Call
from tenure.simulator.site import Site
from tenure.store.key_file import KeyFile
from tenure.store.tokens import ApiTokens

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def site(signed: House) -> Site:
    """A tenant to look at."""
    return signed.installed()


@pytest.fixture
def client(signed: House) -> Iterator[httpx.Client]:
    """A browser's part, without a session."""
    with httpx.Client(base_url=signed.service.internal_url, trust_env=False, timeout=15) as client:
        yield client


def login(client: httpx.Client, house: House, *scopes: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Sends the login form with a new token."""
    token = token_of(house, *(scopes or ("audit",)))
    return client.post("/console/login", data={"token": token, "next": "tenants?after=a"}, headers=headers or OURS)


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The cookie of an answer, as a browser sends it."""
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    return {"Cookie": f"{name}={value}"}


def test_the_cookie_of_a_session(signed: House, client: httpx.Client) -> None:
    """A login leads where one wanted to go, with a cookie that is short, HttpOnly, Secure and SameSite=Strict."""
    answer = login(client, signed)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/tenants?after=a"
    parts = {part.strip() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert parts == {"Path=/console/", f"Max-Age={IDLE_S}", "HttpOnly", "Secure", "SameSite=Strict"}
    page = client.get("/console/", headers=cookie_of(answer))
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in page.text
    assert "style=" not in page.text


@pytest.mark.parametrize("path", ["", "tenants", "decisions/x", "events/1", "feed", "search?q=x", "live", "nothing"])
def test_nothing_is_shown_without_a_session(client: httpx.Client, path: str) -> None:
    """Without a session every page is 401 with the login form (which remembers the page), and tells nothing."""
    for headers in ({}, {"Cookie": f"{COOKIE}=eA==.00"}, {"Cookie": f"{COOKIE}=%ff"}, {"Authorization": "Bearer x"}):
        answer = client.get(f"/console/{path}", headers=headers)
        assert answer.status_code == 401
        assert "Bearer realm" in answer.headers["www-authenticate"]
        if path != "feed":
            assert f'name="next" value="{path}"' in answer.text
    assert client.get("/console").status_code == 404


def test_a_token_of_another_scope_does_not_open(signed: House, client: httpx.Client) -> None:
    """A token without the scope audit is 403, an unknown one 401; neither gets a cookie."""
    answers = [login(client, signed, "sign"), client.post("/console/login", data={"token": "tnr_x"}, headers=OURS)]
    assert [answer.status_code for answer in answers] == [403, 401]
    assert not any("set-cookie" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
     {"Origin": "null"}, {"Sec-Fetch-Site": "none"}],
)  # fmt: skip
def test_a_form_from_elsewhere_does_nothing(signed: House, client: httpx.Client, headers: dict[str, str]) -> None:
    """A login or logout that our own page did not send is 403, with a good token, too."""
    answer = client.post("/console/login", data={"token": token_of(signed, "audit")}, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert client.post("/console/logout", headers=headers).status_code == 403


def test_an_older_browser_is_known_by_its_origin(signed: House, client: httpx.Client) -> None:
    """Where a browser does not say from where it asks, an Origin of the host that was asked counts."""
    origin = {"Origin": signed.service.internal_url}
    assert login(client, signed, headers=origin).status_code == 303


def test_revoking_the_token_ends_its_sessions(signed: House, client: httpx.Client) -> None:
    """A session ends with its token, at once; a changed cookie, and two cookies, are none."""
    cookie = cookie_of(login(client, signed))
    assert client.get("/console/", headers=cookie).status_code == 200
    text = cookie["Cookie"]
    for other in (text[:-1] + ("0" if text[-1] != "0" else "1"), f"{text}; {text}", text.replace("=", "=A", 1)):
        assert client.get("/console/", headers={"Cookie": other}).status_code == 401
    name = signed.decision(client.get("/console/", headers=cookie))["detail"].partition(":")[0]
    store = ApiTokens(KeyFile(signed.folder / "keys.db"))
    assert store.revoke(name)
    store.close()
    assert client.get("/console/", headers=cookie).status_code == 401


def test_a_login_link_opens_once(signed: House, client: httpx.Client) -> None:
    """A link's code logs in once: looking at the link does not spend it, using it does."""
    code = login_code(signed)
    for _ in range(2):
        page = client.get("/console/login", params={"code": code})
        assert page.status_code == 200
        assert "set-cookie" not in page.headers
    assert client.post("/console/login", data={"code": code}, headers=OURS).status_code == 303
    assert client.post("/console/login", data={"code": code}, headers=OURS).status_code == 401
    with signed.decisions() as decisions:
        kept = str([one.decision for one in decisions.page(limit=50)])
    assert code not in kept
    assert code not in signed.service.output


def test_every_look_is_a_decision(signed: House, client: httpx.Client, site: Site) -> None:
    """A page is a decision of kind audit, with the token's name and the query; an address only as its mark."""
    cookie = cookie_of(login(client, signed))
    answer = client.get("/console/tenants", params={"after": site.client_key[:3]}, headers=cookie)
    row = signed.decision(answer)
    assert (row["kind"], row["verdict"], row["status"]) == ("audit", "accepted", 200)
    assert row["detail"].startswith("of-the-tests-")
    assert row["detail"].endswith(f"after={site.client_key[:3]}")
    searched = signed.decision(client.get("/console/search", params={"q": "203.0.113.77"}, headers=cookie))
    assert "203.0.113.77" not in str(searched)
    assert signed.decision(client.get("/console/tenants"))["reason"] == "access_denied"


def test_failed_logins_are_bounded(tmp_path: Path) -> None:
    """After 60 failures a minute from one address a login is answered 429, as API tokens are."""
    with House(tmp_path) as house, httpx.Client(base_url=house.service.internal_url, trust_env=False) as client:
        statuses = [
            client.post("/console/login", data={"token": f"tnr_{number}"}, headers=OURS).status_code
            for number in range(75)
        ]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert statuses.count(401) <= 70


def test_any_worker_knows_a_session(tmp_path: Path) -> None:
    """With several workers a session holds in each of them, and after a restart."""
    with House(tmp_path, None, "--workers", "2") as house:
        with httpx.Client(base_url=house.service.internal_url, trust_env=False, timeout=30) as client:
            cookie = cookie_of(login(client, house))
        for _ in range(2):
            for _ in range(12):
                url = f"{house.service.internal_url}/console/tenants"
                assert httpx.get(url, headers=cookie, trust_env=False, timeout=30).status_code == 200
            house.restart()


@pytest.mark.parametrize(
    "path",
    ["tenants/%00", "tenants/%ff%fe", "tenants/%ED%A0%80", "events/-1", "events/99999999999999999999", "events/x",
     "decisions/%0a", "?a=b", "search?" + "&".join(["q=x"] * 60), "search?q=%00", "tenants?after=" + "x" * 2001,
     "incident?since=yesterday", "incident?tenant=nobody", "decisions?verdict=maybe", "events?limit=0", "x/y/z",
     "tenants/..", "static/../app.py", "static/%2e%2e%2fapp.py", "login?" + "&".join(["a=b"] * 60)],
)  # fmt: skip
def test_odd_questions_are_answered_as_such(signed: House, client: httpx.Client, path: str) -> None:
    """Whatever is asked is a page, a 400 or a 404; never a fault, and never a file that is not meant."""
    cookie = cookie_of(login(client, signed))
    answer = client.get(f"/console/{path}", headers=cookie)
    assert answer.status_code in (200, 400, 404)
    assert "import " not in answer.text


@pytest.mark.parametrize(
    "after", ["//evil.example", "/x", "\\evil", "login", "a b", "x\r\nSet-Cookie: y", "ä", "../audit/head"]
)
def test_a_login_leads_nowhere_else(signed: House, client: httpx.Client, after: str) -> None:
    """Whatever a form says, it leads to a page of the console."""
    form = {"token": token_of(signed, "audit"), "next": after}
    answer = client.post("/console/login", data=form, headers=OURS)
    assert answer.headers["location"] == "/console/"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_console_changes_nothing(signed: House, client: httpx.Client, method: str) -> None:
    """No page but login and logout takes anything but GET and HEAD."""
    cookie = cookie_of(login(client, signed))
    assert client.request(method, "/console/tenants", headers={**OURS, **cookie}).status_code == 405
    assert httpx.get(f"{signed.url}/console/", trust_env=False).status_code == 404


def _call(cookie: tuple[bytes, bytes]) -> Call:
    async def nothing() -> dict[str, str]:
        return {}

    headers = [(b"cookie", cookie[1].split(b";")[0])]
    scope = {"method": "GET", "path": "/console/", "query_string": b"", "headers": headers}
    return Call(scope, nothing)


def test_a_session_ends_by_itself() -> None:
    """It lives 30 minutes from the last page, renewed when a third is over, and never longer than 8 hours."""
    now = [1_000_000.0]
    sessions = Sessions(b"k" * 32, lambda: now[0])
    cookie = sessions.begin("of me")
    session = sessions.read(_call(cookie))
    assert session is not None
    assert session.name == "of me"
    assert sessions.renewed(session) == ()
    assert Sessions(b"x" * 32, lambda: now[0]).read(_call(cookie)) is None
    began = now[0]
    while now[0] - began < LONGEST_S - 60:
        now[0] += IDLE_S - 5 * 60
        found = sessions.read(_call(cookie))
        if found is None:
            break
        cookie = next(iter(sessions.renewed(found)), cookie)
    now[0] = began + LONGEST_S + 1
    assert sessions.read(_call(cookie)) is None
    fresh = sessions.begin("of me")
    now[0] += IDLE_S + 1
    assert sessions.read(_call(fresh)) is None
