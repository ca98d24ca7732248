"""Paths, methods and hosts that mean one thing here and another elsewhere. The group's base URL ends in /jira."""

from collections.abc import Iterator

from attacks.case import Attack
from attacks.scene import Headers, Reply, Scene

BESIDE = (
    "/jira/installed/", "//jira/installed", "/jira//installed", "/JIRA/installed", "/jira/Installed", "/installed",
    "/jira/%69nstalled", "/jira/installed%20", "/jira/installed%00", "/jira/installed;x=1", "/jira/./installed",
    "/jira/x/../installed", "/jira/installed/../enabled", "/jira%2finstalled",
    "/jira/installed%3fx", "/jira\\installed",
    "/jirainstalled", "/jira/webhooksx", "/jira/webhooks/../installed", "/jira/webhooks/%2e%2e/installed",
    "/jira/webhooks/..%5cinstalled",
)  # fmt: skip
INTERNAL = (
    "/forward-auth", "/sign", "/metrics", "/audit/events", "/audit/tenants", "/audit/decisions", "/audit/head",
    "/readyz",
    "/console/", "/openapi.json", "/jira/forward-auth", "/jira/sign", "/jira/audit/events", "/jira/console/",
)  # fmt: skip
METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND")
ORIGINALS = (
    "//page", "page", "", "http://evil.example/page", "https:/page", "/page /x", "/pa\xe9ge", "\\page", "*", "/page\tx",
)  # fmt: skip
OTHERS = (
    "/page/../admin", "/page%2f..%2fadmin", "/page;/admin", "/Page", "/page%00", "/page/x", "/pag%65x", "/page?x=1",
    "/page?jwt2=a", "/admin", "/", "/page&x", "/page//x", "/./page",
)  # fmt: skip


def _asked(scene: Scene, headers: Headers, query: str = "", token: str = "") -> Reply:
    given = (("Authorization", f"JWT {token or scene.honest('page')}"), *headers)
    return scene.call("GET", f"/forward-auth{query}", given, internal=True)


def public() -> Iterator[Attack]:
    """The public listener: what is not exactly a route is nothing."""
    for path in BESIDE:
        yield Attack(
            f"POST {path}", "",
            lambda s, p=path: s.call("POST", p, (("Authorization", f"JWT {s.honest('installed')}"),)), 404,
        )  # fmt: skip
    for path in INTERNAL:
        for method in ("GET", "POST"):
            yield Attack(
                f"{method} {path} on the public listener", "",
                lambda s, m=method, p=path: s.call(m, p, (("X-Original-Method", "GET"), ("X-Original-URI", "/page"),
                                                          ("Authorization", f"JWT {s.honest('page')}"))), 404,
            )  # fmt: skip
    for route in ("installed", "enabled", "webhook"):
        for method in METHODS:
            yield Attack(
                f"{method} at {route}", "",
                lambda s, m=method, r=route: s.call(m, s.path(r), (("Authorization", f"JWT {s.honest(r)}"),)), 405,
            )  # fmt: skip
    for name, value in (("X-HTTP-Method-Override", "POST"), ("X-Original-URL", "/jira/webhooks"),
                        ("X-Rewrite-URL", "/jira/webhooks"), ("X-Forwarded-Prefix", "/jira/webhooks"),
                        ("X-Original-URI", "/page"), ("X-Forwarded-Uri", "/page")):  # fmt: skip
        yield Attack(
            f"{name}: {value} beside a page's token at webhook", "qsh_mismatch",
            lambda s, n=name, v=value: s.deliver("webhook", s.honest("page"), headers=((n, v),)),
        )  # fmt: skip


def asked_by_a_proxy() -> Iterator[Attack]:
    """What a client puts into a proxy's question."""
    verb = ("X-Original-Method", "GET")
    for uri in ORIGINALS:
        yield Attack(
            f"X-Original-URI {uri!r}", "request_ambiguous", lambda s, u=uri: _asked(s, (verb, ("X-Original-URI", u)))
        )
    for uri in OTHERS:
        yield Attack(
            f"a page's token at {uri}", "qsh_mismatch", lambda s, u=uri: _asked(s, (verb, ("X-Original-URI", u)))
        )
    here = ("X-Original-URI", "/page")
    rows: tuple[tuple[str, Headers], ...] = (
        ("no URI", (verb,)), ("no method", (here,)), ("nothing", ()), ("two URIs", (verb, here, here)),
        ("two methods", (verb, verb, here)), ("a method of two words", (("X-Original-Method", "GET POST"), here)),
        ("an empty method", (("X-Original-Method", ""), here)),
        ("a long method", (("X-Original-Method", "G" * 21), here)),
        ("the other family's headers", (("X-Forwarded-Method", "GET"),
                           ("X-Forwarded-Uri", "/page"))),
    )  # fmt: skip
    for how, headers in rows:
        yield Attack(f"a question with {how}", "request_ambiguous", lambda s, h=headers: _asked(s, h))
    for method in ("POST", "PUT", "HEAD", "gett"):
        yield Attack(
            f"a page's token with method {method}", "qsh_mismatch",
            lambda s, m=method: _asked(s, (("X-Original-Method", m), here)),
        )  # fmt: skip
    yield Attack(
        "the other family names the right page", "qsh_mismatch",
        lambda s: _asked(s, (verb, ("X-Original-URI", "/admin"), ("X-Forwarded-Method", "GET"),
                           ("X-Forwarded-Uri", "/page"))),
    )  # fmt: skip
    yield Attack(
        "a page's token where context tokens are asked for", "context_required",
        lambda s: _asked(s, (verb, here), "?accept=context"),
    )  # fmt: skip
    for query in ("?accept=CONTEXT", "?accept=context2", "?Accept=context", "?x=accept=context", ""):
        yield Attack(
            f"a context token with {query or 'no query'}", "context_not_allowed",
            lambda s, q=query: _asked(s, (verb, here), q, s.honest("page", qsh="context-qsh")),
        )  # fmt: skip


ATTACKS = (*public(), *asked_by_a_proxy())
