"""Signs tokens the way the other party does, and the way a forger would.

Rule: nothing here judges what it signs. Claims go to JSON as they are (`exp` as text, 1e300, a lone
surrogate) and the signature is made with hmac or cryptography directly, so that every odd token a verifier
must refuse can be made with a signature that holds.
"""

import base64
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

Claims = Mapping[str, Any]

OMIT: Final = object()  # as a value: leave this claim or field out
LIFETIMES: Final[Mapping[str, int]] = {"RS256": 900, "HS256": 180}


def b64url(data: bytes) -> str:
    """Base64url without padding, as JWS has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """The bytes of one part of a token."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_json(value: Claims) -> bytes:
    """Compact JSON in ASCII; NaN, huge numbers and lone surrogates pass through."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def raw_token(header: bytes, payload: bytes, signature: bytes) -> str:
    """A token of three parts given as raw bytes, whatever they are."""
    return f"{b64url(header)}.{b64url(payload)}.{b64url(signature)}"


def signing_input(header: bytes, payload: bytes) -> bytes:
    """What a signature is made over."""
    return f"{b64url(header)}.{b64url(payload)}".encode("ascii")


def sign_hs256(signing_input: bytes, secret: bytes) -> bytes:
    """HMAC-SHA256, with a secret of any length."""
    return hmac.new(secret, signing_input, hashlib.sha256).digest()


def sign_rs256(signing_input: bytes, private_key: rsa.RSAPrivateKey) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256, with a key of any size."""
    return private_key.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())


def raw_hs256(header: bytes, payload: bytes, secret: str | bytes) -> str:
    """A token over raw bytes (duplicate keys, UTF-16, ...) with an HMAC that holds."""
    return raw_token(header, payload, sign_hs256(signing_input(header, payload), as_bytes(secret)))


def raw_rs256(header: bytes, payload: bytes, private_key: rsa.RSAPrivateKey) -> str:
    """A token over raw bytes with an RSA signature that holds."""
    return raw_token(header, payload, sign_rs256(signing_input(header, payload), private_key))


def hs256(claims: Claims, secret: str | bytes, header: Claims | None = None) -> str:
    """A token signed by a shared secret; `header` adds to the header or replaces its members."""
    full = {"typ": "JWT", "alg": "HS256", **(header or {})}
    return raw_hs256(to_json(full), to_json(claims), secret)


def rs256(claims: Claims, private_key: rsa.RSAPrivateKey, kid: str | None, header: Claims | None = None) -> str:
    """A token signed by a private key; `kid=None` leaves the key id out."""
    named = {} if kid is None else {"kid": kid}
    full = {"typ": "JWT", "alg": "RS256", **named, **(header or {})}
    return raw_rs256(to_json(full), to_json(claims), private_key)


def none_token(claims: Claims, alg: str = "none") -> str:
    """A token that says it needs no signature, and has none."""
    return raw_token(to_json({"typ": "JWT", "alg": alg}), to_json(claims), b"")


def padded(token: str) -> str:
    """The same token with the `=` padding its signature is meant to go without: other text, same bytes."""
    signature = token.rpartition(".")[2]
    return token + "=" * (-len(signature) % 4)


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, nothing verified."""
    header, payload, _ = token.split(".")
    return json.loads(unb64url(header)), json.loads(unb64url(payload))


def as_bytes(secret: str | bytes) -> bytes:
    """A secret as HMAC takes it."""
    return secret if isinstance(secret, bytes) else secret.encode("utf-8")


def new_secret() -> str:
    """A shared secret of 64 characters."""
    return secrets.token_urlsafe(48)


def merged(base: Claims, extra: Claims) -> dict[str, Any]:
    """Both, the second winning; what is OMIT is left out."""
    return {name: value for name, value in {**base, **extra}.items() if value is not OMIT}


@functools.cache
def pooled_key(owner: str, index: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The index-th key of an owner, generated once a process: two owners or indexes never share a key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_pem(private_key: rsa.RSAPrivateKey) -> bytes:
    """The public half as PEM (SPKI), as the key host publishes it."""
    return private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
