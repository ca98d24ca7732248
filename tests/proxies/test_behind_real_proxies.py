"""nginx, Caddy and Traefik with the how-tos' own files: who passes, and what the app and the caller see."""

import httpx
import pytest

from support.proxies import Front
from tenure.simulator import tokens
from tenure.simulator.receiver import Received

IDENTITY = ("client-key", "base-url", "account-id", "enabled", "installation-id", "app-key", "decision")


def _identity(received: Received) -> dict[str, str]:
    """The identity headers the app sees, absent ones as empty; any doubled or oddly spelled one is an error."""
    named = [(name.lower(), value) for name, value in received.headers if "tenure" in name.lower()]
    assert len({name for name, _ in named}) == len(named)
    assert {name for name, _ in named} <= {f"x-tenure-{name}" for name in IDENTITY}
    return {name: dict(named).get(f"x-tenure-{name}", "") for name in IDENTITY}


def _refused(front: Front, answer: httpx.Response) -> str:
    """Why: after it was checked that the caller has the decision's id and the app has seen nothing."""
    assert front.seen() == []
    assert answer.status_code == 401
    decision = front.house.decision(answer)
    assert answer.headers.get_list("www-authenticate") == [
        f'JWT realm="com.example.app", decision="{decision["decision"]}"'
    ]
    assert decision["decision"] in answer.text
    return str(decision["reason"])


def test_an_accepted_call_reaches_the_app_as_it_was_sent(front: Front) -> None:
    """The app gets method, raw URI and body as the client sent them, and all that Tenure knows of the caller."""
    site = front.installed()
    path, query = "/page%20one/a%3Ab", "b=2&a=1&a=0&c=x%20y&d=%C3%BC"
    token = site.page_token("POST", path, query, account_id="account-7")
    front.house.receiver.clear()
    body = b"x" * 200_000
    answer = front.client.post(f"{path}?{query}", content=body, headers={"Authorization": f"JWT {token}"})
    assert answer.status_code == 200
    (received,) = front.seen()
    assert (received.method, received.path, received.body) == ("POST", f"{path}?{query}", body)
    found = _identity(received)
    assert found.pop("decision") in {row["decision"] for row in front.house.recorded()}
    assert found == {
        "client-key": site.client_key,
        "base-url": site.base_url,
        "account-id": "account-7",
        "enabled": "true",
        "installation-id": "",
        "app-key": "com.example.app",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_the_original_method_is_what_is_checked(front: Front, method: str) -> None:
    """A token holds for its own method, whatever the proxy asks with, and for no other."""
    site = front.installed()
    assert front.ask(method, "/page", site.page_token(method, "/page")).status_code == 200
    assert [received.method for received in front.seen()] == [method]
    other = front.ask(method, "/page", site.page_token("PATCH", "/page"))
    assert (other.status_code, front.seen()) == (401, [])


def test_a_refused_call_stops_at_the_proxy_and_names_its_decision(front: Front) -> None:
    """Without a good token the app is not asked; the caller gets 401 with the decision's id, the log has the reason."""
    site, path = front.installed(), "/page"
    assert _refused(front, front.ask("GET", path)) == "token_missing"
    assert _refused(front, front.ask("GET", "/other", site.page_token("GET", path))) == "qsh_mismatch"
    assert _refused(front, front.ask("GET", "/page?a=1", site.page_token("GET", path))) == "qsh_mismatch"
    stolen = site.page_token("GET", path, secret=tokens.new_secret())
    assert _refused(front, front.ask("GET", path, stolen)) == "signature_bad"


def test_the_token_may_be_in_the_query(front: Front) -> None:
    """Page loads carry it as `jwt`; up to 8 KiB pass every buffer on the way; two tokens are refused."""
    site = front.installed()
    for padding in ("", "p" * 5000):
        token = site.page_token("GET", "/page", "x=1", padding=padding)
        assert front.ask("GET", f"/page?x=1&jwt={token}").status_code == 200
        assert [received.path for received in front.seen()] == [f"/page?x=1&jwt={token}"]
    token = site.page_token("GET", "/page")
    assert _refused(front, front.ask("GET", f"/page?jwt={token}", token)) == "token_ambiguous"


SPELLINGS = ("X-Tenure-{}", "x-tenure-{}", "X_Tenure_{}", "X-Tenure_{}", "X_Tenure-{}")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_identity_headers_of_a_client_do_not_reach_the_app(front: Front, spelling: str) -> None:
    """Whatever a client says it is, once or twice, with dashes or underscores: the app sees what Tenure says."""
    site, victim = front.installed(), front.installed()
    spoofed = [
        (spelling.format(name.replace("-", "_") if "_" in spelling else name), victim.client_key)
        for name in ("Client-Key", "Account-Id", "Enabled", "Installation-Id", "Decision")
    ]
    assert front.ask("GET", "/page", site.page_token("GET", "/page"), *spoofed, *spoofed).status_code == 200
    (received,) = front.seen()
    assert _identity(received)["client-key"] == site.client_key
    assert victim.client_key not in str(received.headers)
    # and where nobody is asked, nobody is anybody
    assert front.ask("GET", "/static/app.js", None, *spoofed).status_code == 200
    assert set(_identity(front.seen()[0]).values()) == {""}
    assert _refused(front, front.ask("GET", "/page", None, *spoofed)) == "token_missing"


def test_a_client_cannot_have_an_identity_header_taken_away_and_replaced(front: Front) -> None:
    """`Connection` can at most make a proxy drop a header; what the app sees is then true or absent, never a lie."""
    site, victim = front.installed(), front.installed()
    named = ("Connection", "close, X-Tenure-Client-Key, X-Tenure-Account-Id, X-Forwarded-Uri, X-Original-URI")
    spoofed = ("X-Tenure-Client-Key", victim.client_key)
    answer = front.ask("GET", "/page", site.page_token("GET", "/page"), named, spoofed)
    assert answer.status_code in (200, 401)
    for received in front.seen():
        assert _identity(received)["client-key"] in ("", site.client_key)


HINTS = ("X-Original-Method", "X-Original-URI", "X-Forwarded-Method", "X-Forwarded-Uri")


def test_a_client_cannot_say_what_is_to_be_checked(front: Front) -> None:
    """Both families' headers from a client, once and doubled, neither open a page nor close one, nor reach the app."""
    site = front.installed()
    lies = [(name, "GET" if name.endswith("Method") else "/page") for name in HINTS]
    token = site.page_token("GET", "/page")
    for hints in (lies, [*lies, *lies]):
        assert _refused(front, front.ask("GET", "/admin", token, *hints)) == "qsh_mismatch"
        assert _refused(front, front.ask("DELETE", "/page", token, *hints)) == "qsh_mismatch"
    rubbish = [(name, "/admin") for name in HINTS]
    assert front.ask("GET", "/page", token, *rubbish, *rubbish).status_code == 200
    (received,) = front.seen()
    assert "/admin" not in str(received.headers)


def test_a_doubled_authorization_is_refused(front: Front) -> None:
    """Two Authorization headers are refused, by the proxy or by Tenure, even if both are the same."""
    site = front.installed()
    token = site.page_token("GET", "/page")
    answer = front.ask("GET", "/page", token, ("Authorization", f"JWT {token}"))
    assert answer.status_code in (400, 401)
    assert front.seen() == []


def test_front_end_calls_take_context_tokens_and_only_those(front: Front) -> None:
    """Below `/api/` a token of AP.context.getToken passes and a page's token does not; elsewhere it is the reverse."""
    site = front.installed()
    context = site.page_token("GET", "/", context=True, account_id="account-7")
    assert front.ask("POST", "/api/things?a=1", context).status_code == 200
    assert _identity(front.seen()[0])["account-id"] == "account-7"
    assert _refused(front, front.ask("GET", "/page", context)) == "context_not_allowed"
    bound = site.page_token("GET", "/api/things")
    assert _refused(front, front.ask("GET", "/api/things", bound)) == "context_required"


def test_a_rotations_425_reaches_the_caller(front: Front) -> None:
    """The secret replaced a moment ago: the caller gets 425, when to come again and the decision's id."""
    site = front.installed()
    before = site.page_token("GET", "/page")
    assert site.install(new_secret=True).status == 204
    answer = front.ask("GET", "/page", before)
    assert (answer.status_code, answer.headers["retry-after"], front.seen()) == (425, "5", [])
    assert front.house.decision(answer)["reason"] == "secret_superseded"
    assert front.ask("GET", "/page", site.page_token("GET", "/page")).status_code == 200


def test_lifecycle_and_webhooks_go_straight_to_the_public_listener(front: Front) -> None:
    """Install, webhook and uninstall pass the proxy whole, a refusal with its body; afterwards nobody enters."""
    site = front.installed()
    front.house.receiver.clear()
    assert site.webhook(path="/issues", query="user_key=a%2Fb", headers={"X-Tenure-Account-Id": "me"}).status == 200
    (received,) = front.seen()
    assert received.path == "/webhooks/issues?user_key=a%2Fb"
    assert _identity(received)["account-id"] == ""
    forged = site.webhook(secret=tokens.new_secret())
    assert (forged.status, forged.response.headers["content-type"]) == (401, "application/problem+json")
    assert front.house.reason(forged) == "signature_bad"
    assert site.uninstall().status == 204
    assert _refused(front, front.ask("GET", "/page", site.page_token("GET", "/page"))) == "tenant_uninstalled"


def test_bodies_past_the_limit_are_413(front: Front) -> None:
    """A webhook of more than 10 MiB is 413, and the app does not get it."""
    site = front.installed()
    front.house.receiver.clear()
    assert site.webhook(body=b"x" * (10 * 1024 * 1024 + 1)).status == 413
    assert front.seen() == []


def test_no_token_is_written_to_a_log(front: Front) -> None:
    """What a proxy writes names paths and statuses, and no token, neither from the query nor from the header."""
    site = front.installed()
    for path in ("/page", "/other", "/static/app.js", "/%zz"):
        token = site.page_token("GET", "/page")
        front.ask("GET", f"{path}?jwt={token}")
        front.ask("GET", path, token)
    before = site.page_token("GET", "/page")
    assert site.install(new_secret=True).status == 204
    assert front.ask("GET", f"/page?jwt={before}").status_code == 425
    written = front.proxy.written()
    assert "/static/app.js" in written
    assert "eyJ" not in written
