"""Sizes, depth and encodings: of tokens, of bodies under a good token, of what is announced and what comes."""

import gzip
import json
from collections.abc import Callable, Iterator

from attacks.case import Attack
from attacks.scene import Reply, Scene
from tenure.simulator import tokens

BOTH = ("installed", "webhook")

JSONS: dict[str, Callable[[bytes], bytes]] = {
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda raw: raw.decode().encode("utf-16-le"),
    "UTF-32": lambda raw: raw.decode().encode("utf-32"),
    "a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "bytes that are no UTF-8": lambda raw: raw[:-1] + b',"x":"\xff"}',
    "overlong UTF-8": lambda raw: raw[:-1] + b',"x":"\xc0\xaf"}',
    "a lone surrogate": lambda raw: raw[:-1] + b',"x":"\\ud800"}',
    "a NUL": lambda raw: raw[:-1] + b',"x":"\\u0000"}',
    "a name twice": lambda raw: raw[:-1] + b',"x":1,"x":2}',
    "a name twice, spelt otherwise": lambda raw: raw[:-1] + b',"x":1,"\\u0078":2}',
    "a name twice, deep down": lambda raw: raw[:-1] + b',"y":{"x":1,"x":2}}',
    "NaN": lambda raw: raw[:-1] + b',"x":NaN}',
    "Infinity": lambda raw: raw[:-1] + b',"x":-Infinity}',
    "a number beyond all ranges": lambda raw: raw[:-1] + b',"x":1e999}',
    "a number of 5000 digits": lambda raw: raw[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "2500 arrays in each other": lambda raw: raw[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}",
    "a comment": lambda raw: raw + b"/* */",
    "a second object": lambda raw: raw + b"{}",
    "a comma too many": lambda raw: raw[:-1] + b",}",
    "single quotes": lambda raw: raw.replace(b'"', b"'"),
    "its end missing": lambda raw: raw[:-1],
    "an array around it": lambda raw: b"[" + raw + b"]",
    "text around it": lambda raw: json.dumps(raw.decode()).encode(),
    "nothing in it": lambda raw: b"",
    "null in its place": lambda raw: b"null",
}


def written() -> Iterator[Attack]:
    """JSON that readers disagree about: in a token it is no token, in a body under a good one no payload."""
    for how, change in JSONS.items():
        for route in BOTH:
            header = b'{"alg":"RS256"}' if route == "installed" else b'{"alg":"HS256"}'
            yield Attack(
                f"claims with {how} at {route}", "token_malformed",
                lambda s, r=route, h=header, c=change: s.deliver(
                    r, s.raw_honest(r, h, c(tokens.to_json(s.claims(r))))),
            )  # fmt: skip
        yield Attack(
            f"a header with {how}", "token_malformed",
            lambda s, c=change: s.deliver("webhook", s.raw_honest(
                "webhook", c(b'{"alg":"HS256"}'), tokens.to_json(s.claims("webhook")))),
        )  # fmt: skip
        yield Attack(
            f"a body with {how}", "payload_invalid",
            lambda s, c=change: s.deliver(
                "installed", s.honest("installed"), body=c(tokens.to_json(s.body("installed")))),
            400,
        )  # fmt: skip


def _gzipped(scene: Scene) -> Reply:
    body = gzip.compress(tokens.to_json(scene.body("installed")))
    return scene.deliver("installed", scene.honest("installed"), body=body, headers=(("Content-Encoding", "gzip"),))


def _announced(scene: Scene, route: str, size: int) -> Reply:
    lines = [f"POST {scene.path(route)} HTTP/1.1", "Host: a", "Connection: close", f"Content-Length: {size}"]
    lines += [f"Authorization: JWT {scene.honest(route)}", "", ""]
    return scene.raw("\r\n".join(lines).encode())


def _chunked(scene: Scene, route: str) -> Reply:
    lines = [f"POST {scene.path(route)} HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked"]
    lines += [f"Authorization: JWT {scene.honest(route)}", "", ""]
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    return scene.raw("\r\n".join(lines).encode() + chunk * 5 + b"0\r\n\r\n")


def sizes() -> Iterator[Attack]:
    """More than there is room for."""
    for route in ("installed", "enabled", "webhook", "page"):
        yield Attack(
            f"a token of 9 KB at {route}", "token_too_large",
            lambda s, r=route: s.deliver(r, s.honest(r, x="a" * 9000)),
        )  # fmt: skip
        yield Attack(f"8 KB of dots at {route}", "token_malformed", lambda s, r=route: s.deliver(r, "." * 8192))
    for route in ("installed", "uninstalled", "enabled", "disabled"):
        yield Attack(
            f"a body of 257 KB announced at {route}", "payload_too_large",
            lambda s, r=route: _announced(s, r, 257 * 1024), 413,
        )  # fmt: skip
        yield Attack(
            f"a body of 320 KB in chunks at {route}", "payload_too_large", lambda s, r=route: _chunked(s, r), 413
        )
    yield Attack("a webhook of 11 MB announced", "payload_too_large", lambda s: _announced(s, "webhook", 11 << 20), 413)
    yield Attack("a body that is packed", "payload_invalid", _gzipped, 400)
    yield Attack(
        "a body as a form", "payload_invalid",
        lambda s: s.deliver("installed", s.honest("installed"), body=b"key=com.example.app"), 400,
    )  # fmt: skip


ATTACKS = (*written(), *sizes())
