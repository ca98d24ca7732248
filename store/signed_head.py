"""Signs the log's head, and never one that does not extend the head signed last.

The signing key (Ed25519) lies wrapped with the tenants' keys, and so does the last signed head: a log put back from an
older backup, or written anew, does not know what was signed, they do. The public key and the log's name (origin: the
app key and eight random hex digits) lie beside it in the clear, so that checking needs no master key.
"""

import os
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure.domain.chain import GENESIS
from tenure.domain.checkpoint import Checkpoint, Verifier, sign, verify
from tenure.store.clock import utc_now
from tenure.store.connection import UntrustedStoreError
from tenure.store.key_database import KeyDatabase
from tenure.store.keyring import KeyRing
from tenure.store.masters import MasterKey


class Heads(Protocol):
    """What is asked of the log: its head, and the hash of the event at a position."""

    def head(self) -> tuple[int, str]: ...

    def hash_at(self, position: int) -> str | None: ...


class HeadRefusedError(Exception):
    """The log does not extend the head signed last."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The head signed last, as its signed text says; `note` is empty if none has been yet."""

    verifier: Verifier
    position: int
    hash: str
    note: str
    signed_at: str


_READ = "SELECT origin, public_key, position, hash, note, signed_at FROM signed_head WHERE id = 1"


def last_signed(database: KeyDatabase) -> SignedHead | None:
    """The head signed last, read without any key; None if nothing was ever signed here."""
    row = database.execute(_READ).fetchone()
    return _sound(row, database.name) if row else None


def _sound(row: tuple[Any, ...], place: str) -> SignedHead:
    # what was signed is what the signed text says; the columns beside it anybody could change
    origin, public, position, digest, note, signed_at = row
    verifier = Verifier(origin, public)
    try:
        said = verify(note, verifier) if note else Checkpoint(origin, 0, GENESIS)
    except ValueError as error:
        raise UntrustedStoreError(f"the head signed last is not sound ({error}); restore {place}") from None
    if (said.position, said.hash) != (position, digest):
        raise UntrustedStoreError(
            f"the head signed last is of position {said.position}, {place} says {position} beside it; restore {place}"
        )
    return SignedHead(verifier, said.position, said.hash, note, signed_at)


def does_not_extend(log: Heads, position: int, digest: str) -> str:
    """Why the log does not extend a head, in words; empty if it does."""
    here, _ = log.head()
    if here < position:
        return f"the log ends at position {here}, but a head was signed at {position}: events are missing after {here}"
    found = log.hash_at(position) if position else GENESIS
    if found != digest:
        return f"the event at position {position} is not the one that was signed there"
    return ""


def said(database: KeyDatabase, master: MasterKey, log: Heads) -> str | None:
    """The log's head as signed text, nothing of it remembered and nothing changed; None if no signing key was ever
    made. `database` is read-only. HeadRefusedError if the log does not extend the head signed last,
    UntrustedStoreError.
    """
    ring = KeyRing(database, master)
    row, key_id = ring.execute(_READ).fetchone(), ring.key_id("", "", "head")
    if row is None:
        return None
    private = _own(ring.raw(key_id) if key_id else None, row[1], ring.name)
    return _note(_extended(_sound(row, ring.name), log), *log.head(), private)


def _extended(last: SignedHead, log: Heads) -> SignedHead:
    why = does_not_extend(log, last.position, last.hash)
    if why:
        raise HeadRefusedError(why)
    return last


def _note(last: SignedHead, position: int, digest: str, private: bytes) -> str:
    if last.note and position == last.position:
        return last.note
    return sign(Checkpoint(last.verifier.name, position, digest), private)


def _own(private: bytes | None, public: bytes, place: str) -> bytes:
    if private is None:
        raise UntrustedStoreError(f"the head's signing key is not in the key store; restore {place}")
    if _public(private) != public:
        raise UntrustedStoreError(f"the head's public key is not that of its signing key; restore {place}")
    return private


def _public(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


class HeadSigner:
    """Signs with the keys of one database. One thread at a time."""

    def __init__(self, database: KeyDatabase, master: MasterKey, app_key: str, *, admit: bool = True) -> None:
        self._ring = KeyRing(database, master, admit=admit)
        self._private = self._own_key(app_key)

    def close(self) -> None:
        """Closes the database."""
        self._ring.close()

    def _own_key(self, app_key: str) -> bytes:
        raw = self._ring.raw(self._ring.ensure("", "", "head"))
        if raw is not None and self._ring.execute(_READ).fetchone() is None:
            with self._ring.transaction():
                self._ring.execute(
                    "INSERT INTO signed_head VALUES (1, ?, ?, 0, ?, '', '') ON CONFLICT DO NOTHING",
                    (f"{app_key}/{os.urandom(4).hex()}", _public(raw), GENESIS),
                )
        return _own(raw, self.last().verifier.public if raw is not None else b"", self._ring.name)

    def last(self) -> SignedHead:
        """The head signed last."""
        row = self._ring.execute(_READ).fetchone()
        return _sound(row, self._ring.name)

    def sign(self, log: Heads) -> SignedHead:
        """The log's head, signed and remembered; HeadRefusedError if it does not extend the one before."""
        with self._ring.transaction():
            try:
                last = self.last()
            except UntrustedStoreError as error:
                raise HeadRefusedError(str(error)) from None
            _extended(last, log)
            position, digest = log.head()
            note = _note(last, position, digest, self._private)
            if note == last.note:
                return last
            self._remember(position, digest, note)
            return self.last()

    def start_again(self) -> SignedHead:
        """Forgets the head signed last, because an older log was put back on purpose; what it was."""
        with self._ring.transaction():
            last = self.last()
            self._remember(0, GENESIS, "")
        return last

    def _remember(self, position: int, digest: str, note: str) -> None:
        self._ring.execute(
            "UPDATE signed_head SET position = ?, hash = ?, note = ?, signed_at = ? WHERE id = 1",
            (position, digest, note, utc_now()),
        )
