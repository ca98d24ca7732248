"""What the simulated sites remember between two commands, and the host that stands for Atlassian's and the app's.

One file, 0600: the key that signs installs, and of each site its client key, its secret and the ones before. Written
whole beside itself and moved into place, under a lock of its folder, so that commands run at once lose nothing of each
other. These are secrets of simulated sites only, but whoever has them can speak for those sites.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, Field, ValidationError

from tenure.simulator import tokens
from tenure.simulator.keyhost import Answer, Loopback, Pairs
from tenure.simulator.site import Site, tls

STATE_FILE: Final = ".tenure-simulator.json"
KEY_PORT: Final = 8010
SUFFIX: Final = ".atlassian.net"


class StateError(Exception):
    """The state file or the host cannot be used; the message says what to do."""


class SiteState(BaseModel):
    """One site. `secrets` are the ones it replaced, oldest first; `standing`: new, installed or uninstalled.

    `rolled_back`: it goes on with a secret that the service has seen replaced.
    """

    client_key: str
    base_url: str
    secret: str
    secrets: list[str] = Field(default_factory=list)
    standing: str = "new"
    rolled_back: bool = False

    def keep(self, site: Site) -> None:
        """Takes over what the site knows now."""
        self.client_key, self.base_url = site.client_key, site.base_url
        self.secret, self.secrets = site.secret, list(site.secrets)


class _Kept(BaseModel):
    kid: str
    private_key: str
    sites: dict[str, SiteState] = Field(default_factory=dict)


class SigningKey:
    """The one key of the simulated key host, for every site of it."""

    def __init__(self, kid: str, key: rsa.RSAPrivateKey) -> None:
        self.kid = kid
        self._key = key

    def new_key(self, bits: int = 2048) -> str:
        """The kid; there is but one."""
        return self.kid

    def private_key(self, kid: str) -> rsa.RSAPrivateKey:
        return self._key

    def public_pem(self, kid: str) -> bytes:
        return tokens.public_pem(self._key)


class State:
    """The state file, opened or made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._lock():
            kept = self._read() or self._write(_fresh())
        self.sites = kept.sites
        self.key = SigningKey(kept.kid, _private_key(kept.private_key, path))

    def site(self, name: str) -> SiteState:
        """The site of that name; a new one if there is none yet."""
        if name not in self.sites:
            host = name if "." in name else name + SUFFIX
            self.sites[name] = _new_site(f"https://{host}")
        return self.sites[name]

    def renew(self, name: str) -> None:
        """A site import: the same address, a new client key and secret."""
        self.sites[name] = _new_site(self.site(name).base_url)

    def remember(self, name: str) -> None:
        """Writes one site; the others stay as they are on the disk."""
        with self._lock():
            kept = self._read() or _Kept(kid=self.key.kid, private_key=_pem(self.key.private_key("")))
            kept.sites[name] = self.sites[name]
            self._write(kept)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            folder = os.open(self.path.absolute().parent, os.O_RDONLY)
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}; name another file with --state") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self) -> _Kept | None:
        try:
            if self.path.stat().st_mode & 0o077:
                raise StateError(f"{self.path} is open to others than its owner; run: chmod 600 {self.path}")
            return _Kept.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}; name another file with --state") from None
        except ValidationError:
            raise StateError(f"{self.path} is no state of the simulator; name another with --state") from None

    def _write(self, kept: _Kept) -> _Kept:
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            # never through a link that somebody put there
            beside.unlink(missing_ok=True)
            handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "w") as out:
                out.write(kept.model_dump_json(indent=1))
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}; name another file with --state") from None
        return kept


def _new_site(base_url: str) -> SiteState:
    return SiteState(client_key=str(uuid.uuid4()), base_url=base_url, secret=tokens.new_secret())


def _fresh() -> _Kept:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _Kept(kid=str(uuid.uuid4()), private_key=_pem(key))


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _private_key(pem: str, path: Path) -> rsa.RSAPrivateKey:
    try:
        # made by this program: the check of its primes takes longer than all the rest
        key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    except ValueError:
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise StateError(f"{path} holds no RSA key; remove it, and a new one is made")
    return key


class SimulatorHost(Loopback):
    """Stands for the key host (GET /{kid}) and for the app's own receiver (any POST: 200)."""

    def __init__(self, key: SigningKey, port: int, told: Callable[[str], None] = lambda line: None) -> None:
        self._signing_key = key
        self._told = told
        super().__init__(port)

    def respond(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        if method == "POST":
            who = next((value for name, value in headers if name.lower() == "x-tenure-client-key"), "nobody proved")
            self._told(f"as the app's receiver: POST {path}, {len(body)} bytes, from {who}: 200")
            return Answer(200)
        known = path == f"/{self._signing_key.kid}"
        self._told(f"as the key host: {method} {path}: {'the public key' if known else '404'}")
        if not known:
            return Answer(404, b"not found")
        pem = self._signing_key.public_pem(self._signing_key.kid)
        return Answer(200, pem, (("Content-Type", "application/x-pem-file"),))


@contextmanager
def hosting(key: SigningKey, port: int) -> Iterator[None]:
    """The host is there while this lasts: the one that runs already, or one of our own."""
    if _serves(key, port):
        yield
        return
    try:
        host = SimulatorHost(key, port)
    except OSError as error:
        raise StateError(
            f"port {port} is taken ({error.strerror}) by something that does not serve this simulator's key: end it "
            "(another `tenure simulate keys`?), or give --key-port and set TENURE_INSTALL_KEYS_URL to that port"
        ) from None
    with host:
        yield


def _serves(key: SigningKey, port: int) -> bool:
    try:
        found = httpx.get(f"http://127.0.0.1:{port}/{key.kid}", timeout=2, trust_env=False, verify=tls())
    except httpx.HTTPError:
        return False
    return found.status_code == 200 and found.content == key.public_pem(key.kid)
