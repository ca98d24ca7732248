"""`tenure serve`: binds both listeners, then runs one server, or one in each of several workers.

The service's own libraries are imported within the command: no other one needs them, and they take the longest. The
garbage collector rests meanwhile (`tenure.__main__`) and leaves alone what they made.
"""

import gc
import os
import socket
from typing import Annotated

import structlog
import typer

from tenure.cli.output import fail, guarded, settings_of
from tenure.settings import Settings


def serve(
    host: Annotated[str, typer.Option(help="Public listener's address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Public listener's port.", min=0, max=65535)] = 8000,
    internal_host: Annotated[str, typer.Option(help="Internal listener's address.")] = "127.0.0.1",
    internal_port: Annotated[
        int | None, typer.Option(help="Internal listener's port (default: port + 1).", min=0, max=65535)
    ] = None,
    workers: Annotated[int, typer.Option(help="Server processes.", min=1, max=64)] = 1,
) -> None:
    """The service. Settings come from TENURE_… variables. Example: tenure serve --port 8000 --workers 2"""
    from tenure import ballast, logs, serving, wiring  # noqa: PLC0415 (see above)

    gc.freeze()
    gc.enable()
    logs.configure()
    settings = settings_of(Settings)
    with guarded():
        settings.master()
        wiring.read_descriptor(settings)
        ballast.give_up_if_full(settings)
        wiring.prepare(settings)
        ballast.lay(settings)
    public = _bind(host, port, "--port")
    number = public.getsockname()[1]
    if internal_port is None:
        internal_port = number + 1 if port else 0
    internal = _bind(internal_host, internal_port, "--internal-port")
    os.environ |= {wiring.INTERNAL_PORT: str(internal.getsockname()[1]), wiring.INTERNAL_HOST: internal_host}
    if internal.getsockname()[1] == number:
        raise fail("the two listeners need two ports", 2)
    with guarded():
        wiring.started(settings)
    names = {"public": _name(public), "internal": _name(internal)}
    structlog.get_logger().info("serving", **names, workers=workers, base_url=settings.base_url)
    serving.run([public, internal], workers)


def _bind(host: str, port: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
        bound.set_inheritable(True)
    except OSError as error:
        bound.close()
        hint = f"end what listens there, or give {option} another"
        raise fail(f"cannot listen on {host}:{port}: {error.strerror}; {hint}", 2) from None
    return bound


def _name(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
