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


def note_of(*lines: str) -> str:
    """A note of these lines with a signature line behind them."""
    return "\n".join(lines) + "\n\n\u2014 name c2ln\n"


HASH = base64.b64encode(bytes(32)).decode()


def test_a_head_is_three_lines_at_least() -> None:
    """Name, size and hash; further lines are passed over, nought is a size, and the signature is not looked at."""
    assert read(note_of("name", "0", HASH)) == Checkpoint("name", 0, "00" * 32)
    assert read(note_of("name", "10", HASH, "more")) == Checkpoint("name", 10, "00" * 32)


@pytest.mark.parametrize(
    "lines",
    [
        ("name", "7"), ("", "7", HASH), ("name", "07", HASH), ("name", "00", HASH), ("name", "-7", HASH),
        ("name", "", HASH), ("name", "\u0667", HASH), ("name", "x", HASH), ("name", "7 ", HASH), ("name", "7", ""),
        ("name", "7", HASH[:-4]),
        ("name", "7", base64.b64encode(bytes(33)).decode()), ("name", "7", HASH[:5] + "!" + HASH[5:]),
    ],
)  # fmt: skip
def test_any_other_head_is_refused(lines: tuple[str, ...]) -> None:
    """A line missing, a size that is no plain number, a hash of another length or with what is not base64 in it."""
    with pytest.raises(ValueError, match=r"a signed head is a name, a size and a hash|base64|a multiple of 4"):
        read(note_of(*lines))


@pytest.mark.parametrize("ending", ["\n\u2014 name c2ln\n", "\n\nname c2ln\n", "\n\n\u2014 name c2ln", "\n\n"])
def test_a_head_without_a_signature_line_is_refused(ending: str) -> None:
    """No empty line, no dash, no line break at the end: each alone is enough."""
    with pytest.raises(ValueError, match="three lines, an empty one and a signature"):
        read(f"name\n7\n{HASH}{ending}")


def test_a_note_of_64_kib_is_read_and_no_longer_one() -> None:
    """The bound is on the whole text."""
    longest = note_of("name", "7", HASH, "x" * (64 * 1024 - len(note_of("name", "7", HASH, ""))))
    assert len(longest) == 64 * 1024
    assert read(longest).position == 7
    with pytest.raises(ValueError, match="a few lines"):
        read("x" + longest)


def test_a_head_of_another_log_is_refused() -> None:
    """A key that signs under its own name signs no other log's head."""
    text = Checkpoint("other", 42, "ab" * 32).text()
    raw = Ed25519PrivateKey.from_private_bytes(SEED).sign(text.encode())
    signature = base64.b64encode(VERIFIER.key_id + raw).decode()
    with pytest.raises(ValueError, match="the head is another log's"):
        verify(f"{text}\n\u2014 {HEAD.origin} {signature}\n", VERIFIER)


def test_base64_of_a_key_and_of_a_signature_is_strict() -> None:
    """What is not base64 in it is refused, not passed over."""
    text = VERIFIER.text()
    with pytest.raises(ValueError):  # noqa: PT011
        Verifier.parse(text[:-6] + "!" + text[-6:])
    note = sign(HEAD, SEED)
    with pytest.raises(ValueError):  # noqa: PT011
        verify(note[:-8] + "!" + note[-8:], VERIFIER)
