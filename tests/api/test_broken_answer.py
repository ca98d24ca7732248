"""An answer that fails while it is being sent ends the connection, and tells nothing but where."""

import asyncio
import socket
from collections.abc import AsyncGenerator

import pytest
import uvicorn

from tenure.api.app import App, Listener, Route
from tenure.api.http import Answer, Call

SECRET = "the-secret-in-a-message"


async def _breaking() -> AsyncGenerator[bytes, None]:
    yield b"one"
    raise RuntimeError(SECRET)


async def _handler(_: Call) -> Answer:
    return Answer(200, stream=_breaking())


async def _nothing() -> None:
    pass


async def _ask() -> bytes:
    app = App(Listener({"/stream": Route(_handler, ("GET",))}, {}), Listener({}, {}), _nothing, _nothing, lambda: 0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        told = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        server.should_exit = True
        await serving
    return told


def test_an_answer_that_breaks_off_ends_the_connection_and_tells_no_message(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What was sent stays sent, the connection ends without the last chunk, and no log holds the error's message."""
    told = asyncio.run(_ask())
    assert b"one" in told
    assert not told.endswith(b"0\r\n\r\n")
    written = "".join((*capfd.readouterr(), caplog.text))
    assert "answer broken off" in written
    assert SECRET not in written
