"""Attacks on the console over real HTTP: its headers, methods, paths and hosts, its forms, and sessions that are not
the caller's own.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pysqlite3
import pytest

from support.auditor import token_of
from support.browser import login_code
from support.house import House, raw_exchange
from tenure.api.console.session import COOKIE
from tenure.store.key_file import KeyFile
from tenure.store.tokens import ApiTokens

OURS = {"Sec-Fetch-Site": "same-origin"}
HTML = {"Accept": "text/html,application/xhtml+xml"}
PAGES = ("", "tenants", "tenants/nobody", "events", "events/1", "events/x", "decisions", "decisions/x", "incident",
         "search?q=x", "live", "nothing", "login", "login?code=x", "logout", "static/console.css", "static/tail.js",
         "static/icon.svg", "static/nothing", "decisions?verdict=maybe", "tenants/%00")  # fmt: skip
ODD_METHODS = ("OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "PROPFIND", "GETS", "get")


@pytest.fixture
def client(signed: House) -> Iterator[httpx.Client]:
    """A browser's part, which keeps no cookies."""
    with httpx.Client(base_url=signed.service.internal_url, trust_env=False, timeout=15) as client:
        yield client


def login(client: httpx.Client, house: House, **more: str) -> httpx.Response:
    """Sends the login form with a new token; `more` are fields of the form."""
    answer = client.post("/console/login", data={"token": token_of(house, "audit"), **more}, headers=OURS)
    client.cookies.clear()
    return answer


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The cookie of an answer, as a browser sends it."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def raw(house: House, line: str, *headers: str) -> bytes:
    """The bytes that a request line, sent as it is, gets."""
    given = headers if any(one.startswith("Host:") for one in headers) else ("Host: 127.0.0.1", *headers)
    sent = "\r\n".join([f"{line} HTTP/1.1", *given, "Connection: close", "", ""])
    return raw_exchange(house.service.internal_url, sent.encode("latin-1"))


def parts(answer: bytes) -> tuple[int, str, bytes]:
    """Status, head in lower case and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head.decode("latin-1").lower(), body


def judge_headers(answer: httpx.Response, told: str) -> None:
    """What must stand on any answer: not kept, not sniffed, no referrer, no other origin; and on a page: no inline
    script, and no frame around it, or nothing in it to click.
    """
    headers = answer.headers
    assert headers["cache-control"] == "no-cache, no-store", told
    assert headers["x-content-type-options"] == "nosniff", told
    assert headers["referrer-policy"] == "no-referrer", told
    assert not [name for name in headers if name.startswith("access-control-")], told
    if "html" not in headers.get("content-type", ""):
        return
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy, told
    assert "base-uri 'none'" in policy, told
    assert "unsafe" not in policy, told
    if "frame-ancestors 'none'" not in policy:
        assert not any(element in answer.text for element in ("<a ", "<form", "<button", "<input")), told
        return
    assert headers["x-frame-options"] == "DENY", told


@pytest.mark.parametrize("inside", [True, False])
def test_every_answer_is_neither_framed_nor_kept(signed: House, client: httpx.Client, inside: bool) -> None:
    """Each page, form, file, refusal and error, of any method, asked by a browser, has the headers that it needs."""
    session = cookie_of(login(client, signed)) if inside else {}
    for path in PAGES:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            answer = client.request(method, f"/console/{path}", headers={**HTML, **session})
            assert answer.status_code < 500, (method, path)
            judge_headers(answer, f"{method} {path} {answer.status_code}")


def test_head_tells_what_get_tells_but_for_the_body(signed: House, client: httpx.Client) -> None:
    """HEAD has the status and headers of GET and no byte of a page, with a session and without one."""
    session = cookie_of(login(client, signed))
    for headers in ({}, session):
        for path in ("", "tenants", "nothing", "static/console.css", "login"):
            got, head = (client.request(method, f"/console/{path}", headers=headers) for method in ("GET", "HEAD"))
            assert (head.status_code, head.content) == (got.status_code, b"")
            for name in ("content-type", "content-security-policy", "cache-control", "x-frame-options"):
                assert head.headers.get(name) == got.headers.get(name), path


@pytest.mark.parametrize("method", ODD_METHODS)
def test_other_methods_do_nothing(signed: House, client: httpx.Client, method: str) -> None:
    """A method that no page has is refused, echoes no header (TRACE) and grants nothing to other origins (OPTIONS)."""
    session = cookie_of(login(client, signed))["Cookie"]
    for path in ("", "tenants", "login", "logout", "static/console.css"):
        origin = ("Origin: https://evil.example", "Access-Control-Request-Method: GET")
        status, head, body = parts(raw(signed, f"{method} /console/{path}", f"Cookie: {session}", *origin))
        assert status in (400, 405, 501), (method, path)
        assert "access-control" not in head
        assert "set-cookie" not in head
        assert session.encode() not in body


@pytest.mark.parametrize(
    "path",
    ["static/../app.py", "static/../../../../etc/passwd", "static/%2e%2e/app.py", "static/..%2fapp.py",
     "static/..%5capp.py", "static/....//app.py", "static//etc/passwd", "static/%2fetc%2fpasswd",
     "static/console.css/../../app.py", "static/console.css%00.html", "static/CONSOLE.CSS", "static/", "static",
     "static/./console.css", "static/%252e%252e%252fapp.py", "../console/static/../render.py",
     "static/..;/app.py", "templates/login.html", "static/__init__.py"],
)  # fmt: skip
def test_no_other_file_is_handed_out(signed: House, client: httpx.Client, path: str) -> None:
    """Only the files that are named: no way up, no file beside them, however it is written on the wire."""
    session = cookie_of(login(client, signed))["Cookie"]
    for headers in ((), (f"Cookie: {session}",)):
        status, _, body = parts(raw(signed, f"GET /console/{path}", *headers))
        assert status in (400, 401, 404)
        assert not [word for word in (b"import ", b"root:", b"{% ", b"{{") if word in body]


def test_a_hostile_host_is_nowhere_in_an_answer(signed: House, client: httpx.Client) -> None:
    """Whatever host a request names, pages and redirects are relative, and forwarded hosts are not heard at all."""
    session = cookie_of(login(client, signed))["Cookie"]
    forwarded = ("X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X-Forwarded-Proto: https",
                 "X-Original-URL: /console/live", "X-Rewrite-URL: /console/live")  # fmt: skip
    for path in ("", "login", "tenants", "nothing", "logout", "static/nothing"):
        for cookie in ((), (f"Cookie: {session}",)):
            answer = raw(signed, f"GET /console/{path}", "Host: evil.example", *forwarded, *cookie)
            assert b"evil" not in answer, path
    assert parts(raw(signed, "GET /console/", "Host: a.example", "Host: b.example"))[0] in (400, 401)


@pytest.mark.parametrize(
    "after",
    ["https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
     "javascript:alert(1)", "data:text/html,x", "@evil.example", "%2f%2fevil.example", "%2e%2e/%2e%2e/sign",
     "..%2f..%2f/evil.example", "\t//evil.example", "./../../x", "?next=//evil.example", "#//evil.example",
     "tenants\r\nLocation: https://evil.example", "tenants%0d%0aSet-Cookie:x=y", ";//evil.example"],
)  # fmt: skip
def test_a_login_stays_here(signed: House, client: httpx.Client, after: str) -> None:
    """Whatever place a form or a link names, a browser that follows the answer is at this host, in the console."""
    answer = login(client, signed, next=after)
    assert answer.status_code == 303
    home = f"{signed.service.internal_url}/console/login"
    there = urlsplit(urljoin(home, answer.headers["location"]))
    assert there.netloc == urlsplit(home).netloc
    assert there.path.startswith("/console/")
    assert len(answer.headers.get_list("set-cookie")) == 1
    assert len(answer.headers.get_list("location")) == 1


def test_a_session_is_never_one_that_was_brought(signed: House, client: httpx.Client) -> None:
    """A cookie planted before the login is not taken over: the login gives another, and the planted one opens
    nothing; neither does an anonymous look give any.
    """
    planted = f"{COOKIE}=cGxhbnRlZAox.00"
    form = {"token": token_of(signed, "audit")}
    answer = client.post("/console/login", data=form, headers={**OURS, "Cookie": planted})
    client.cookies.clear()
    assert answer.status_code == 303
    assert cookie_of(answer)["Cookie"] != planted
    assert client.get("/console/", headers={"Cookie": planted}).status_code == 401
    for path in ("", "login", "tenants", "nothing"):
        assert "set-cookie" not in client.get(f"/console/{path}").headers
    first, second = (cookie_of(client.post("/console/login", data=form, headers=OURS)) for _ in range(2))
    client.cookies.clear()
    assert first != second


def test_logging_out_ends_the_session_for_everyone_who_has_it(signed: House, client: httpx.Client) -> None:
    """After a logout a copy of the cookie opens nothing; the cookie is taken back as it was given; another session of
    the same token goes on.
    """
    form = {"token": token_of(signed, "audit")}
    mine, other = (cookie_of(client.post("/console/login", data=form, headers=OURS)) for _ in range(2))
    client.cookies.clear()
    assert client.get("/console/", headers=mine).status_code == 200
    answer = client.post("/console/logout", headers={**OURS, **mine})
    client.cookies.clear()
    assert answer.status_code == 303
    given = {part.strip() for part in answer.headers["set-cookie"].split(";")}
    assert given == {f"{COOKIE}=", "Path=/console/", "Max-Age=0", "HttpOnly", "Secure", "SameSite=Strict"}
    assert client.get("/console/", headers=mine).status_code == 401
    assert client.get("/console/feed", headers=mine).status_code == 401
    assert client.get("/console/", headers=other).status_code == 200


def test_a_picture_on_another_page_logs_nobody_out(signed: House, client: httpx.Client) -> None:
    """GET on logout ends nothing, nor does a form from elsewhere that carries the cookie."""
    session = cookie_of(login(client, signed))
    assert client.get("/console/logout", headers=session).status_code == 404
    crossed = {**session, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert client.post("/console/logout", headers=crossed).status_code == 403
    assert client.get("/console/", headers=session).status_code == 200


@pytest.mark.parametrize(
    "change", ["expires_at = '2020-01-01T00:00:00.000000Z'", "scopes = 'sign'", "name = name || '-renamed'"]
)
def test_a_session_is_worth_what_its_token_is_worth_now(signed: House, client: httpx.Client, change: str) -> None:
    """A token that ends, loses the scope or is no more ends its sessions at the next request, and logs nobody in."""
    token = token_of(signed, "audit")
    answer = client.post("/console/login", data={"token": token}, headers=OURS)
    session = cookie_of(answer)
    client.cookies.clear()
    assert client.get("/console/", headers=session).status_code == 200
    name = signed.decision(client.get("/console/", headers=session))["detail"].partition(":")[0]
    database = pysqlite3.connect(str(signed.folder / "keys.db"))
    database.execute(f"UPDATE api_tokens SET {change} WHERE name = ?", (name,))
    database.commit()
    database.close()
    for path in ("", "tenants", "live", "feed"):
        assert client.get(f"/console/{path}", headers=session).status_code == 401
    if not change.startswith("name"):
        again = client.post("/console/login", data={"token": token}, headers=OURS)
        assert again.status_code in (401, 403)
        assert "set-cookie" not in again.headers


def test_a_cookie_is_no_bearer_and_a_bearer_no_cookie(signed: House, client: httpx.Client) -> None:
    """A session opens the console alone, not /audit or /sign; an API token opens no page."""
    session = cookie_of(login(client, signed))
    for path in ("/audit/tenants", "/audit/head", "/metrics"):
        assert client.get(path, headers=session).status_code == 401
    assert client.post("/sign", headers={**OURS, **session}).status_code == 401
    bearer = {"Authorization": f"Bearer {token_of(signed, 'audit')}"}
    assert client.get("/console/tenants", headers=bearer).status_code == 401
    assert client.get("/console/tenants", headers={"Cookie": f"{COOKIE}={bearer['Authorization'][7:]}"}).is_error


def test_guesses_are_bounded_however_they_come(tmp_path: Path) -> None:
    """Tokens, codes and bearers guessed in turn count together; a forged address makes no new count; who knows a
    token gets in meanwhile.
    """
    with House(tmp_path) as house, httpx.Client(base_url=house.service.internal_url, trust_env=False) as client:
        statuses = []
        for number in range(75):
            forged = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"}
            if number % 3 == 2:
                bearer = {"Authorization": f"Bearer tnr_{number}"}
                statuses.append(client.get("/audit/head", headers={**forged, **bearer}).status_code)
                continue
            form = {"token": f"tnr_{number}"} if number % 3 else {"code": f"code-{number}"}
            statuses.append(client.post("/console/login", data=form, headers={**OURS, **forged}).status_code)
        assert set(statuses) == {401, 429}
        assert set(statuses[-5:]) == {429}
        assert statuses.count(401) <= 70
        assert login(client, house).status_code == 303
        code = login_code(house)
        store = ApiTokens(KeyFile(house.folder / "keys.db"))
        for entry in store.listing():
            assert store.revoke(entry.name)
        store.close()
        assert client.post("/console/login", data={"code": code}, headers=OURS).status_code in (401, 429)


def test_a_form_that_is_too_large_is_not_read(client: httpx.Client) -> None:
    """More than a login can need is 413, whoever sends it."""
    answer = client.post("/console/login", data={"token": "x" * 9000}, headers=OURS)
    assert answer.status_code == 413
    judge_headers(answer, "413")
