"""Seals what must not lie in the log in the clear, each tenant under a data key of its own.

A sealed text is `1.<key id>.<nonce>.<ciphertext>` (base64url): AES-256-GCM, its associated data the app key, client
key, stream version and field name, so that it opens nowhere else. Data keys lie wrapped by the master key in a file of
their own (`keys.db`); a backup of the log never holds them, and forgetting a tenant is destroying its key. A
fingerprint is an HMAC under the tenant's key: people may compare it, nobody can guess from it.
"""

import base64
import hashlib
import hmac
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.store.connection import UntrustedStoreError, check_permissions, connect, migrate
from tenure.store.sqlite import utc_now

_CACHED_KEYS = 4096


def new_master_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(os.urandom(32)).decode()


def parse_master_key(text: str) -> bytes:
    """The key in base64 text, or ValueError."""
    key = base64.b64decode(text.strip(), validate=True)
    if len(key) != 32:
        raise ValueError("a master key is 32 bytes in base64")
    return key


@dataclass(frozen=True, slots=True)
class _DataKey:
    key_id: str
    cipher: AESGCM
    mark: bytes


class Vault:
    """The tenant keys of one `keys.db`, under one master key. One thread at a time."""

    def __init__(self, path: Path, master_key: bytes) -> None:
        fresh = not path.exists()
        if not fresh:
            check_permissions(path)
        self._database = connect(path, create=True)
        self._database.execute("PRAGMA secure_delete=ON")
        migrate(self._database, "keys")
        self._execute = self._database.conn.execute
        self._master = AESGCM(master_key)
        self._master_id = hashlib.sha256(b"tenure master key id" + master_key).hexdigest()[:16]
        self._keys: OrderedDict[tuple[str, str], _DataKey] = OrderedDict()
        self._check_master()

    def _check_master(self) -> None:
        self._execute("INSERT OR IGNORE INTO master_keys SELECT ?, 1, ? WHERE NOT EXISTS (SELECT 1 FROM master_keys)",
                      (self._master_id, utc_now()))  # fmt: skip
        known = {row[0] for row in self._execute("SELECT master_id FROM master_keys WHERE current = 1")}
        if self._master_id not in known:
            raise UntrustedStoreError(
                "this master key is not the one the tenants' keys are wrapped by; set TENURE_MASTER_KEY(_FILE) to it"
            )

    def close(self) -> None:
        """Closes the key file."""
        self._database.close()

    def has_key(self, app_key: str, client_key: str) -> bool:
        """Whether the tenant has a key."""
        return (app_key, client_key) in self._keys or self._load(app_key, client_key) is not None

    def ensure_key(self, app_key: str, client_key: str) -> None:
        """Makes the tenant's key if it has none; committed when it returns."""
        if self.has_key(app_key, client_key):
            return
        key_id = os.urandom(8).hex()
        nonce = os.urandom(12)
        wrapped = nonce + self._master.encrypt(nonce, os.urandom(32), _wrap_aad(app_key, client_key, key_id))
        self._execute(
            "INSERT OR IGNORE INTO tenant_keys VALUES (?, ?, ?, ?, ?, ?)",
            (app_key, client_key, key_id, self._master_id, wrapped, utc_now()),
        )

    def _load(self, app_key: str, client_key: str) -> _DataKey | None:
        row = self._execute(
            "SELECT key_id, wrapped FROM tenant_keys WHERE app_key = ? AND client_key = ?", (app_key, client_key)
        ).fetchone()
        if row is None:
            return None
        key_id, wrapped = row
        try:
            raw = self._master.decrypt(wrapped[:12], wrapped[12:], _wrap_aad(app_key, client_key, key_id))
        except InvalidTag:
            raise UntrustedStoreError(f"the key of tenant {client_key} does not open under this master key") from None
        key = _DataKey(key_id, AESGCM(raw), hmac.digest(raw, b"tenure fingerprint", "sha256"))
        self._keys[app_key, client_key] = key
        if len(self._keys) > _CACHED_KEYS:
            self._keys.popitem(last=False)
        return key

    def _key(self, app_key: str, client_key: str) -> _DataKey:
        key = self._keys.get((app_key, client_key)) or self._load(app_key, client_key)
        if key is None:
            raise UntrustedStoreError(f"tenant {client_key} has no key in the key store")
        return key

    def seal(self, app_key: str, client_key: str, version: int, name: str, plain: bytes) -> str:
        """The sealed text of a field of the event that will have `version`."""
        key = self._key(app_key, client_key)
        nonce = os.urandom(12)
        sealed = key.cipher.encrypt(nonce, plain, _seal_aad(app_key, client_key, version, name))
        return f"1.{key.key_id}.{_text(nonce)}.{_text(sealed)}"

    def open(self, app_key: str, client_key: str, version: int, name: str, sealed: str) -> bytes:
        """The plain bytes of a sealed text, or UntrustedStoreError if it was not sealed for this very place."""
        key = self._key(app_key, client_key)
        try:
            form, key_id, nonce, ciphertext = sealed.split(".")
            if (form, key_id) != ("1", key.key_id):
                raise ValueError("another form or key")
            return key.cipher.decrypt(_bytes(nonce), _bytes(ciphertext), _seal_aad(app_key, client_key, version, name))
        except (InvalidTag, ValueError):
            raise UntrustedStoreError(f"{name} of tenant {client_key}, version {version}, does not open") from None

    def fingerprint(self, app_key: str, client_key: str, secret: bytes) -> str:
        """A keyed hash of the secret, 16 hex digits."""
        return hmac.digest(self._key(app_key, client_key).mark, secret, "sha256").hex()[:16]


def _netstrings(*pieces: str) -> bytes:
    return b"".join(b"%d:%b," % (len(raw), raw) for raw in (piece.encode() for piece in pieces))


def _wrap_aad(app_key: str, client_key: str, key_id: str) -> bytes:
    return _netstrings("tenant key", app_key, client_key, key_id)


def _seal_aad(app_key: str, client_key: str, version: int, name: str) -> bytes:
    return _netstrings("sealed field", app_key, client_key, str(version), name)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
