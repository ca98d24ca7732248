"""Runs the server on listeners that are bound: in this process, or in several workers under this one.

With workers, Ctrl-C is blocked here before the first is started, and looked for where other signals are looked for.
Workers inherit the block over their start: they would else die of Ctrl-C in the midst of their imports, a traceback
each. This process ends them by SIGTERM, which a worker that serves takes as the end in order.
"""

import os
import signal
from multiprocessing import resource_tracker
from socket import socket

import uvicorn
from uvicorn.supervisors import Multiprocess

from tenure import worker
from tenure.api.edge import limit_unsent, server_settings


class _Workers(Multiprocess):
    def run(self) -> None:
        # it lifts the block of this signal when it has started its process, so it goes before
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        super().run()

    def handle_signals(self) -> None:
        if signal.SIGINT in signal.sigpending():
            self.handle_int()
        super().handle_signals()


def run(listeners: list[socket], workers: int) -> None:
    """Serves until a signal ends it."""
    for listener in listeners:
        limit_unsent(listener)
    config = uvicorn.Config("tenure.worker:application", factory=True, workers=workers, **server_settings())
    if workers == 1:
        uvicorn.Server(config).run(sockets=listeners)
        return
    os.environ[worker.PARENT] = str(os.getpid())
    _Workers(config, sockets=listeners).run()
