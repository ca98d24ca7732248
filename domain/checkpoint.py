"""A signed head of the log: its size and hash under an Ed25519 signature, as text that can be kept anywhere.

The text is a checkpoint (C2SP tlog-checkpoint): three lines, the log's name (origin), its number of events, the hash
of the last one in base64. It is signed as a note (C2SP signed-note): the text, an empty line, then a line
`— <name> <base64 of key id and signature>`. The key id is the first 4 bytes of SHA-256(name, newline, 1, public key),
and a key is published as `<name>+<key id in hex>+<base64 of 1 and public key>`.
What differs from a certificate log: the hash is that of a chain, not the root of a tree. Whether one head extends
another can only be seen from the events between them, so there are no short proofs of it.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_DASH = "\u2014 "
MAX_NOTE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head: the log's name, the position of its last event (0: none), that event's hash in hex."""

    origin: str
    position: int
    hash: str

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.position}\n{base64.b64encode(bytes.fromhex(self.hash)).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that say which key signed."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        """The key as it is published."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """The key of a published text, or ValueError."""
        name, key_id, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        found = cls(name, raw[1:])
        if raw[:1] != _ED25519 or len(raw) != 33 or found.key_id.hex() != key_id:
            raise ValueError("not an Ed25519 key of a signed note")
        return found


def sign(checkpoint: Checkpoint, private: bytes) -> str:
    """The signed note of a head; `private` is an Ed25519 seed of 32 bytes."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    verifier = Verifier(checkpoint.origin, key.public_key().public_bytes_raw())
    text = checkpoint.text()
    signature = base64.b64encode(verifier.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{_DASH}{checkpoint.origin} {signature}\n"


def read(note: str) -> Checkpoint:
    """The head a note speaks of, its signature not looked at; ValueError if it is no such note."""
    if len(note) > MAX_NOTE:
        raise ValueError("a signed head is a few lines")
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.startswith(_DASH) or not signatures.endswith("\n"):
        raise ValueError("a signed head is three lines, an empty one and a signature")
    lines = text.split("\n")
    origin, size, digest = lines[:3] if len(lines) >= 3 else ("", "", "")
    raw = base64.b64decode(digest, validate=True)
    if not origin or not (size.isascii() and size.isdecimal()) or (len(size) > 1 and size[0] == "0") or len(raw) != 32:
        raise ValueError("a signed head is a name, a size and a hash of 32 bytes")
    return Checkpoint(origin, int(size), raw.hex())


def verify(note: str, verifier: Verifier) -> Checkpoint:
    """The head of a note that this key has signed, or ValueError."""
    checkpoint = read(note)
    text, _, signatures = note.rpartition("\n\n")
    for line in signatures.split("\n"):
        name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
        raw = base64.b64decode(encoded, validate=True) if encoded else b""
        if line.startswith(_DASH) and name == verifier.name and raw[:4] == verifier.key_id:
            try:
                Ed25519PublicKey.from_public_bytes(verifier.public).verify(raw[4:], f"{text}\n".encode())
            except InvalidSignature:
                raise ValueError("the signature does not hold") from None
            if checkpoint.origin != verifier.name:
                raise ValueError("the head is another log's")
            return checkpoint
    raise ValueError("it is signed by another key")
