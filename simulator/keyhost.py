"""The host that publishes the public keys of signed installs, as a real HTTP server on the loopback.

Rule: a key is served as PEM (SPKI) at `/{kid}`, every other path is 404, unless a kid was told to behave
otherwise (junk, a redirect, a 500, slow, too big). Every path asked for is remembered. A closed host answers
nobody any more, over a kept-alive connection neither.
"""

import socket
import socketserver
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa

from tenure.simulator import tokens

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a loopback server; `delay` is in seconds, before the first byte."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0


Behaviour = Answer | Callable[[str], Answer]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: "Loopback") -> None:
        self.owner = owner
        self.closing = threading.Event()
        self.open_sockets: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # the HTTPServer one asks the resolver for a name
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.open_sockets.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a peer that hangs up early is no error of ours
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _answer(self) -> None:
        body = self._read_body()
        answer = self.server.owner.respond(self.command, self.path, list(self.headers.items()), body)
        if answer.delay:
            self.server.closing.wait(answer.delay)
        if self.server.closing.is_set():
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in {"Date": self.date_time_string(), **dict(answer.headers)}.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name the base class gives it
        """Say nothing."""


class Loopback:
    """A real HTTP server on 127.0.0.1 in a daemon thread; a subclass says what it answers."""

    def __init__(self, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), self)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def respond(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        """Stop listening and cut every open connection; may be called twice."""
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._server.open_sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KeyHost(Loopback):
    """Public keys by key id. `requests` holds every path asked for, in order; `unknown` answers for all other kids."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[str] = []
        self.unknown = Answer(404, b"not found")
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self._behaviours: dict[str, Behaviour] = {}
        super().__init__(port)

    def new_key(self, bits: int = 2048) -> str:
        """Publish one more key (never one this host already has) and return its kid."""
        kid = str(uuid.uuid4())
        self._keys[kid] = tokens.pooled_key("host", len(self._keys), bits)
        return kid

    def private_key(self, kid: str) -> rsa.RSAPrivateKey:
        return self._keys[kid]

    def public_pem(self, kid: str) -> bytes:
        return tokens.public_pem(self._keys[kid])

    def behave(self, kid: str, behaviour: Behaviour | None) -> None:
        """Answer for this kid (known or not) like this from now on; None is back to normal."""
        if behaviour is None:
            self._behaviours.pop(kid, None)
        else:
            self._behaviours[kid] = behaviour

    def respond(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        self.requests.append(path)
        kid = path[1:]
        behaviour = self._behaviours.get(kid)
        if isinstance(behaviour, Answer):
            return behaviour
        if behaviour is not None:
            return behaviour(path)
        if kid not in self._keys:
            return self.unknown
        return Answer(200, self.public_pem(kid), (("Content-Type", "application/x-pem-file"),))
