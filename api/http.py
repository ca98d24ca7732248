"""One call as it came over the wire, and one answer. Raw path, raw query: what was signed is what is hashed.

Nothing is derived from Host or X-Forwarded-*. A body is read up to a limit and within a deadline.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tenure.domain.decisions import Entry
from tenure.domain.refusals import Reason, Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_DEADLINE_S = 8.0

FIXED_HEADERS: list[tuple[bytes, bytes]] = [
    (b"cache-control", b"no-cache, no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class SlowCallerError(Exception):
    """The body did not arrive within its deadline, or the caller hung up."""


class Call:
    """A request's head, with its body still to be read."""

    __slots__ = ("_receive", "entry", "headers", "method", "path", "peer", "query", "started")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.started = time.perf_counter()
        self.method: str = scope["method"]
        raw = scope.get("raw_path") or scope["path"].encode()
        self.path: str = raw.decode("latin-1")
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self.peer: str = (scope.get("client") or ("", 0))[0]
        self.entry: Entry | None = None  # how the call's decision was recorded, once it was
        self._receive = receive

    @property
    def gone(self) -> bool:
        """Whether the caller has hung up already: the server's own note, read without waiting for a message."""
        return bool(getattr(getattr(self._receive, "__self__", None), "disconnected", False))

    def all(self, name: bytes) -> list[str]:
        """Every value of a header, name in lower case."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    def one(self, name: bytes) -> str:
        """The header's first value, or empty text."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    @property
    def wants_html(self) -> bool:
        """Whether a browser asks."""
        return "text/html" in self.one(b"accept")

    async def body(self, limit: int) -> bytes:
        """The whole body, or Refused (`payload_too_large`), or SlowCallerError."""
        announced = self.one(b"content-length")
        if announced.isdigit() and int(announced) > limit:
            raise Refused(Reason.PAYLOAD_TOO_LARGE)
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                return await self._read(limit)
        except TimeoutError:
            raise SlowCallerError from None

    async def _read(self, limit: int) -> bytes:
        chunks, size, more = [], 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise SlowCallerError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise Refused(Reason.PAYLOAD_TOO_LARGE)
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the headers besides the fixed ones. With `stream` the body is what that yields, piece by piece,
    until it ends or the caller has gone; then it is closed.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None


async def respond(send: Send, receive: Receive, answer: Answer) -> None:
    """Sends an answer with the headers that every response carries."""
    headers = [*FIXED_HEADERS, *answer.headers]
    if answer.status != 204 and answer.stream is None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.stream is not None:
        await _send_stream(send, receive, answer.stream)
    await send({"type": "http.response.body", "body": answer.body})


async def _send_stream(send: Send, receive: Receive, stream: AsyncGenerator[bytes, None]) -> None:
    gone = asyncio.create_task(_gone(receive))
    try:
        while True:
            step = asyncio.ensure_future(anext(stream, None))
            await asyncio.wait((step, gone), return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
                await asyncio.wait((step,))
                return
            piece = step.result()
            if piece is None:
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        gone.cancel()
        await stream.aclose()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def only_token(authorizations: Sequence[str], query: str) -> str:
    """The one token of a request, from `Authorization: JWT` or the `jwt` parameter, or Refused: `token_missing`,
    `token_ambiguous`. Frameworks disagree on precedence, so two are refused. `Bearer` is never Connect.
    """
    if len(authorizations) > 1:
        raise Refused(Reason.TOKEN_AMBIGUOUS)
    found = [value[4:].strip() for value in authorizations if value[:4].lower() == "jwt "]
    for piece in query.split("&") if query else ():
        name, _, value = piece.partition("=")
        if name == "jwt" or ("%" in name and unquote_plus(name) == "jwt"):
            found.append(unquote_plus(value))
    if len(found) > 1:
        raise Refused(Reason.TOKEN_AMBIGUOUS)
    if not found or not found[0]:
        raise Refused(Reason.TOKEN_MISSING)
    return found[0]
