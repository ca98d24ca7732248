"""Starlette on uvicorn at its fastest: reads the body, answers 204. No check, no record. Prints its port."""

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def webhook(request: Request) -> Response:
    """Reads and forgets."""
    await request.body()
    return Response(status_code=204)


def main() -> None:
    """Serves on a free port."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(2048)
    print(bound.getsockname()[1], flush=True)
    app = Starlette(routes=[Route("/webhooks/issue", webhook, methods=["POST"])])
    config = uvicorn.Config(app, http="httptools", loop="uvloop", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
