"""Can a stranger tell an unknown tenant from a bad signature by time? Prints the AUC over interleaved calls; 0.5: no.

Both kinds are sent in random order over one connection to a real `serve` (forward auth, HS256, the same length), and
timed at the caller. The AUC is the chance that a random unknown-tenant call took longer than a random bad-signature
call; between 0.45 and 0.55 counts as not to be told apart. Exit status 1 outside of that.
"""

import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tenure.service import Service
from tenure.simulator import tokens
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.site import Site
from tenure.store.vault import new_master_key

APP_KEY, BASE_URL = "com.example.app", "https://app.example.com"
CALLS = 6_000


def auc(longer: list[float], shorter: list[float]) -> float:
    """The chance that one of `longer` is above one of `shorter`; ties count half."""
    ranked = sorted([(value, 1) for value in longer] + [(value, 0) for value in shorter])
    ranks, start = 0.0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        ranks += (start + end + 1) / 2 * sum(mark for _, mark in ranked[start:end])
        start = end
    return (ranks - len(longer) * (len(longer) + 1) / 2) / (len(longer) * len(shorter))


class Caller:
    """One kept connection; times a forward-auth question from the first byte sent to the last received."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname or "", where.port or 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def took(self, token: str) -> float:
        """Seconds until the 401 is there."""
        request = (
            "GET /forward-auth HTTP/1.1\r\nHost: x\r\nX-Original-Method: GET\r\nX-Original-URI: /page\r\n"
            f"Authorization: JWT {token}\r\n\r\n"
        ).encode()
        start = time.perf_counter()
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            answer += self._socket.recv(65536)
        took = time.perf_counter() - start
        if answer.startswith(b"HTTP/1.1 503"):  # a busy machine could not record it in time: asked again
            return self.took(token)
        if not answer.startswith(b"HTTP/1.1 401"):
            raise RuntimeError(answer.decode())
        return took


def measure(calls: int, folder: Path, *, rotated: bool) -> float:
    """The AUC over so many calls of both kinds; the known tenant's secret was replaced once, or never."""
    with ExitStack() as stack:
        keys = KeyHost()
        stack.callback(keys.close)
        service = Service(
            folder,
            {"APP_KEY": APP_KEY, "BASE_URL": BASE_URL, "MASTER_KEY": new_master_key(),
             "INSTALL_KEYS_URL": keys.url, "FORWARD_AUTH": "nginx"},
        )  # fmt: skip
        stack.callback(service.stop)
        site = Site(BASE_URL, app_key=APP_KEY, key_host=keys, connect_url=service.url)
        site.install()
        if rotated:
            site.rotate()
        caller = Caller(service.internal_url)
        stack.callback(caller.close)
        return _compare(caller, site.client_key, calls)


def _compare(caller: Caller, known: str, calls: int) -> float:
    unknown = known[:-4] + ("0000" if known[-4:] != "0000" else "1111")
    kinds: list[tuple[str, Callable[[], str]]] = [
        ("unknown", lambda: _token(unknown)),
        ("bad", lambda: _token(known)),
    ]
    for _, make in kinds * 100:
        caller.took(make())
    order = kinds * (calls // 2)
    random.shuffle(order)
    times: dict[str, list[float]] = {"unknown": [], "bad": []}
    for name, make in order:
        times[name].append(caller.took(make()))
    return auc(times["unknown"], times["bad"])


def _token(client_key: str) -> str:
    now = int(time.time())
    claims = {"iss": client_key, "iat": now, "exp": now + 180, "qsh": "0" * 64}
    return tokens.hs256(claims, "x" * 64)


def main() -> int:
    """Measures against both kinds of known tenants and says what was found."""
    sound = True
    for rotated, name in ((False, "never rotated"), (True, "rotated once")):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(CALLS, Path(folder), rotated=rotated)
        sound = sound and 0.45 <= found <= 0.55
        print(
            f"unknown tenant against bad signature of one {name}, {CALLS} calls: AUC {found:.3f} (0.45 to 0.55 wanted)"
        )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
