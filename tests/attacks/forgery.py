"""Forged signatures and headers: no algorithm, another one, a key the token brings along, a signature bent."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from attacks.case import Attack
from attacks.scene import HS, ROUTES, RS, UNKNOWN_KID, Reply, Scene
from tenure.simulator import tokens

NONES = ("none", "None", "NONE", "nOnE", " none", "none ", "null", "")
OTHERS = ("HS384", "HS512", "ES256", "PS256", "RS384", "RS512", "EdDSA", "hs256", "rs256", "HS256 ", "RS256\t", "HMAC")
NO_TEXTS: tuple[Any, ...] = (None, 1, True, ["HS256"], {"alg": "RS256"}, 0.5)
READING: tuple[dict[str, Any], ...] = (
    {"crit": ["b64"]},
    {"crit": []},
    {"crit": None},
    {"b64": False},
    {"b64": True},
    {"zip": "DEF"},
)
GUESSES = ("", "secret", "fake-jwt-secret", "changeme", "null", "undefined", "com.example.app", "0" * 64, "\0" * 64)
BOTH = ("installed", "webhook")


def _sent(route: str, make: Callable[..., str]) -> Callable[[Scene], Reply]:
    return lambda scene: scene.deliver(route, make(scene))


def algorithms() -> Iterator[Attack]:
    """Every spelling of no algorithm, and every algorithm but the one the route takes."""
    for route in ROUTES:
        for alg in NONES:
            yield Attack(
                f"alg {alg!r} at {route}", "algorithm_not_allowed",
                _sent(route, lambda s, r=route, a=alg: tokens.none_token(s.claims(r), a)),
            )  # fmt: skip
    for route in BOTH:
        for alg in OTHERS:
            yield Attack(
                f"alg {alg!r} under an honest signature at {route}", "algorithm_not_allowed",
                _sent(route, lambda s, r=route, a=alg: s.honest(r, {"alg": a})),
            )  # fmt: skip
        for odd in NO_TEXTS:
            yield Attack(
                f"alg {json.dumps(odd)} at {route}", "token_malformed",
                _sent(route, lambda s, r=route, o=odd: s.honest(r, {"alg": o})),
            )  # fmt: skip
        yield Attack(
            f"no alg at {route}", "token_malformed",
            _sent(route, lambda s, r=route: s.raw_honest(r, b'{"typ":"JWT"}', tokens.to_json(s.claims(r)))),
        )  # fmt: skip
    for route in HS:
        yield Attack(
            f"Atlassian's RS256 at {route}", "algorithm_not_allowed",
            _sent(route, lambda s, r=route: s.by_key(s.claims(r, aud=s.victim.audience))),
        )  # fmt: skip
    for route in RS:
        yield Attack(
            f"the tenant's own HS256 at {route}", "algorithm_not_allowed",
            _sent(route, lambda s, r=route: tokens.hs256(s.claims(r), s.victim.secret, {"kid": s.victim.kid})),
        )  # fmt: skip


def _public(scene: Scene) -> dict[str, bytes]:
    pem = scene.victim.key_host.public_pem(scene.victim.kid)
    numbers = scene.victim.key_host.private_key(scene.victim.kid).public_key().public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    jwk = {"kty": "RSA", "n": tokens.b64url(modulus), "e": "AQAB"}
    return {"PEM": pem, "PEM without its last line break": pem.strip(), "base64": b"".join(pem.split(b"\n")[1:-2]),
            "modulus": modulus, "JWK": tokens.to_json(jwk)}  # fmt: skip


def confusion() -> Iterator[Attack]:
    """The public key taken for an HMAC secret."""
    for route in ("installed", "enabled", "webhook"):
        reason = "algorithm_not_allowed" if route in RS else "signature_bad"
        for form in ("PEM", "PEM without its last line break", "base64", "modulus", "JWK"):
            yield Attack(
                f"HS256 by the public key's {form} at {route}", reason,
                _sent(route, lambda s, r=route, f=form: tokens.hs256(
                    s.claims(r), _public(s)[f], {"kid": s.victim.kid})),
            )  # fmt: skip


def _carried(scene: Scene, member: str) -> dict[str, Any]:
    modulus = scene.attacker.key.public_key().public_numbers().n.to_bytes(256, "big")
    pem = tokens.public_pem(scene.attacker.key).decode().splitlines()
    every: dict[str, Any] = {
        "jwk": {"kty": "RSA", "n": tokens.b64url(modulus), "e": "AQAB", "kid": scene.victim.kid},
        "jku": f"{scene.trap.url}/keys",
        "x5u": f"{scene.trap.url}/chain",
        "x5c": ["".join(pem[1:-1])],
        "iss": scene.trap.url,
    }
    return every if member == "all of them" else {member: every[member]}


def carried_keys() -> Iterator[Attack]:
    """A key of the stranger's own that the header brings along or points to."""
    for member in ("jwk", "jku", "x5u", "x5c", "iss", "all of them"):
        for kid, reason in ((UNKNOWN_KID, "kid_unknown"), ("", "signature_bad")):
            yield Attack(
                f"own key in {member} under {'an unknown' if kid else 'the honest'} kid", reason,
                _sent("installed", lambda s, m=member, k=kid: s.forged(
                    "installed", {**_carried(s, m), "kid": k or s.victim.kid})),
            )  # fmt: skip
        yield Attack(
            f"own key in {member} at webhook", "signature_bad",
            _sent("webhook", lambda s, m=member: s.forged("webhook", _carried(s, m))),
        )  # fmt: skip


def headers() -> Iterator[Attack]:
    """Header members that change how a token is read, and members that stand twice."""
    for route in BOTH:
        for member in READING:
            yield Attack(
                f"header {json.dumps(member)} at {route}", "token_malformed",
                _sent(route, lambda s, r=route, m=member: s.honest(r, m)),
            )  # fmt: skip
        alg = "RS256" if route in RS else "HS256"
        for pair in ('"alg":"none","alg":"%s"', '"alg":"%s","alg":"none"', '"alg":"%s","a\\u006cg":"none"',
                     '"alg":"%s","kid":"a","kid":"b"', '"alg":"%s","typ":{"x":1,"x":2}'):  # fmt: skip
            header = b"{" + (pair % alg).encode() + b"}"
            yield Attack(
                f"header {header.decode()} at {route}", "token_malformed",
                _sent(route, lambda s, r=route, h=header: s.raw_honest(r, h, tokens.to_json(s.claims(r)))),
            )  # fmt: skip


def _bent(scene: Scene, route: str, how: str) -> str:
    head, body, tail = scene.honest(route).split(".")
    raw = tokens.unb64url(tail)
    other = tokens.unb64url(scene.honest(route).rpartition(".")[2])
    made = {
        "empty": b"", "one byte short": raw[:-1], "one byte long": raw + b"\0", "a zero before": b"\0" + raw,
        "first bit turned": bytes((raw[0] ^ 0x80,)) + raw[1:], "last bit turned": raw[:-1] + bytes((raw[-1] ^ 1,)),
        "zeros": bytes(len(raw)), "ones": b"\xff" * len(raw), "of another token": other, "twice": raw + raw,
        "reversed": raw[::-1], "half": raw[: len(raw) // 2],
    }[how]  # fmt: skip
    return f"{head}.{body}.{tokens.b64url(made)}"


def signatures() -> Iterator[Attack]:
    """Signatures cut, bent, borrowed and guessed."""
    for route in BOTH:
        for how in ("empty", "one byte short", "one byte long", "a zero before", "first bit turned", "last bit turned",
                    "zeros", "ones", "of another token", "twice", "reversed", "half"):  # fmt: skip
            yield Attack(
                f"signature {how} at {route}", "signature_bad",
                _sent(route, lambda s, r=route, h=how: _bent(s, r, h)),
            )  # fmt: skip
    for route in ROUTES:
        yield Attack(
            f"the stranger's own key at {route}", "signature_bad", _sent(route, lambda s, r=route: s.forged(r))
        )
    for guess in GUESSES:
        yield Attack(
            f"HS256 by {guess[:20]!r}", "signature_bad",
            _sent("webhook", lambda s, g=guess: tokens.hs256(s.claims("webhook"), g)),
        )  # fmt: skip
    for name in ("client_key", "base_url", "kid"):
        yield Attack(
            f"HS256 by the site's {name}", "signature_bad",
            _sent("enabled", lambda s, n=name: tokens.hs256(s.claims("enabled"), getattr(s.victim, n))),
        )  # fmt: skip
    yield Attack(
        "HS256 by the secret in its own body", "algorithm_not_allowed",
        _sent("installed", lambda s: tokens.hs256(s.claims("installed"), s.attacker.secret)),
    )  # fmt: skip


def _spelt(scene: Scene, route: str, how: str) -> str:
    head, body, tail = scene.honest(route).split(".")
    return {
        "padding": f"{head}.{body}.{tail}=", "padding in the header": f"{head}=.{body}.{tail}",
        "the other alphabet": f"{head}.{body}.{tail[:-2]}+/", "a blank inside": f"{head[:4]} {head[4:]}.{body}.{tail}",
        "two parts": f"{head}.{body}", "four parts": f"{head}.{body}.{tail}.", "five parts": f"{head}.{body}..{tail}.x",
        "no header": f".{body}.{tail}", "no claims": f"{head}..{tail}", "a star": f"{head}.{body}*.{tail}",
        "JSON serialisation": json.dumps({"protected": head, "payload": body, "signature": tail}),
        "one character": f"{head}.{body}.A", "not ASCII": f"{head}.{body}.\xe9{tail}",
    }[how]  # fmt: skip


def spellings() -> Iterator[Attack]:
    """An honest token spelt another way."""
    for route in BOTH:
        for how in ("padding", "padding in the header", "the other alphabet", "a blank inside", "two parts",
                    "four parts", "five parts", "no header", "no claims", "a star", "JSON serialisation",
                    "one character", "not ASCII"):  # fmt: skip
            yield Attack(
                f"token with {how} at {route}", "token_malformed",
                _sent(route, lambda s, r=route, h=how: _spelt(s, r, h)),
            )  # fmt: skip


ATTACKS = (
    *algorithms(), *confusion(), *carried_keys(), *headers(), *signatures(), *spellings()
)  # fmt: skip
