"""Master keys: what wraps the data keys. An adapter wraps, unwraps and has an id; where the key lies is its own affair.

Here are the two whose key is given as text (environment, file). A key service fits behind the same three members.

While a rotation is under way two masters are in force, and a process knows one of them. For the other it wraps by
deposit: to a public key (X25519) whose private half only that other master opens. So whoever still runs under the old
key can make keys for new tenants that the new one opens, without ever learning the new one. A wrap's first byte says
its form: 1 by the master itself, 2 by deposit.
"""

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tenure.store.files import place_new

DIRECT, DEPOSITED = b"\x01", b"\x02"


class WrongMasterError(Exception):
    """The wrapped text was not made for this master key and place."""


class MasterKey(Protocol):
    """Wraps short texts, each bound to its place (`context`); `unwrap` raises WrongMasterError."""

    @property
    def id(self) -> str: ...

    def wrap(self, plain: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


class GivenMaster:
    """A master key whose 32 bytes are in this process: AES-256-GCM, a random nonce before the ciphertext."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._id = hashlib.sha256(b"tenure master key id" + key).hexdigest()[:16]

    @property
    def id(self) -> str:
        """A name for it that gives nothing away."""
        return self._id

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The plain bytes, or WrongMasterError."""
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError):
            raise WrongMasterError from None


def from_text(text: str) -> GivenMaster:
    """The master key in base64 text (environment), or ValueError."""
    return GivenMaster(parse_master_key(text))


def from_file(path: Path) -> GivenMaster:
    """The master key in a file of its owner's alone, or PermissionError, OSError, ValueError."""
    if os.stat(path).st_mode & 0o077:
        raise PermissionError(f"{path} is open to others; run: chmod 600 {path}")
    return from_text(path.read_text())


def new_master_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(os.urandom(32)).decode()


def write_master_key(path: Path) -> str:
    """A new master key in a new file, 0600 and fsynced; its text. FileExistsError if there is such a file."""
    text = new_master_key()
    place_new(path, f"{text}\n".encode())
    return text


def parse_master_key(text: str) -> bytes:
    """The key in base64 text, or ValueError."""
    key = base64.b64decode(text.strip(), validate=True)
    if len(key) != 32:
        raise ValueError("a master key is 32 bytes in base64")
    return key


@dataclass(frozen=True, slots=True)
class DepositBox:
    """A pair of keys, raw: whoever has the public half can leave something for whoever has the private one."""

    private: bytes
    public: bytes


def new_deposit_box() -> DepositBox:
    """A fresh pair."""
    key = X25519PrivateKey.generate()
    return DepositBox(key.private_bytes_raw(), key.public_key().public_bytes_raw())


def deposit(public: bytes, plain: bytes, context: bytes) -> bytes:
    """A wrap for the holder of the private half: ephemeral public key, then the ciphertext under a key of one use."""
    ephemeral = X25519PrivateKey.generate()
    left = ephemeral.public_key().public_bytes_raw()
    key = _agreed(ephemeral.exchange(X25519PublicKey.from_public_bytes(public)), left + public)
    # the key is of one use, so the nonce may stand still
    return left + AESGCM(key).encrypt(bytes(12), plain, context)


def withdraw(private: bytes, deposited: bytes, context: bytes) -> bytes:
    """The plain bytes of a deposit, or WrongMasterError."""
    own = X25519PrivateKey.from_private_bytes(private)
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(deposited[:32]))
        key = _agreed(shared, deposited[:32] + own.public_key().public_bytes_raw())
        return AESGCM(key).decrypt(bytes(12), deposited[32:], context)
    except (InvalidTag, ValueError):
        raise WrongMasterError from None


def _agreed(shared: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"tenure deposited key").derive(shared)
