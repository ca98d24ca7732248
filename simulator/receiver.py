"""The app's own webhook receiver, standing behind Tenure, as a real HTTP server on the loopback.

Rule: it records every request whole before it answers, and answers what it was told to (`status`, `delay`,
`body`, or a `script` of statuses for the next requests), so that a test can make the upstream slow, failing
or gone.
"""

import threading
import time
from dataclasses import dataclass

from tenure.simulator.keyhost import Answer, Loopback, Pairs


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived; `path` is the raw target, the query included."""

    method: str
    path: str
    headers: Pairs
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Receiver(Loopback):
    """Set `status`, `delay`, `body`; read `received`."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.delay = 0.0
        self.body = b""
        self.script: list[int] = []
        self.received: list[Received] = []
        self._arrived = threading.Condition()
        super().__init__(port)

    def respond(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        with self._arrived:
            self.received.append(Received(method, path, headers, body))
            status = self.script.pop(0) if self.script else self.status
            self._arrived.notify_all()
        return Answer(status, self.body, delay=self.delay)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Received]:
        """Everything received, once there are that many; TimeoutError if they do not come."""
        deadline = time.monotonic() + timeout
        with self._arrived:
            while len(self.received) < count:
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{len(self.received)} of {count} requests after {timeout} s")
            return list(self.received)

    def clear(self) -> None:
        """Forget what was received."""
        with self._arrived:
            self.received.clear()
