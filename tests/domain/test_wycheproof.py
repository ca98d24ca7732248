"""Signatures that are bent the way attackers bend them: Wycheproof's for RS256, and the same families anew for JWS."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tenure.domain.refusals import Reason, Refused
from tenure.domain.token import Token, read, signed_by, signed_by_key
from tenure.simulator import tokens

VECTORS = Path(__file__).parent / "wycheproof" / "rsa_signature_2048_sha256_test.json"
BOTH = frozenset({"RS256", "HS256"})
SECRET = b"k" * 32
NOW = 1_800_000_000
CLAIMS: dict[str, Any] = {"iss": "c", "iat": NOW, "exp": NOW + 60, "aud": "https://app"}
# DigestInfo of SHA-256 as DER has it (RFC 8017, 9.2)
SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
LONG_LENGTH = bytes.fromhex("308131300d060960864801650304020105000420")
NO_NULL = bytes.fromhex("302f300b0609608648016503040201") + bytes.fromhex("0420")
SHA1, SHA512 = bytes.fromhex("3021300906052b0e03021a05000414"), bytes.fromhex("3051300d060960864801650304020305000440")


def test_wycheproofs_rsa_signatures() -> None:
    """Every valid one holds, every invalid one does not, and a padding without its NULL is not taken either."""
    found = json.loads(VECTORS.read_text())
    wrong, seen = list[tuple[int, str]](), 0
    for group in found["testGroups"]:
        key = load_pem_public_key(group["publicKeyPem"].encode())
        for one in group["tests"]:
            message, signature = bytes.fromhex(one["msg"]), bytes.fromhex(one["sig"])
            token = Token("RS256", "k", "c", NOW, NOW + 60, None, None, None, None, message, signature)
            held = signed_by_key(token, key)  # type: ignore[arg-type]
            seen += 1
            if held != (one["result"] == "valid"):
                wrong.append((one["tcId"], one["comment"]))
    assert seen == found["numberOfTests"] == 259
    assert wrong == []


def padded(digest: bytes, size: int, info: bytes = SHA256) -> bytes:
    """EMSA-PKCS1-v1_5 as it is to be."""
    return b"\x00\x01" + b"\xff" * (size - 3 - len(info) - len(digest)) + b"\x00" + info + digest


def bent(digest: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    """The message bent before it is signed with the true key."""
    right, fill = padded(digest, size), size - 3 - len(SHA256) - 32
    yield "SHA-1's name", padded(hashlib.sha1(b"").digest(), size, SHA1)
    yield "SHA-512's name over a SHA-256 digest", padded(digest, size, SHA512)
    yield "no NULL", padded(digest, size, NO_NULL)
    yield "a length in BER", padded(digest, size, LONG_LENGTH)
    yield "no DigestInfo", padded(digest, size, b"")
    yield "bytes after a short padding", b"\x00\x01" + b"\xff" * 8 + b"\x00" + SHA256 + digest + bytes(fill - 8)
    yield "no padding", (b"\x00\x01\x00" + SHA256 + digest).ljust(size, b"\x00")
    yield "block type 2", b"\x00\x02" + right[2:]
    yield "block type 0", b"\x00\x00" + bytes(fill) + right[2 + fill :]
    yield "a zero in the padding", right[:5] + b"\x00" + right[6:]
    yield "0xfe in the padding", right[:5] + b"\xfe" + right[6:]
    yield "no zero before DigestInfo", right[: 2 + fill] + b"\xff" + right[3 + fill :]
    yield "a bit of the digest", right[:-1] + bytes((right[-1] ^ 1,))
    yield "another message's digest", padded(hashlib.sha256(b"other").digest(), size)
    yield "the right digest twice", padded(digest + digest, size)


@cache
def key() -> RSAPrivateKey:
    """One key for all."""
    return tokens.pooled_key("wycheproof", 0)


def signing_input() -> bytes:
    """Of a good token."""
    return tokens.signing_input(b'{"alg":"RS256","kid":"k"}', tokens.to_json(CLAIMS))


def holds(signature: bytes) -> bool:
    """Whether the reader takes the token and the signature holds."""
    token = read(f"{signing_input().decode()}.{tokens.b64url(signature)}", BOTH)
    return signed_by_key(token, key().public_key())


def by_hand(message: bytes) -> bytes:
    """RSA's bare operation with the private key."""
    numbers = key().private_numbers()
    number = pow(int.from_bytes(message, "big"), numbers.d, numbers.public_numbers.n)
    return number.to_bytes(256, "big")


def test_bent_paddings_do_not_hold() -> None:
    """Signed by hand with the true key, the right padding holds and no bent one does."""
    digest = hashlib.sha256(signing_input()).digest()
    assert holds(by_hand(padded(digest, 256)))
    forms = dict(bent(digest, 256))
    assert {len(form) for form in forms.values()} == {256}
    assert [name for name, form in forms.items() if holds(by_hand(form))] == []


def test_a_cube_root_is_no_signature() -> None:
    """Bleichenbacher's forgery of 2006: under exponent 3 a cube root of a padding with room behind it does not hold."""
    size = 384
    digest = hashlib.sha256(signing_input()).digest()
    modulus = tokens.pooled_key("wycheproof", 1, 3072).public_key().public_numbers().n
    wanted = (b"\x00\x01" + b"\xff" * 8 + b"\x00" + SHA256 + digest).ljust(size, b"\xff")
    low, high = 0, 1 << (size * 8 // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= int.from_bytes(wanted, "big") else (low, middle - 1)
    assert (low**3).to_bytes(size, "big").startswith(wanted[:60])
    token = read(f"{signing_input().decode()}.{tokens.b64url(low.to_bytes(size, 'big'))}", BOTH)
    assert not signed_by_key(token, RSAPublicNumbers(3, modulus).public_key())


def test_a_signature_has_the_length_of_its_key() -> None:
    """Longer, shorter, a zero before or behind, the modulus added, nought, one, and the modulus itself: none holds."""
    right, modulus = tokens.sign_rs256(signing_input(), key()), key().public_key().public_numbers().n
    assert holds(right)
    number = int.from_bytes(right, "big")
    forms = [b"", b"\x00" + right, right + b"\x00", right[1:], right[:-1], bytes(256), bytes(255) + b"\x01", right * 2]
    forms += [(number + modulus).to_bytes(257, "big"), modulus.to_bytes(256, "big"), (modulus - 1).to_bytes(256, "big")]
    forms += [(modulus - number).to_bytes(256, "big")]
    assert [form for form in forms if holds(form)] == []


def test_a_mac_is_whole() -> None:
    """HS256 cut to any length, empty, extended, of another hash, or over another input does not hold."""
    text = tokens.hs256(CLAIMS, SECRET)
    head, body, tail = text.split(".")
    mac, signed = tokens.unb64url(tail), f"{head}.{body}".encode()
    forms = [mac[:length] for length in range(32)] + [mac + b"\x00", b"\x00" + mac, mac * 2, bytes(32), mac[::-1]]
    forms += [hmac.digest(SECRET, signed, name) for name in ("sha1", "sha384", "sha512")]
    forms += [hmac.digest(SECRET, signed, "sha512")[:32], hashlib.sha256(signed).digest(), mac.hex().encode()]
    forms += [hmac.digest(SECRET, other, "sha256") for other in (head.encode(), body.encode(), signed + b".", b"")]
    assert signed_by(read(text, BOTH), SECRET)
    assert [form for form in forms if signed_by(read(f"{head}.{body}.{tokens.b64url(form)}", BOTH), SECRET)] == []


def test_every_other_spelling_of_a_part_is_malformed() -> None:
    """Of any part: padding, the other alphabet, white space, trailing bits, a character more; in either algorithm."""
    for text in (tokens.hs256(CLAIMS, SECRET), tokens.rs256(CLAIMS, key(), "k")):
        parts = text.split(".")
        for place, part in enumerate(parts):
            spelt = [part + "=", part + "==", part + "A" * (1 + (-len(part)) % 4), part + "\n", " " + part, "\t" + part]
            spelt += [part[:4] + "+" + part[5:], part[:4] + "/" + part[5:], part[:4] + "\r\n" + part[4:], part + "%3D"]
            spelt += [part[:4] + "\N{FULLWIDTH LATIN CAPITAL LETTER A}" + part[5:], part + "\0"]
            for other in spelt:
                with pytest.raises(Refused) as caught:
                    read(".".join((*parts[:place], other, *parts[place + 1 :])), BOTH)
                assert caught.value.reason == Reason.TOKEN_MALFORMED
