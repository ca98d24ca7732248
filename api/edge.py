"""The server's edge: what uvicorn leaves open is closed here.

A request's head has to be there within 8 s of the connection (or of its first byte) and within 64 KiB, its body 9 s
after that whether it was answered or not; a connection that stops reading its answer for 8 s is dropped. uvicorn has no
time-out for either: half-open connections would live for ever. Its own 400 gets the headers that every response
carries.

The kernel is given no more of an answer than it sends, but for 128 KiB: it would take megabytes, and copying those for
callers that do not read, and freeing them again, would hold up everybody else.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_DEADLINE_S = 8.0
HEAD_LIMIT = 64 * 1024
BODY_DEADLINE_S = 9.0  # the application answers 408 before; this is for bodies nobody reads
WRITE_DEADLINE_S = 8.0
UNSENT_LIMIT = 128 * 1024

_RESET = struct.pack("ii", 1, 0)
_HEADERS = b"cache-control: no-cache, no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n"


class EdgeProtocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools, with deadlines and a bounded head."""

    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _received = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        self._received = len(data)
        super().data_received(data)
        self._await_rest()
        if self._in_head and self._head_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        # a head that came whole, in one piece of the wire, is too long all the same; the parser takes the error as its
        # own and has it answered
        if max(self._head_bytes, self._received) > HEAD_LIMIT and self._head_size() > HEAD_LIMIT:
            raise ValueError("the head is too long")
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        super().on_message_complete()
        self._in_head = True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_DEADLINE_S, self._drop_unread)

    def _drop_unread(self) -> None:
        # without it the kernel would go on offering what is not read, for minutes
        with suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def shutdown(self) -> None:
        # an answer that streams would go on until the server's patience ends: its reader comes again elsewhere
        cycle = self.cycle
        super().shutdown()
        if cycle is not None and cycle.chunked_encoding and not cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        too_long = self._in_head and self._head_size() > HEAD_LIMIT
        self._refuse(b"431 Request Header Fields Too Large" if too_long else b"400 Bad Request")

    def _head_size(self) -> int:
        return len(self.url or b"") + sum(len(name) + len(value) + 4 for name, value in self.headers or ())

    def _await_rest(self) -> None:
        # timers only for what is still to come: most calls arrive whole
        if self.transport.is_closing():
            return
        if not self._in_head and self._body_timer is None:
            self._body_timer = self.loop.call_later(BODY_DEADLINE_S, self.transport.abort)
        elif self._in_head and self._head_bytes and self._head_timer is None:
            self._await_head()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self._late)

    def _late(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing():
            self.transport.abort()

    def _refuse(self, status: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\n" + _HEADERS + b"content-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def _cancel(self) -> None:
        for timer in (self._head_timer, self._body_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._body_timer = self._write_timer = None


def limit_unsent(listener: socket.socket) -> None:
    """Bounds what the kernel holds of answers to the connections of a listener, where the system can."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)


def server_settings() -> dict[str, Any]:
    """How uvicorn is to be run: our edge, no access log (it prints `?jwt=`), no trust in proxy headers, bounded end."""
    return {
        "http": EdgeProtocol,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "log_config": None,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": 5,
    }
