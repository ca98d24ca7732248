"""What looks odd and is honest: refusing it would lose a tenant or a webhook."""

from collections.abc import Iterator
from typing import Any

from attacks.case import Control
from attacks.scene import Headers, Reply, Scene
from tenure.domain import qsh
from tenure.simulator import tokens
from tenure.simulator.site import Sent

OURS = "https://app.example.com"
QUERIES = ("a=b", "b=2&a=1", "a=2&a=1", "a", "a=", "x=%20+y", "q=%C3%BC", "a%3A=x&a0=y", "empty=&&b=1", "x=a%2Cb&x=c")


def _install(**claims: Any) -> Any:
    return lambda s: s.deliver("installed", s.honest("installed", **claims), body=_body(s))


def _body(scene: Scene, **more: Any) -> bytes:
    return tokens.to_json(scene.victim.lifecycle_body("installed", {"sharedSecret": scene.victim.secret, **more}))


def _told(**more: Any) -> Any:
    return lambda s: s.deliver("installed", s.honest("installed"), body=_body(s, **more))


def _bound(scene: Scene, route: str, query: str) -> Reply:
    verb, path = ("GET", "/page") if route == "page" else ("POST", scene.victim.paths["webhooks"])
    return scene.deliver(route, scene.honest(route, qsh=qsh.request_hash(verb, path, query)), query=query)


def _clock(route: str, **offsets: int) -> Any:
    def send(scene: Scene) -> Reply:
        now = int(scene.victim.clock())
        token = scene.honest(route, None, **{name: now + offset for name, offset in offsets.items()})
        return scene.deliver(route, token, body=_body(scene) if route == "installed" else None)

    return send


def _with(headers: Headers) -> Any:
    return lambda s: s.deliver("webhook", s.honest("webhook"), headers=headers)


def _repeat(scene: Scene, kind: str) -> Reply:
    site = scene.victim
    sent: Sent = {"installed": site.install, "enabled": site.enable, "disabled": site.disable}[kind]()
    assert sent.status == 204
    scene.begin()
    return scene.deliver(kind, sent.token, body=sent.body)


def _secret(scene: Scene, secret: str) -> Reply:
    sent = scene.victim.install(secret)
    assert sent.status == 204
    scene.sent.append(secret)
    scene.begin()
    return scene.deliver("enabled", scene.honest("enabled"))


def _return(scene: Scene) -> Reply:
    assert [scene.victim.install().status, scene.victim.uninstall().status] == [204, 204]
    scene.begin()
    return scene.deliver("installed", scene.honest("installed"), body=_body(scene))


def lifecycle() -> Iterator[Control]:
    """Installs as they come."""
    for name, aud in (("a text", OURS), ("a text with a slash", OURS + "/"), ("a list of one", [OURS]),
                      ("a list of one with a slash", [OURS + "/"])):  # fmt: skip
        yield Control(f"aud as {name}", _install(aud=aud))
    yield Control("unknown claims", _install(context={"user": {"x": [1]}}, scope="a b", jti="x"))
    yield Control("sub and null claims", _install(sub="account-1", nbf=None))
    yield Control("unknown fields", _told(newField={"deep": [1, None]}, cloudId="c", accountId="a"))
    yield Control("fields that are null", _told(displayUrl=None, installationId=None))
    yield Control("text beyond ASCII", _told(description="\u65e5\u672c\u8a9e \U0001f600"))
    yield Control("a base URL of Confluence's", _told(baseUrl="https://a.atlassian.net/wiki"))
    yield Control("a base URL with a slash", _told(baseUrl="https://a.atlassian.net/"))
    yield Control("another host of Atlassian's", _told(baseUrl="https://a.jira.com"))
    yield Control("install, uninstall, install", _return)
    for kind in ("installed", "enabled", "disabled"):
        yield Control(f"an exact duplicate of {kind}", lambda s, k=kind: _repeat(s, k))
    for how, secret in (("16 bytes", "s" * 16), ("400 bytes", "s" * 400), ("4096 bytes", "x" * 4096),
                        ("no ASCII", "\u00fc" * 32)):  # fmt: skip
        yield Control(f"a secret of {how}", lambda s, v=secret: _secret(s, v))


def clocks() -> Iterator[Control]:
    """Clocks that differ, and lives of any honest length."""
    for route, status in (("installed", 204), ("webhook", 200)):
        yield Control(f"a clock 20 s ahead at {route}", _clock(route, iat=20, exp=200), status)
        yield Control(f"a clock 20 s behind at {route}", _clock(route, iat=-200, exp=-20), status)
        yield Control(f"15 minutes at {route}", _clock(route, iat=0, exp=900), status)
        yield Control(f"an hour at {route}", _clock(route, iat=0, exp=3600), status)


def requests() -> Iterator[Control]:
    """Requests written any honest way."""
    for query in QUERIES:
        yield Control(f"a webhook with ?{query}", lambda s, q=query: _bound(s, "webhook", q), 200)
        yield Control(f"a page with ?{query}", lambda s, q=query: _bound(s, "page", q), 200)
    yield Control("a token in ?jwt=", lambda s: s.deliver("webhook", None, query=f"jwt={s.honest('webhook')}"), 200)
    yield Control("a page's token in ?jwt=", lambda s: s.deliver("page", None, query=f"jwt={s.honest('page')}"), 200)
    yield Control("a scheme in small letters", lambda s: s.deliver("webhook", s.honest("webhook"), scheme="jwt "), 200)
    yield Control("headers nobody knows", _with((("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=x"))), 200)
    yield Control("a form's content type", _with((("Content-Type", "application/x-www-form-urlencoded"),)), 200)
    yield Control("an identity of the client's own", _with((("X-Tenure-Client-Key", "another"),)), 200)
    yield Control("members that name keys", lambda s: s.deliver(
        "webhook", s.honest("webhook", {"jku": s.trap.url, "x5u": s.trap.url, "kid": "../x",
                                        "typ": "odd"})), 200)  # fmt: skip
    yield Control("a body that is no JSON", lambda s: s.deliver("webhook", s.honest("webhook"), body=b"\xff\0"), 200)


CONTROLS = (*lifecycle(), *clocks(), *requests())
