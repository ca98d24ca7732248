"""Atlassian's public keys for signed installs: asked once per key id, never from a place the caller names.

The hosts come from configuration, tried in order. Every rotation has a new kid, so a key is kept for as long as the
store lives, under the host it came from. No redirects, at most 8 KiB, 2 s, RSA of at least 2048 bits. 404 from every
host is `kid_unknown`, remembered for 60 s; anything else than a sound key is `key_unavailable`, never remembered. One
question at a time per kid. Past 20 unknown kids in 5 s, a further unknown one is answered `key_unavailable`. Eight are
asked for at once, and callers take turns by their address, each with 32 places to wait: one stranger's inventions shut
out neither the key host nor an honest new key. (Behind a proxy the callers are told apart only with TRUSTED_PROXIES.)
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tenure.api.turns import FullError, Turns
from tenure.domain.refusals import OursError, Reason, Refused

MAX_BYTES = 8192
TIMEOUT_S = 2.0
UNKNOWN_FOR_S = 60.0
UNKNOWN_LIMIT = 20
UNKNOWN_WINDOW_S = 5.0
AT_ONCE, WAITING_EACH, WAITING = 8, 32, 512
WAIT_S = 6.0


class KeyStore(Protocol):
    """Keeps install keys across restarts."""

    async def get(self, host: str, kid: str) -> str | None: ...

    async def put(self, host: str, kid: str, pem: str) -> None: ...


def sound_key(pem: bytes) -> RSAPublicKey | None:
    """The RSA key of at least 2048 bits in a PEM text, or None."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= 2048 else None


class InstallKeys:
    """Finds install keys by kid. `session` is set while the service runs."""

    def __init__(self, hosts: Sequence[str], store: KeyStore) -> None:
        self._hosts = tuple(host.rstrip("/") for host in hosts)
        self._store = store
        self._known: dict[str, RSAPublicKey] = {}
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._answers: deque[float] = deque()
        self._asking: dict[str, asyncio.Task[RSAPublicKey | None]] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._turns = Turns(AT_ONCE, WAITING_EACH, WAITING)
        self.session: aiohttp.ClientSession | None = None

    async def find(self, kid: str, caller: str = "") -> RSAPublicKey:
        """The key, or Refused (`kid_unknown`), or OursError (`key_unavailable`). `kid` is well-formed; `caller` is the
        address that has it asked."""
        key = self._known.get(kid) or await self._stored(kid)
        if key is None:
            if self._unknown.get(kid, 0) > time.monotonic():
                raise Refused(Reason.KID_UNKNOWN, kid)
            key = await self._ask_once(kid, caller)
        return key

    async def _stored(self, kid: str) -> RSAPublicKey | None:
        for host in self._hosts:
            pem = await self._store.get(host, kid)
            key = sound_key(pem.encode()) if pem else None
            if key is not None:
                self._known[kid] = key
                return key
        return None

    async def _ask_once(self, kid: str, caller: str) -> RSAPublicKey:
        task = self._asking.get(kid)
        if task is None:
            task = asyncio.create_task(self._ask_in_turn(kid, caller))
            self._asking[kid] = task
            task.add_done_callback(lambda _: self._asking.pop(kid, None))
        # shielded: one caller that hangs up does not end the question for the others
        try:
            async with asyncio.timeout(WAIT_S):
                key = await asyncio.shield(task)
        except TimeoutError:
            raise OursError(Reason.KEY_UNAVAILABLE, "the key hosts take too long") from None
        if key is not None:
            return key
        if self._flooded():
            raise OursError(Reason.KEY_UNAVAILABLE, "too many unknown keys")
        raise Refused(Reason.KID_UNKNOWN, kid)

    def _flooded(self) -> bool:
        while self._answers and self._answers[0] < time.monotonic() - UNKNOWN_WINDOW_S:
            self._answers.popleft()
        return len(self._answers) > UNKNOWN_LIMIT

    async def _ask_in_turn(self, kid: str, caller: str) -> RSAPublicKey | None:
        try:
            async with self._turns.of(caller):
                return await self._ask(kid)
        except FullError:
            raise OursError(Reason.KEY_UNAVAILABLE, "too many keys asked for at once") from None

    async def _ask(self, kid: str) -> RSAPublicKey | None:
        failed = ""
        for host in self._hosts:
            status, pem = await self._fetch(host, kid)
            key = sound_key(pem) if status == 200 else None
            if key is not None:
                self._known[kid] = key
                task = asyncio.create_task(self._keep(host, kid, pem.decode()))
                self._keeping.add(task)
                task.add_done_callback(self._keeping.discard)
                return key
            if status != 404:
                failed = f"{host} answered {status or 'nothing'}"
        if failed:
            raise OursError(Reason.KEY_UNAVAILABLE, failed)
        self._remember_unknown(kid)
        return None

    async def _keep(self, host: str, kid: str, pem: str) -> None:
        # nobody waits for the disk here: that a key could not be kept only costs asking again
        with suppress(Exception):
            await self._store.put(host, kid, pem)

    def _remember_unknown(self, kid: str) -> None:
        self._answers.append(time.monotonic())
        if self._flooded():
            return
        self._unknown[kid] = time.monotonic() + UNKNOWN_FOR_S
        if len(self._unknown) > 1024:
            self._unknown.popitem(last=False)

    async def _fetch(self, host: str, kid: str) -> tuple[int, bytes]:
        if self.session is None:
            return 0, b""
        try:
            async with asyncio.timeout(TIMEOUT_S), self.session.get(f"{host}/{kid}", allow_redirects=False) as response:
                raw = await response.content.read(MAX_BYTES + 1)
                while len(raw) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
                    raw += more
                return response.status, raw if len(raw) <= MAX_BYTES else b""
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return 0, b""
