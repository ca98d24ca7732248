"""What was captured on the wire, sent again: with another body, at another place, at another worker, at another time.

The group's service runs two workers, so that a token spent at one is tried at the other as well.
"""

import json
from collections.abc import Callable, Iterator

from attacks.case import Attack
from attacks.scene import Reply, Scene
from tenure.simulator import tokens
from tenure.simulator.site import Sent

KINDS = ("installed", "enabled", "disabled")


def _capture(scene: Scene, kind: str) -> Sent:
    site = scene.victim
    sent = {"installed": site.install, "enabled": site.enable, "disabled": site.disable}[kind]()
    assert sent.status == 204
    scene.begin()
    return sent


def _changed(scene: Scene, sent: Sent, how: str) -> bytes:
    members = json.loads(sent.body)
    secret = scene.attacker.secret
    made: dict[str, Callable[[], bytes]] = {
        "the stranger's secret": lambda: tokens.to_json({**members, "sharedSecret": secret}),
        "a blank more": lambda: sent.body + b" ",
        "its members turned round": lambda: tokens.to_json(dict(reversed(members.items()))),
        "another baseUrl": lambda: tokens.to_json({**members, "baseUrl": "https://evil.atlassian.net"}),
        "a second sharedSecret": lambda: sent.body[:-1] + b',"sharedSecret":"' + secret.encode() + b'"}',
        "a member more": lambda: tokens.to_json({**members, "x": 1}),
        "nothing in it but its clientKey": lambda: tokens.to_json({"clientKey": members["clientKey"]}),
        "no body": lambda: b"",
        "half a body": lambda: sent.body[: len(sent.body) // 2],
        "a byte order mark": lambda: b"\xef\xbb\xbf" + sent.body,
    }
    return made[how]()


BODIES = (
    "the stranger's secret", "a blank more", "its members turned round", "another baseUrl", "a second sharedSecret",
    "a member more", "nothing in it but its clientKey", "no body", "half a body", "a byte order mark",
)  # fmt: skip


def _again(scene: Scene, kind: str, how: str) -> Reply:
    sent = _capture(scene, kind)
    return scene.deliver(kind, sent.token, body=_changed(scene, sent, how))


def bodies() -> Iterator[Attack]:
    """A captured lifecycle token with another body."""
    for kind in KINDS:
        for how in BODIES:
            yield Attack(f"captured {kind} with {how}", "token_reused", lambda s, k=kind, h=how: _again(s, k, h))


def _moved(scene: Scene, kind: str, to: str) -> Reply:
    return scene.deliver(to, _capture(scene, kind).token)


def places() -> Iterator[Attack]:
    """A captured token at another route."""
    hs = ("enabled", "disabled", "webhook", "page")
    for kind in ("enabled", "disabled"):
        for to in hs:
            if to != kind:
                yield Attack(f"captured {kind} at {to}", "qsh_mismatch", lambda s, k=kind, t=to: _moved(s, k, t))
        for to in ("installed", "uninstalled"):
            yield Attack(f"captured {kind} at {to}", "algorithm_not_allowed", lambda s, k=kind, t=to: _moved(s, k, t))
    yield Attack("captured installed at uninstalled", "qsh_mismatch", lambda s: _moved(s, "installed", "uninstalled"))
    for to in hs:
        yield Attack(f"captured installed at {to}", "algorithm_not_allowed", lambda s, t=to: _moved(s, "installed", t))
    for source, to in (("page", "webhook"), ("webhook", "page"), ("webhook", "enabled"), ("page", "disabled")):
        yield Attack(f"captured {source} at {to}", "qsh_mismatch", lambda s, a=source, b=to: s.deliver(b, s.honest(a)))
    for query in ("a=b", "a", "%61=", "x=1&x=2", "jwt2=x"):
        for route in ("webhook", "page", "enabled"):
            yield Attack(
                f"captured {route} with the query {query}", "qsh_mismatch",
                lambda s, r=route, q=query: s.deliver(r, s.honest(r), query=q),
            )  # fmt: skip


def _rotated(scene: Scene, route: str, times: int = 1) -> Reply:
    old = scene.victim.secret
    for _ in range(times):
        assert scene.victim.rotate().status == 204
    scene.begin()
    return scene.deliver(route, tokens.hs256(scene.claims(route), old))


def _old_install(scene: Scene) -> Reply:
    sent = _capture(scene, "installed")
    assert scene.victim.rotate().status == 204
    scene.begin()
    return scene.deliver("installed", sent.token)


def _old_uninstall(scene: Scene) -> Reply:
    sent = scene.victim.uninstall()
    assert (sent.status, scene.victim.install().status) == (204, 204)
    scene.begin()
    return scene.deliver("uninstalled", sent.token, body=_changed(scene, sent, "a blank more"))


def _after_a_crash(scene: Scene) -> Reply:
    sent = _capture(scene, "installed")
    scene.crash()
    scene.begin()
    return scene.deliver("installed", sent.token, body=_changed(scene, sent, "the stranger's secret"))


def times() -> Iterator[Attack]:
    """What was good once."""
    for route in ("webhook", "page"):
        yield Attack(
            f"the secret just replaced at {route}", "secret_superseded", lambda s, r=route: _rotated(s, r), 425
        )
        yield Attack(f"the secret before the last at {route}", "signature_bad", lambda s, r=route: _rotated(s, r, 2))
    for route in ("enabled", "disabled"):
        yield Attack(f"the secret just replaced at {route}", "secret_superseded", lambda s, r=route: _rotated(s, r))
        yield Attack(f"the secret before the last at {route}", "signature_bad", lambda s, r=route: _rotated(s, r, 2))
    yield Attack("an old install after a rotation", "token_reused", _old_install)
    yield Attack("an old uninstall after a return", "token_reused", _old_uninstall)
    yield Attack("a captured install after a crash", "token_reused", _after_a_crash)


ATTACKS = (*bodies(), *places(), *times())
