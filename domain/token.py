"""A strict reading of a JSON Web Token: never a library's default.

Compact serialisation of exactly three parts, each canonical unpadded base64url; header and claims one JSON object
each, UTF-8, no name twice, no NaN, no lone surrogates. Headers that change how a token is to be read (`crit`, `b64`,
`zip`) refuse; `jwk`, `jku`, `x5u` and `x5c` are never read, other unknown members and claims are ignored. `iat` and
`exp` are whole numbers and present, `nbf` counts if present, leeway 30 s on all, 0 < exp - iat <= 3600.
Source: RFC 7515, RFC 7519; what PyJWT accepts beyond them was measured (`exp` as text or 1e300, names twice, padding).
"""

import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from tenure.domain.refusals import Reason, Refused
from tenure.domain.swift import swift

MAX_TOKEN = 8192
LEEWAY = 30
MAX_LIFETIME = 3600

# an escaped NUL, behind an even number of backslashes
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# base64url to base64; what only base64 has becomes what neither has
_TO_BASE64 = bytes.maketrans(b"-_+/", b"+/!!")
_KID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_RS256 = RSAAlgorithm(RSAAlgorithm.SHA256)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that has been read, not believed. Times are Unix seconds; `kid` is raw, see `checked_kid`."""

    alg: str
    kid: str | None
    iss: str
    iat: int
    exp: int
    nbf: int | None
    aud: tuple[str, ...] | None
    qsh: str | None
    sub: str | None
    signing_input: bytes
    signature: bytes

    @property
    def fingerprint(self) -> str:
        """Names the token in the spent list. The signature needs no part in it: only one holds for an input."""
        return hashlib.sha256(self.signing_input).hexdigest()


_token = swift(Token)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number beyond every range")
    return number


# made once: json.loads with hooks makes one at every call
_JSON = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)


def strict_object(raw: bytes) -> dict[str, Any]:
    """One JSON object from bytes, or ValueError: names twice, NaN, lone surrogates, NUL and deep nesting refused."""
    try:
        value = _JSON.decode(raw.decode())
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()
            if _ESCAPED_NUL.search(raw):
                raise ValueError("NUL in a string")
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _decode(part: str) -> bytes:
    text = part.encode("ascii").translate(_TO_BASE64)
    raw = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    # written again it must be the same: no padding, no other alphabet, no bits left over
    if binascii.b2a_base64(raw, newline=False).rstrip(b"=") != text:
        raise ValueError("not canonical base64url")
    return raw


@lru_cache(maxsize=256)
def _header(part: str) -> tuple[str, str | None]:
    header = strict_object(_decode(part))
    if not header.keys().isdisjoint(("crit", "b64", "zip")):
        raise ValueError("a header that changes the reading")
    alg = header.get("alg")
    if not isinstance(alg, str):
        raise ValueError("no alg")
    kid = header.get("kid")
    return alg, kid if isinstance(kid, str) or kid is None else ""


def read(text: str, algorithms: frozenset[str]) -> Token:
    """The token in `text`, or Refused: `token_too_large`, `token_malformed`, `algorithm_not_allowed`,
    `claim_missing`, `claim_malformed`. `algorithms` are those the route takes.
    """
    if len(text) > MAX_TOKEN:
        raise Refused(Reason.TOKEN_TOO_LARGE)
    try:
        head, body, tail = text.split(".")
        alg, kid = _header(head)
        claims = strict_object(_decode(body))
        signature = _decode(tail)
    except (ValueError, binascii.Error) as error:
        raise Refused(Reason.TOKEN_MALFORMED, type(error).__name__) from None
    if alg not in algorithms:
        raise Refused(Reason.ALGORITHM_NOT_ALLOWED, alg[:40])
    return _token(
        alg=alg,
        kid=kid,
        iss=_required_text(claims, "iss"),
        iat=_required_time(claims, "iat"),
        exp=_required_time(claims, "exp"),
        nbf=_time(claims, "nbf"),
        aud=_audience(claims, alg),
        qsh=_text(claims, "qsh"),
        sub=_text(claims, "sub"),
        signing_input=f"{head}.{body}".encode(),
        signature=signature,
    )


def _is_plain(text: str) -> bool:
    # 1 to 255 of the characters from ! to ~
    return 0 < len(text) <= 255 and text.isascii() and text.isprintable() and " " not in text


def _text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _is_plain(value):
        raise Refused(Reason.CLAIM_MALFORMED, name)
    return value


def _required_text(claims: dict[str, Any], name: str) -> str:
    value = _text(claims, name)
    if value is None:
        raise Refused(Reason.CLAIM_MISSING, name)
    return value


def _time(claims: dict[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    # bool is an int to Python, not to JSON; the range keeps every later sum a small number
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise Refused(Reason.CLAIM_MALFORMED, name)
    return value


def _required_time(claims: dict[str, Any], name: str) -> int:
    value = _time(claims, name)
    if value is None:
        raise Refused(Reason.CLAIM_MISSING, name)
    return value


def _audience(claims: dict[str, Any], alg: str) -> tuple[str, ...] | None:
    # Only install tokens name an audience; Jira's HS256 tokens are bound by their secret, their aud is not read.
    if alg != "RS256":
        return None
    value = claims.get("aud")
    if value is None:
        raise Refused(Reason.CLAIM_MISSING, "aud")
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(Reason.CLAIM_MALFORMED, "aud")
    return tuple(names)


def check_times(token: Token, now: float, leeway: int = LEEWAY, max_lifetime: int = MAX_LIFETIME) -> None:
    """Refuses a token outside its time: `expired`, `not_yet_valid`, `lifetime_too_long`, `claim_malformed`."""
    if token.exp <= now - leeway:
        raise Refused(Reason.EXPIRED, f"{now - token.exp:.0f} s ago")
    starts = max(token.iat, token.nbf or 0)
    if starts > now + leeway:
        raise Refused(Reason.NOT_YET_VALID, f"in {starts - now:.0f} s")
    if token.exp <= token.iat:
        raise Refused(Reason.CLAIM_MALFORMED, "exp before iat")
    if token.exp - token.iat > max_lifetime:
        raise Refused(Reason.LIFETIME_TOO_LONG, f"{token.exp - token.iat} s")


def checked_kid(token: Token) -> str:
    """The key id, fit to be put behind the key host's URL, or Refused: `kid_malformed`."""
    if token.kid is None or not _KID.match(token.kid):
        raise Refused(Reason.KID_MALFORMED)
    return token.kid


def signed_by(token: Token, secret: bytes) -> bool:
    """Whether the HS256 signature holds under `secret`; constant time."""
    # not hmac.digest, which lets go of the interpreter: every time, the writers' threads would be woken in vain
    return hmac.compare_digest(hmac.new(secret, token.signing_input, "sha256").digest(), token.signature)


def signed_by_key(token: Token, key: RSAPublicKey) -> bool:
    """Whether the RS256 signature holds under the public key."""
    return bool(_RS256.verify(token.signing_input, key, token.signature))
