"""The how-tos' FastAPI and Django apps behind real proxies, and the front end's script that calls them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from support.apps import APPS, App, node
from support.house import House
from support.proxies import Front, Proxy, found

PAIRS = [("fastapi_app", "caddy"), ("django_app", "nginx"), ("django_app", "traefik")]


@dataclass(frozen=True, slots=True)
class Running:
    """An app with a service and a proxy in front."""

    app: App
    front: Front


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Each app behind a proxy, as upstream of its webhooks too."""
    module, name = request.param
    found(name)
    folder = tmp_path_factory.mktemp(module)
    (folder / "proxy").mkdir()
    with (
        App(module, folder) as app,
        House(folder, {"FORWARD_AUTH": name, "UPSTREAM_URL": app.url}) as house,
        Proxy(name, folder / "proxy", house.url, house.service.internal_url, app.url) as proxy,
        proxy.client() as client,
    ):
        yield Running(app, Front(house, proxy, client))


def test_a_page_load_is_greeted_by_its_site(running: Running) -> None:
    """The page comes for a token in the query, and not without one."""
    site = running.front.installed()
    answer = running.front.ask("GET", f"/page?x=1&jwt={site.page_token('GET', '/page', 'x=1')}")
    assert answer.status_code == 200
    assert f"Hello from {site.base_url}" in answer.text
    assert "x-frame-options" not in answer.headers
    assert running.front.ask("GET", "/page?x=1").status_code == 401


def test_a_front_end_call_names_tenant_account_and_decision(running: Running) -> None:
    """The app answers with what the headers said; a client's own, in any spelling, count for nothing."""
    site = running.front.installed()
    token = site.page_token("GET", "/", context=True, account_id="account-7")
    lies = [("X-Tenure-Account-Id", "me"), ("X_Tenure_Account_Id", "me"), ("X-Tenure_Account-Id", "me")]
    answer = running.front.ask("GET", "/api/me", token, *lies)
    said = answer.json()
    assert (said["tenant"], said["account"]) == (site.client_key, "account-7")
    assert said["decision"] in {row["decision"] for row in running.front.house.recorded()}
    nobody = running.front.ask("GET", "/api/me", site.page_token("GET", "/", context=True), *lies)
    assert nobody.json()["account"] == ""


def test_a_webhook_reaches_the_app_from_tenure(running: Running) -> None:
    """An accepted webhook is taken, at the bare path and below it, and an unsigned one never arrives."""
    site = running.front.installed()
    assert site.webhook().status == 204
    assert site.webhook(path="/issues").status == 204
    assert f"{site.client_key} jira:issue_created" in running.app.printed()
    before = running.app.printed()
    assert site.webhook(path="/issues", secret="x" * 40).status == 401
    assert running.app.printed() == before


def test_past_the_proxy_the_app_fails_closed(running: Running) -> None:
    """Without the proxy's headers the app answers 500 for everything but its open places."""
    asked = {path: httpx.get(running.app.url + path).status_code for path in ("/page", "/api/me", "/static/hello.txt")}
    assert asked == {"/page": 500, "/api/me": 500, "/static/hello.txt": 200}
    spoofed = {"X-Tenure-Client-Key": "me"}
    assert running.front.client.get("/static/hello.txt", headers=spoofed).text == "hello"


# The browser's side of it: `fetch` of the page's own origin, which resolves nowhere here, goes to the proxy's address.
HARNESS = """
const given = %s, later = setTimeout, waited = [];
const web = require(given.url.startsWith("https") ? "https" : "http");
globalThis.AP = {context: {getToken: async () => given.tokens.shift()}};
globalThis.fetch = (path, options) => new Promise((done, failed) => {
  const headers = {...options.headers, Host: given.host};
  const asked = web.request(given.url + path, {headers, rejectUnauthorized: false, agent: false}, async (answer) => {
    let text = "";
    for await (const piece of answer) text += piece;
    done(new Response(text, {status: answer.statusCode, headers: answer.headers}));
  });
  asked.on("error", failed);
  asked.end();
});
globalThis.setTimeout = (done, ms, ...rest) => ms === 5000 ? (waited.push(ms), done()) : later(done, ms, ...rest);
%s
call("/api/me").then(async (answer) => ({said: await answer.json()}), (error) => ({error: error.message}))
  .then((found) => console.log(JSON.stringify({...found, waited})));
"""


def _called(running: Running, *tokens: str) -> dict[str, object]:
    proxy = running.front.proxy
    given = json.dumps({"tokens": tokens, "url": proxy.url, "host": proxy.host})
    found: dict[str, object] = json.loads(node(HARNESS % (given, (APPS / "front_end.js").read_text())))
    return found


def test_the_front_ends_script_calls_with_context_tokens(running: Running) -> None:
    """The script's call passes with a token of getToken, waits out a 425, and names the decision of a refusal."""
    site = running.front.installed()
    good = site.page_token("GET", "/", context=True, account_id="account-7")
    said = _called(running, good)["said"]
    assert isinstance(said, dict)
    assert (said["tenant"], said["account"]) == (site.client_key, "account-7")
    assert site.install(new_secret=True).status == 204
    again = _called(running, good, site.page_token("GET", "/", context=True))
    assert again["waited"] == [5000]
    assert "said" in again
    refused = str(_called(running, site.page_token("GET", "/api/me"))["error"])
    assert refused.partition("decision ")[2] in {row["decision"] for row in running.front.house.recorded()}
