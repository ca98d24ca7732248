"""One tenant speaking for another, and calls that carry two tokens."""

from collections.abc import Callable, Iterator
from typing import Any

from attacks.case import Attack
from attacks.scene import HS, ROUTES, RS, Reply, Scene
from tenure.simulator import tokens
from tenure.simulator.site import Site

LIFECYCLE = ("installed", "uninstalled", "enabled", "disabled")


def _by(scene: Scene, site: Site, route: str, **claims: Any) -> str:
    full = scene.claims(route, **{"iss": site.client_key, **claims})
    return scene.by_key(full) if route in RS else tokens.hs256(full, site.secret)


def others() -> Iterator[Attack]:
    """The token of a site of the stranger's own, about the victim."""
    for route in LIFECYCLE:
        yield Attack(
            f"the stranger's own site speaks of the victim at {route}", "issuer_mismatch",
            lambda s, r=route: s.deliver(r, _by(s, s.rival, r)),
        )  # fmt: skip
    for route in HS:
        yield Attack(
            f"the victim's name under the secret of another site at {route}", "signature_bad",
            lambda s, r=route: s.deliver(r, _by(s, s.rival, r, iss=s.victim.client_key)),
        )  # fmt: skip
        yield Attack(
            f"an invented tenant at {route}", "tenant_unknown",
            lambda s, r=route: s.deliver(r, tokens.hs256(s.claims(r, iss="nobody-" + r), s.attacker.secret)),
        )  # fmt: skip
        for how, change in (("in capitals", str.upper), ("with a tail", "{}.".format), ("cut", lambda key: key[:-1])):
            yield Attack(
                f"the victim's name {how} at {route}", "tenant_unknown",
                lambda s, r=route, c=change: s.deliver(r, s.honest(r, iss=c(s.victim.client_key))),
            )  # fmt: skip
    for route in ("webhook", "page"):
        yield Attack(
            f"a site that has uninstalled at {route}", "tenant_uninstalled",
            lambda s, r=route: s.deliver(r, _by(s, s.gone, r)),
        )  # fmt: skip


def bodies() -> Iterator[Attack]:
    """A believed token of the stranger's own site, with a body that names the victim in some other way."""
    odd: dict[str, Callable[[Scene], Any]] = {
        "in a list": lambda s: [s.victim.client_key], "left out": lambda s: tokens.OMIT, "null": lambda s: None,
    }  # fmt: skip
    for how, value in odd.items():
        yield Attack(
            f"clientKey {how} under the stranger's own token", "payload_invalid",
            lambda s, v=value: s.deliver("installed", _by(s, s.rival, "installed"),
                                         body=tokens.to_json(tokens.merged(s.body("installed"), {"clientKey": v(s)}))),
            400,
        )  # fmt: skip
    yield Attack(
        "clientKey twice, the victim's last", "payload_invalid",
        lambda s: s.deliver("installed", _by(s, s.rival, "installed"),
                            body=b'{"clientKey":"' + s.rival.client_key.encode() + b'",'
                            + tokens.to_json(s.body("installed"))[1:]),
        400,
    )  # fmt: skip
    for url, reason in (("{trap}", "site_not_allowed"), ("https://evil.example", "site_not_allowed"),
                        ("https://x.atlassian.net.evil.example", "site_not_allowed"),
                        ("https://evil.example/.atlassian.net", "site_not_allowed"),
                        ("https://x.atlassian.net@evil.example", "payload_invalid"),
                        ("https://169.254.169.254", "site_not_allowed"), ("file:///etc/passwd", "payload_invalid"),
                        ("https://[::1]", "site_not_allowed"),
                        ("https://x.atlassian.net\n", "payload_invalid")):  # fmt: skip
        yield Attack(
            f"an install from {url!r}", reason,
            lambda s, u=url: s.deliver("installed", s.honest("installed"),
                                       body=tokens.to_json(s.body("installed", baseUrl=u.format(trap=s.trap.url)))),
            400,
        )  # fmt: skip
    for claim in ("X-Tenure-Client-Key", "X-Tenure-Account-Id", "X_Tenure_Client_Key"):
        yield Attack(
            f"{claim} beside the secret of another site", "signature_bad",
            lambda s, c=claim: s.deliver("webhook", s.forged("webhook"), headers=((c, s.victim.client_key),)),
        )  # fmt: skip


def two() -> Iterator[Attack]:
    """Two tokens, in whatever places, good or not."""
    for route in ROUTES:
        for first, second in (("honest", "honest"), ("honest", "forged"), ("forged", "honest")):
            yield Attack(
                f"{first} in the header, {second} in ?jwt= at {route}", "token_ambiguous",
                lambda s, r=route, a=first, b=second: s.deliver(
                    r, getattr(s, a)(r), query=f"jwt={getattr(s, b)(r)}"),
            )  # fmt: skip
        yield Attack(
            f"two headers at {route}", "token_ambiguous",
            lambda s, r=route: s.deliver(r, s.honest(r), headers=(("Authorization", f"JWT {s.forged(r)}"),)),
        )  # fmt: skip
        yield Attack(
            f"two parameters at {route}", "token_ambiguous",
            lambda s, r=route: s.deliver(r, None, query=f"jwt={s.honest(r)}&jwt={s.forged(r)}"),
        )  # fmt: skip
        yield Attack(
            f"an escaped second parameter at {route}", "token_ambiguous",
            lambda s, r=route: s.deliver(r, None, query=f"jwt={s.honest(r)}&%6awt={s.forged(r)}"),
        )  # fmt: skip
        yield Attack(
            f"two in one header at {route}", "token_malformed",
            lambda s, r=route: s.deliver(r, f"{s.honest(r)}, JWT {s.forged(r)}"),
        )  # fmt: skip


def elsewhere() -> Iterator[Attack]:
    """A token where none is looked for, or none."""
    for route in ROUTES:
        yield Attack(f"no token at {route}", "token_missing", lambda s, r=route: s.deliver(r, None))
        yield Attack(
            f"Bearer at {route}", "token_missing", lambda s, r=route: s.deliver(r, s.honest(r), scheme="Bearer ")
        )
    for header in ("Cookie", "X-JWT", "Proxy-Authorization", "X-Authorization", "Authentication"):
        yield Attack(
            f"a token in {header}", "token_missing",
            lambda s, h=header: s.deliver("webhook", None, headers=((h, f"jwt={s.honest('webhook')}"),)),
        )  # fmt: skip
    for scheme in ("", "JWT", "JWT\t", "Basic ", "Token "):
        yield Attack(
            f"a token behind {scheme!r}", "token_missing",
            lambda s, c=scheme: s.deliver("webhook", s.honest("webhook"), scheme=c),
        )  # fmt: skip
    yield Attack("a token in a form", "token_missing", lambda s: s.deliver("enabled", None, body=_form(s)))


def _form(scene: Scene) -> bytes:
    return f"jwt={scene.honest('enabled')}".encode()


def _ignored(scene: Scene) -> Reply:
    return scene.deliver("webhook", None, headers=(("Authorization", "JWT "),))


ATTACKS = (*others(), *bodies(), *two(), *elsewhere(), Attack("an empty token", "token_missing", _ignored))
