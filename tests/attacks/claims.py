"""Claims of every type and range under a signature that holds: a good secret does not make a bad token good."""

from collections.abc import Iterator
from typing import Any

from attacks.case import Attack
from attacks.scene import Scene
from tenure.domain import qsh
from tenure.simulator.tokens import OMIT

TIMES: tuple[Any, ...] = (True, 1.0, 1.8e9, "1800000000", "", 1e300, -1, 1 << 53, 10**30, [], {"x": 1})
NAMES: tuple[Any, ...] = (True, 0, 1.5, [], ["a"], {}, "", " ", "a b", "a\n", "\xe9", "x" * 256)
BOTH = ("installed", "webhook")
ABSENT = ((OMIT, "left out"), (None, "null"))

_OURS = "https://app.example.com"
AUDIENCES: tuple[Any, ...] = (
    "https://evil.example", f"{_OURS}.evil.example", f"{_OURS}@evil.example", f"{_OURS}/x", f"{_OURS}//", f"{_OURS} ",
    f"{_OURS}:443", f"x{_OURS}", "http://app.example.com", "HTTPS://APP.EXAMPLE.COM", "https://app.example.co", "https://",
    "*", "", "app.example.com", "com.example.app", [], [_OURS, "https://evil.example"], ["https://evil.example", _OURS],
    [_OURS, _OURS], ["https://evil.example"], [""],
)  # fmt: skip
NO_AUDIENCES: tuple[Any, ...] = (1, True, {}, {_OURS: 1}, [1], [_OURS, None], [[_OURS]], 1e300)


def _with(route: str, **claims: Any) -> Any:
    return lambda scene: scene.deliver(route, scene.honest(route, **claims))


def _in_time(route: str, **offsets: int) -> Any:
    def send(scene: Scene) -> Any:
        now = int(scene.victim.clock())
        return scene.deliver(
            route, scene.honest(route, None, **{name: now + offset for name, offset in offsets.items()})
        )

    return send


def types() -> Iterator[Attack]:
    """Types and ranges of times and names."""
    for route in BOTH:
        for name in ("iat", "exp", "nbf"):
            for value in TIMES:
                yield Attack(f"{name} {value!r} at {route}", "claim_malformed", _with(route, **{name: value}))
    for name in ("iss", "qsh", "sub"):
        for value in NAMES:
            yield Attack(f"{name} {value!r:.20} at webhook", "claim_malformed", _with("webhook", **{name: value}))


def absent() -> Iterator[Attack]:
    """Claims that have to be there."""
    for route in (*BOTH, "page"):
        for name in ("iss", "iat", "exp"):
            for value, how in ABSENT:
                yield Attack(f"{name} {how} at {route}", "claim_missing", _with(route, **{name: value}))
    for value, how in ABSENT:
        for route in (*BOTH, "page"):
            yield Attack(f"qsh {how} at {route}", "qsh_missing", _with(route, qsh=value))
        yield Attack(f"aud {how} at installed", "claim_missing", _with("installed", aud=value))


def audiences() -> Iterator[Attack]:
    """Audiences that are not exactly ours."""
    for value in AUDIENCES:
        yield Attack(f"aud {value!r} at installed", "audience_mismatch", _with("installed", aud=value))
    for value in AUDIENCES[:8]:
        yield Attack(f"aud {value!r} at uninstalled", "audience_mismatch", _with("uninstalled", aud=value))
    for value in NO_AUDIENCES:
        yield Attack(f"aud {value!r} at installed", "claim_malformed", _with("installed", aud=value))


def times() -> Iterator[Attack]:
    """Tokens outside their time."""
    year = 31_536_000
    rows = (
        ("expired a minute ago", "expired", {"iat": -240, "exp": -60}),
        ("expired a year ago", "expired", {"iat": -year, "exp": -year + 180}),
        ("two minutes ahead", "not_yet_valid", {"iat": 120, "exp": 300}),
        ("a year ahead", "not_yet_valid", {"iat": year, "exp": year + 180}),
        ("nbf ahead", "not_yet_valid", {"nbf": 120}),
        ("an hour and a second long", "lifetime_too_long", {"iat": 0, "exp": 3601}),
        ("ten years long", "lifetime_too_long", {"iat": 0, "exp": 10 * year}),
        ("long before and long after", "lifetime_too_long", {"iat": -year, "exp": year}),
        ("ending when it begins", "claim_malformed", {"iat": 10, "exp": 10}),
        ("ending before it begins", "claim_malformed", {"iat": 20, "exp": 5}),
    )
    for route in ("installed", "enabled", "webhook", "page"):
        for how, reason, offsets in rows:
            yield Attack(f"a token {how} at {route}", reason, _in_time(route, **offsets))


def hashes() -> Iterator[Attack]:
    """Query-string hashes of other requests, and other texts."""
    for route in ("installed", "enabled", "webhook", "page"):
        verb = "GET" if route == "page" else "POST"
        path = "/page" if route == "page" else "/webhooks" if route == "webhook" else f"/{route}"
        right = qsh.request_hash(verb, path, "")
        wrong = {
            "of another method": qsh.request_hash("PUT", path, ""), "of another path": qsh.request_hash(verb, "/", ""),
            "of a query": qsh.request_hash(verb, path, "a=b"), "in capitals": right.upper(), "cut": right[:-1],
            "of the host's URL": qsh.request_hash(verb, f"{_OURS}{path}", ""), "of zeros": "0" * 64,
            "with a tail": right + "0",
        }  # fmt: skip
        for how, value in wrong.items():
            yield Attack(f"qsh {how} at {route}", "qsh_mismatch", _with(route, qsh=value))
        yield Attack(f"a context token at {route}", "context_not_allowed", _with(route, qsh="context-qsh"))
        yield Attack(f"nearly a context token at {route}", "qsh_mismatch", _with(route, qsh="Context-qsh"))


ATTACKS = (*types(), *absent(), *audiences(), *times(), *hashes())
