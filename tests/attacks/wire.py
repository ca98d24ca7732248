"""Bytes that two servers in a row would cut into requests differently. What is unclear is closed with a 400."""

from collections.abc import Iterator

from attacks.case import Attack
from attacks.scene import Reply, Scene

START = b"POST /enabled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
SMUGGLED = b"POST /installed HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
HEADS: dict[str, bytes] = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "both lengths, the other way": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two different lengths": b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    "two equal lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a negative length": b"Content-Length: -1\r\n\r\n{}",
    "a signed length": b"Content-Length: +2\r\n\r\n{}",
    "a length in hex": b"Content-Length: 0x2\r\n\r\n{}",
    "a length with a point": b"Content-Length: 2.0\r\n\r\n{}",
    "a list of lengths": b"Content-Length: 2, 2\r\n\r\n{}",
    "a huge length": b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a vertical tab in the coding": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk size in 0x": b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size that overflows": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than told": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a header without a colon": b"Odd\r\nContent-Length: 0\r\n\r\n",
    "a header without a name": b": x\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a header": b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a lone CR in a header": b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
}  # fmt: skip
WHOLE: dict[str, bytes] = {
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200 + b"\r\n\r\n",
    "HTTP/9.9": b"POST /enabled HTTP/9.9\r\nContent-Length: 0\r\n\r\n",
    "an unknown method": b"OWNED /enabled HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "a method in small letters": b"post /enabled HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "a blank too many": b"POST  /ena bled HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
}
BROKEN_BODIES = (
    "an unknown coding", "a negative chunk", "a chunk size in 0x", "a chunk size that overflows",
    "a chunk longer than told",
)  # fmt: skip
TOO_LONG: dict[str, bytes] = {
    "a header of 70 KB": b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "seven thousand headers": b"X-Many: 1\r\n" * 7000 + b"\r\n",
}


def _pipelined(scene: Scene) -> Reply:
    first = b"POST /enabled HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    last = SMUGGLED.replace(b"Host: a", b"Host: a\r\nConnection: close")
    return scene.raw(first + last)


def _in_a_body(scene: Scene) -> Reply:
    head = START + b"Content-Length: " + str(len(SMUGGLED)).encode()
    return scene.raw(head + b"\r\n\r\n" + SMUGGLED)


def _upgrade(scene: Scene, to: str) -> Reply:
    headers = (("Upgrade", to), ("HTTP2-Settings", "AAMAAABkAAQAAP__"), ("Sec-WebSocket-Version", "13"))
    return scene.call("POST", "/enabled", headers, b"{}")


def unclear() -> Iterator[Attack]:
    """Requests whose end is unclear, or that are none."""
    for how, rest in HEADS.items():
        # a call whose head was sound had begun: that its body never ended is recorded
        reason = "body_incomplete" if how in BROKEN_BODIES else ""
        yield Attack(f"a request with {how}", reason, lambda s, r=rest: s.raw(START + r), 400)
    for how, whole in WHOLE.items():
        yield Attack(how, "", lambda s, w=whole: s.raw(w), 400)
    for how, rest in TOO_LONG.items():
        yield Attack(f"a request with {how}", "", lambda s, r=rest: s.raw(START + r), 431)


ATTACKS = (
    *unclear(),
    Attack("two requests at once, the second unsigned", "token_missing", _pipelined, records=2, answers=2),
    Attack("a request inside a body", "token_missing", _in_a_body),
    Attack("an upgrade to h2c", "token_missing", lambda s: _upgrade(s, "h2c")),
    Attack("an upgrade to websocket", "token_missing", lambda s: _upgrade(s, "websocket")),
)
