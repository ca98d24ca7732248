"""The two listeners of one server: public (Jira's routes, under the base URL's path) and internal (everything else).

The port in the ASGI scope tells them apart; what is on one is 404 on the other. Paths are matched as received, raw:
nothing redirects, `/installed/` is not `/installed`. The routes are a dictionary, because the hot ones are few.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog

from tenure.api.evidence import clean
from tenure.api.http import Answer, Call, Receive, Scope, Send, SlowCallerError, respond
from tenure.api.lines import where
from tenure.api.openapi import DOCUMENT
from tenure.api.problems import STATUS, problem
from tenure.api.recorder import Recorder
from tenure.domain.refusals import OursError, Reason, Refused

Handler = Callable[[Call], Awaitable[Answer]]

log = structlog.get_logger()

_JSON = ((b"content-type", b"application/json"),)


class Readiness(Protocol):
    """Says what is not ready: an empty list means ready."""

    async def problems(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Route:
    """A handler and the methods it takes; no methods: any. `kind` is that of its decisions, if it makes any."""

    handler: Handler
    methods: tuple[str, ...] = ("POST",)
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """Exact paths, and prefixes behind which anything goes."""

    routes: dict[str, Route]
    behind: dict[str, Route]

    def find(self, path: str) -> Route | None:
        """The route of a raw path."""
        route = self.routes.get(path)
        if route is None:
            return next((found for prefix, found in self.behind.items() if path.startswith(prefix)), None)
        return route


class App:
    """The ASGI application. `internal_port` is set once the sockets are bound."""

    def __init__(
        self, public: Listener, internal: Listener, start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]], internal_port: Callable[[], int], recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._public = public
        self._internal = internal
        self._start = start
        self._stop = stop
        self._internal_port = internal_port
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection event."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            call = Call(scope, receive)
            internal = (scope.get("server") or ("", 0))[1] == self._internal_port()
            answer = await self._answer(self._internal if internal else self._public, call)
            try:
                await respond(send, receive, answer)
            except Exception as error:
                # the server closes a connection whose answer is not whole; its own log would show the message
                log.error("answer broken off", error=type(error).__name__, where=where(error), path=clean(call.path))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, listener: Listener, call: Call) -> Answer:
        route = listener.find(call.path)
        if route is None:
            return problem(404, "There is nothing here.", html_wanted=call.wants_html)
        if route.methods and call.method not in route.methods:
            allow = ((b"allow", ", ".join(route.methods).encode()),)
            sentence = f"This route takes {' or '.join(route.methods)}."
            return problem(405, sentence, html_wanted=call.wants_html, headers=allow)
        try:
            return await route.handler(call)
        except SlowCallerError:
            reason, detail = Reason.BODY_INCOMPLETE, ""
        except Refused as refused:
            reason, detail = refused.reason, refused.detail
        except OursError as error:
            reason, detail = error.reason, error.detail
            log.error("could not answer", reason=reason.value, path=clean(call.path))
        except Exception as error:
            # file and line only: a traceback with locals or messages could hold a secret
            reason, detail = Reason.UNEXPECTED, f"{type(error).__name__} in {where(error)}"
            log.error("unexpected", error=type(error).__name__, where=where(error), path=clean(call.path))
        return await self._fault(call, route, reason, detail)

    async def _fault(self, call: Call, route: Route, reason: Reason, detail: str) -> Answer:
        """The answer to what no handler answered; a decision if the route makes decisions."""
        status, headers, members = STATUS[reason], dict[bytes, bytes](), dict[str, str]()
        if route.kind and self._recorder is not None:
            members["decision"] = await self._recorder.failed(call, route.kind, reason, detail)
            headers[b"x-tenure-decision"] = members["decision"].encode()
        sentence = "Please try again."
        if status == 408:
            sentence, headers[b"connection"] = "The body did not arrive in time.", b"close"
        elif status == 413:
            sentence = f"The request was refused: {reason.value}."
        else:
            status, headers[b"retry-after"] = 503, b"5"
        return problem(status, sentence, html_wanted=call.wants_html, headers=tuple(headers.items()), **members)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})


async def healthz(_: Call) -> Answer:
    """The process is up."""
    return Answer(200, b'{"status":"up"}', _JSON)


def readyz(readiness: Readiness, notices: Callable[[], Awaitable[Sequence[str]]]) -> Handler:
    """The store answers and the projections are at the head, or 503 with what is wrong; `notices` name the settings
    that widen trust, and what else an operator should look at.
    """

    async def handle(_: Call) -> Answer:
        # together, so that a store that does not answer is waited for once
        found, noticed = await asyncio.gather(readiness.problems(), notices())
        body = {"status": "not ready" if found else "ready", "problems": found, "notices": list(noticed)}
        return Answer(503 if found else 200, orjson.dumps(body), _JSON)

    return handle


async def openapi(_: Call) -> Answer:
    """The description of both listeners."""
    return Answer(200, orjson.dumps(DOCUMENT), _JSON)


def descriptor(raw: bytes) -> Handler:
    """The app's descriptor, as configured."""

    async def handle(_: Call) -> Answer:
        return Answer(200, raw, _JSON)

    return handle
