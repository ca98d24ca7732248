"""The signed head on every key store: it only ever goes forward."""

import threading

import pytest

from support.key_stores import KeyStore
from tenure.domain.chain import GENESIS
from tenure.store.connection import UntrustedStoreError
from tenure.store.masters import GivenMaster
from tenure.store.signed_head import HeadRefusedError, HeadSigner, last_signed, said

MASTER = GivenMaster(b"m" * 32)


class Hashes:
    """A log as far as heads are concerned."""

    def __init__(self, *hashes: str) -> None:
        self.hashes = [one * 64 for one in hashes]

    def head(self) -> tuple[int, str]:
        return len(self.hashes), self.hashes[-1] if self.hashes else GENESIS

    def hash_at(self, position: int) -> str | None:
        return self.hashes[position - 1] if 0 < position <= len(self.hashes) else None


@pytest.fixture
def signer(keys: KeyStore) -> HeadSigner:
    """A signer of an empty store."""
    return HeadSigner(keys.open(), MASTER, "app")


def test_a_head_is_signed_and_remembered(signer: HeadSigner, keys: KeyStore) -> None:
    """What was signed is read by whoever has no key; the same head is signed once."""
    assert last_signed(keys.open()) is not None
    first = signer.sign(Hashes("a", "b"))
    assert (first.position, first.hash) == (2, "b" * 64)
    assert signer.sign(Hashes("a", "b")) == first
    assert last_signed(keys.open_read_only()) == first
    assert HeadSigner(keys.open(), MASTER, "other").last() == first


def test_what_does_not_extend_it_is_not_signed(signer: HeadSigner, keys: KeyStore) -> None:
    """A log cut off or written anew is refused, also by who only says; after `start_again` it is signed."""
    signer.sign(Hashes("a", "b"))
    for other in (Hashes("a"), Hashes("a", "c"), Hashes("a", "c", "d")):
        with pytest.raises(HeadRefusedError):
            signer.sign(other)
        with pytest.raises(HeadRefusedError):
            said(keys.open_read_only(), MASTER, other)
    assert said(keys.open_read_only(), MASTER, Hashes("a", "b", "c")) is not None
    assert signer.start_again().position == 2
    assert signer.sign(Hashes("a")).position == 1


def test_columns_that_are_not_what_the_text_says_are_not_believed(signer: HeadSigner, keys: KeyStore) -> None:
    """Position or hash changed beside the signed text: said, and nothing is signed on top."""
    signer.sign(Hashes("a", "b"))
    database = keys.open()
    with database.transaction():
        database.execute("UPDATE signed_head SET position = 1")
    with pytest.raises(UntrustedStoreError, match="of position 2"):
        last_signed(database)
    with pytest.raises(HeadRefusedError):
        signer.sign(Hashes("a", "b", "c"))


def test_many_that_sign_at_once_go_forward(keys: KeyStore) -> None:
    """Signers of several processes, each behind or before the others, leave the furthest head, and one key."""
    hashes = "12345678"
    signers = [HeadSigner(keys.open(), MASTER, "app") for _ in range(4)]

    def sign(signer: HeadSigner, first: int) -> None:
        for length in range(first, len(hashes) + 1):
            try:
                signer.sign(Hashes(*hashes[:length]))
            except HeadRefusedError:
                continue

    threads = [threading.Thread(target=sign, args=(one, number + 1)) for number, one in enumerate(signers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {signer.last().position for signer in signers} == {8}
    assert len({signer.last().verifier.text() for signer in signers}) == 1
