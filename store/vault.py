"""Seals what must not lie in the log in the clear, each tenant under a data key of its own.

A sealed text is `1.<key id>.<nonce>.<ciphertext>` (base64url): AES-256-GCM, its associated data the app key, client
key, stream version and field name, so that it opens nowhere else. Nonces are 96 random bits; a key seals a few
thousand texts in its life, far from the 2^32 up to which random ones may be trusted. Data keys lie wrapped in
`store.keyring`; a copy of the log alone never holds them, and forgetting a tenant is destroying its key. A fingerprint
is an HMAC under the tenant's key: people may compare it, nobody can guess from it.

Data keys in use are kept in memory. Whether a tenant has its key is always asked of the database, and is to be asked
(`has_key` or `ensure_key`) before anything is sealed for an append. Keys kept here are dropped within `KEPT_S` of an
erasure in any process (`refresh`).
"""

import binascii
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.store.connection import UntrustedStoreError
from tenure.store.key_database import KeyDatabase
from tenure.store.keyring import KeyRing, Place, Wrapped, check_master, netstrings
from tenure.store.masters import MasterKey, new_master_key

__all__ = ("CACHED_KEYS", "KEPT_S", "DataKey", "Sealing", "Vault", "key_id_of", "new_master_key")

CACHED_KEYS = 4096
KEPT_S = 1.0
_URL_SAFE, _STANDARD = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class DataKey:
    """A tenant's key, ready for use."""

    key_id: str
    cipher: AESGCM
    mark: bytes
    place: bytes

    @classmethod
    def of(cls, key_id: str, app_key: str, client_key: str, raw: bytes) -> "DataKey":
        """From its 32 bytes."""
        place = netstrings("sealed field", app_key, client_key)
        return cls(key_id, AESGCM(raw), hmac.digest(raw, b"tenure fingerprint", "sha256"), place)


class Sealing:
    """What is done with tenants' keys (`ports.Vault`); where they come from is for whoever inherits this to say."""

    def key(self, app_key: str, client_key: str, wanted: str | None = None) -> DataKey:
        """The tenant's key now; `wanted` is the id it should have, if it is known."""
        raise NotImplementedError

    def ensure_key(self, app_key: str, client_key: str) -> None:
        """Makes the tenant's key if it has none; committed when it returns."""
        raise NotImplementedError

    def pin(self, app_key: str, client_key: str) -> None:
        """Keeps this key in memory however many others are used."""
        raise NotImplementedError

    def opens(self, app_key: str, client_key: str, sealed: str) -> bool:
        """Whether the key that a text was sealed under is still the tenant's."""
        raise NotImplementedError

    def seal(self, app_key: str, client_key: str, version: int, name: str, plain: bytes) -> str:
        """The sealed text of a field of the event that will have `version`."""
        key = self.key(app_key, client_key)
        nonce = os.urandom(12)
        sealed = key.cipher.encrypt(nonce, plain, _seal_aad(key.place, version, name))
        return f"1.{key.key_id}.{_text(nonce)}.{_text(sealed)}"

    def open(self, app_key: str, client_key: str, version: int, name: str, sealed: str) -> bytes:
        """The plain bytes of a sealed text, or UntrustedStoreError if it was not sealed for this very place."""
        try:
            form, key_id, nonce, ciphertext = sealed.split(".")
            key = self.key(app_key, client_key, key_id)
            if (form, key_id) != ("1", key.key_id):
                raise ValueError("another form or key")
            return key.cipher.decrypt(_bytes(nonce), _bytes(ciphertext), _seal_aad(key.place, version, name))
        except (InvalidTag, ValueError):
            raise UntrustedStoreError(f"{name} of tenant {client_key}, version {version}, does not open") from None

    def mac(self, app_key: str, client_key: str, purpose: str, *pieces: str) -> str:
        """An HMAC over pieces under a tenant's key, in hex; `purpose` keeps it apart from every other use."""
        mark = self.key(app_key, client_key).mark
        return hmac.digest(mark, netstrings(purpose, *pieces), "sha256").hex()

    def fingerprint(self, app_key: str, client_key: str, secret: bytes) -> str:
        """A keyed hash of the secret, 16 hex digits."""
        return hmac.digest(self.key(app_key, client_key).mark, secret, "sha256").hex()[:16]

    def derived(self, app_key: str, client_key: str, purpose: str) -> bytes:
        """A key of 32 bytes for another purpose, from the same data key."""
        return hmac.digest(self.key(app_key, client_key).mark, netstrings("derived key", purpose), "sha256")


class Vault(Sealing):
    """The tenant keys of one database, under one master key. One thread at a time."""

    def __init__(self, database: KeyDatabase, master: MasterKey, *, admit: bool = True) -> None:
        self.ring = KeyRing(database, master, admit=admit)
        self._keys: OrderedDict[Place, DataKey] = OrderedDict()
        self._pinned: set[Place] = set()
        self._seen = self.ring.data_version()
        self._generation = self.ring.generation()
        self._looked = time.monotonic()

    def close(self) -> None:
        """Closes the database."""
        self._keys.clear()
        self.ring.close()

    def refresh(self) -> None:
        """Drops kept keys if one was destroyed, in whatever process, or a master key came or went."""
        self._looked = time.monotonic()
        seen = self.ring.data_version()
        if seen == self._seen:
            return
        self._seen = seen
        generation = self.ring.generation()
        if generation != self._generation:
            self._generation = generation
            self._keys.clear()

    def has_key(self, app_key: str, client_key: str) -> bool:
        """Whether the tenant has a key now, by the database; one kept here that is another is dropped."""
        key_id = self.ring.key_id(app_key, client_key)
        self._drop_unless(app_key, client_key, key_id)
        return key_id is not None

    def ensure_key(self, app_key: str, client_key: str) -> None:
        """Makes the tenant's key if it has none; committed when it returns."""
        self.ensure_keys([(app_key, client_key)])

    def ensure_keys(self, tenants: Sequence[Place]) -> None:
        """As `ensure_key`, of several in one transaction: each commit waits for the disk."""
        for tenant, key_id in self.ring.ensure_all(tenants).items():
            self._drop_unless(*tenant, key_id)

    def _drop_unless(self, app_key: str, client_key: str, key_id: str | None) -> None:
        kept = self._keys.get((app_key, client_key))
        if kept is not None and kept.key_id != key_id:
            del self._keys[app_key, client_key]

    def check(self) -> None:
        """UntrustedStoreError if the master key is not, or no longer, one of the database's."""
        self.refresh()
        check_master(self.ring.masters(), self.ring.master.id)

    def pin(self, app_key: str, client_key: str) -> None:
        """Keeps this key in memory however many others are used."""
        self._pinned.add((app_key, client_key))

    def opens(self, app_key: str, client_key: str, sealed: str) -> bool:
        """Whether the key that a text was sealed under is still the tenant's."""
        return key_id_of(sealed) == self.ring.key_id(app_key, client_key)

    def key(self, app_key: str, client_key: str, wanted: str | None = None) -> DataKey:
        """The tenant's key; one kept here was in force `KEPT_S` ago."""
        if time.monotonic() - self._looked > KEPT_S:
            self.refresh()
        key = self._keys.get((app_key, client_key))
        if key is None or wanted not in (None, key.key_id):
            key = self._load((app_key, client_key))
        return key

    def _load(self, place: Place) -> DataKey:
        self._keys.pop(place, None)
        key = next(map(self.opened, self.ring.wrapped([place])), None)
        if key is None:
            raise UntrustedStoreError(f"tenant {place[1]} has no key in the key store")
        self._keys[place] = key
        if len(self._keys) > CACHED_KEYS:
            del self._keys[next(place for place in self._keys if place not in self._pinned)]
        return key

    def opened(self, found: Wrapped) -> DataKey:
        """The key of what the ring found; UntrustedStoreError if it does not open under this master key."""
        return DataKey.of(found[0], found[2], found[3], self.ring.opened(found))


def key_id_of(sealed: str) -> str:
    """The id of the data key a text was sealed under; empty if it is no sealed text."""
    return sealed.split(".", 2)[1] if sealed.count(".") == 3 else ""


def _seal_aad(place: bytes, version: int, name: str) -> bytes:
    number, field = b"%d" % version, name.encode()
    return b"%b%d:%b,%d:%b," % (place, len(number), number, len(field), field)


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text.encode().translate(_STANDARD) + b"=" * (-len(text) % 4))
