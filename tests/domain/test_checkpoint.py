"""A signed head as text: read strictly, opened by its own key alone."""

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tenure.domain.checkpoint import Checkpoint, Verifier, read, sign, verify

SEED = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
HEAD = Checkpoint("com.example.app/0a1b2c3d", 42, "ab" * 32)
VERIFIER = Verifier(HEAD.origin, PUBLIC)
PUBLISHED = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_a_head_opens_with_its_key() -> None:
    """What was signed is read back, and the published key is enough for it."""
    note = sign(HEAD, SEED)
    assert verify(note, Verifier.parse(VERIFIER.text())) == HEAD
    assert note.startswith(f"{HEAD.origin}\n42\n{base64.b64encode(bytes.fromhex(HEAD.hash)).decode()}\n\n\u2014 ")


def test_a_key_published_by_others_is_read() -> None:
    """The published form is that of the Go checksum database: its example key is taken, a changed one not."""
    assert Verifier.parse(PUBLISHED).text() == PUBLISHED
    for wrong in (PUBLISHED.replace("c74f", "c74e"), PUBLISHED[:-4], "x", PUBLISHED.replace("Peter", "peter")):
        with pytest.raises(ValueError):  # noqa: PT011
            Verifier.parse(wrong)


@given(index=st.integers(0, len(sign(HEAD, SEED).encode()) * 8 - 1))
def test_no_bit_of_a_signed_head_can_change(index: int) -> None:
    """With any bit flipped it does not open, or still says the very same."""
    raw = bytearray(sign(HEAD, SEED).encode())
    raw[index // 8] ^= 1 << index % 8
    with contextlib.suppress(ValueError):
        assert verify(raw.decode(), VERIFIER) == HEAD


@given(text=st.text(max_size=200))
def test_any_text_is_a_head_or_a_value_error(text: str) -> None:
    """Reading any text gives a head or a ValueError."""
    for found in (read, lambda note: verify(note, VERIFIER)):
        with contextlib.suppress(ValueError):
            assert isinstance(found(text), Checkpoint)


def test_a_line_of_a_stranger_is_passed_over() -> None:
    """Further signatures may stand beside ours; a stranger's alone does not do."""
    note, other = sign(HEAD, SEED), sign(HEAD, bytes(32))
    assert verify(other + note.rpartition("\n\n")[2], VERIFIER) == HEAD
    with pytest.raises(ValueError, match="another key"):
        verify(other, VERIFIER)
