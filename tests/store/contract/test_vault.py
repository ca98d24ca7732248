"""The vault on every key store: sealed texts open at their own place only, under their own master key."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.key_stores import KeyStore
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.masters import GivenMaster
from tenure.store.vault import Vault, key_id_of

MASTER = GivenMaster(b"m" * 32)


@pytest.fixture
def vault(keys: KeyStore) -> Iterator[Vault]:
    """A vault with a key for tenants `a` and `b`."""
    opened = Vault(keys.open(), MASTER)
    opened.ensure_key("app", "a")
    opened.ensure_key("app", "b")
    yield opened
    opened.close()


def test_a_sealed_text_opens_in_its_place(vault: Vault, keys: KeyStore) -> None:
    """What was sealed opens again, also after a restart, and is nowhere in the clear."""
    sealed = vault.seal("app", "a", 1, "secret", b"plain-secret")
    assert vault.open("app", "a", 1, "secret", sealed) == b"plain-secret"
    assert "plain" not in sealed
    again = Vault(keys.open(), MASTER)
    assert again.open("app", "a", 1, "secret", sealed) == b"plain-secret"
    again.close()


@pytest.mark.parametrize(
    ("app", "client", "version", "name"),
    [("app", "b", 1, "secret"), ("app", "a", 2, "secret"), ("app", "a", 1, "personal"), ("app", "a", 1, "")],
)
def test_a_sealed_text_opens_nowhere_else(vault: Vault, app: str, client: str, version: int, name: str) -> None:
    """Another tenant, version or field does not open it."""
    sealed = vault.seal("app", "a", 1, "secret", b"plain")
    with pytest.raises(UntrustedStoreError):
        vault.open(app, client, version, name, sealed)


@pytest.mark.parametrize("text", ["", "1", "1.2.3.4", "...", "é.é.é.é"])
def test_what_was_never_sealed_does_not_open(vault: Vault, text: str) -> None:
    """Any other text is refused as untrusted."""
    with pytest.raises(UntrustedStoreError):
        vault.open("app", "a", 1, "secret", text)


def test_a_changed_text_does_not_open(vault: Vault) -> None:
    """A changed nonce, ciphertext or key id is noticed."""
    _, key_id, nonce, cipher = vault.seal("app", "a", 1, "secret", b"plain").split(".")
    flipped = "A" if cipher[0] != "A" else "B"
    other = "A" if nonce[0] != "A" else "B"
    for text in (
        f"1.{key_id}.{nonce}.{flipped}{cipher[1:]}",
        f"1.{key_id}.{other}{nonce[1:]}.{cipher}",
        f"1.{'0' * 16}.{nonce}.{cipher}",
        f"1.{key_id}.{nonce}.{cipher[:-4]}",
    ):
        with pytest.raises(UntrustedStoreError):
            vault.open("app", "a", 1, "secret", text)


def test_a_tenant_without_a_key_has_nothing_to_open(vault: Vault) -> None:
    """Sealing, opening and fingerprints need the tenant's key."""
    with pytest.raises(UntrustedStoreError, match="no key"):
        vault.seal("app", "c", 1, "secret", b"x")
    with pytest.raises(UntrustedStoreError, match="no key"):
        vault.fingerprint("app", "c", b"x")


def test_a_wrong_master_key_is_refused(vault: Vault, keys: KeyStore) -> None:
    """Another master key does not start, and leaves the right one working."""
    with pytest.raises(UntrustedStoreError, match="master key"):
        Vault(keys.open(), GivenMaster(b"n" * 32))
    again = Vault(keys.open(), MASTER)
    assert again.fingerprint("app", "a", b"x") == vault.fingerprint("app", "a", b"x")
    again.close()


def test_the_same_text_is_sealed_differently_each_time(vault: Vault) -> None:
    """Each sealing has a nonce of its own."""
    sealed = [vault.seal("app", "a", 1, "secret", b"plain") for _ in range(200)]
    assert len(set(sealed)) == len({text.split(".")[2] for text in sealed}) == 200


def test_a_fingerprint_is_the_tenants_own_and_lasts(vault: Vault, keys: KeyStore) -> None:
    """One secret has one fingerprint for a tenant, also after a restart, and another for another tenant."""
    found = vault.fingerprint("app", "a", b"secret")
    again = Vault(keys.open(), MASTER)
    assert again.fingerprint("app", "a", b"secret") == found
    again.close()
    assert len(found) == 16
    assert vault.fingerprint("app", "b", b"secret") != found
    assert vault.fingerprint("app", "a", b"secret2") != found


def test_a_key_is_made_once(vault: Vault, keys: KeyStore) -> None:
    """Asking for a key again, in this process or another, keeps the one there is."""
    sealed = vault.seal("app", "a", 1, "secret", b"plain")
    other = Vault(keys.open(), MASTER)
    other.ensure_key("app", "a")
    vault.ensure_key("app", "a")
    assert other.open("app", "a", 1, "secret", sealed) == b"plain"
    other.close()


def test_a_kept_key_does_not_outlive_an_erasure(vault: Vault, keys: KeyStore) -> None:
    """A vault that has a tenant's key in memory drops it after an erasure by another process, and cannot open; who
    returns has another key.
    """
    sealed = vault.seal("app", "a", 1, "secret", b"plain")
    KeyRing(keys.open()).erase("app", "a", "by", "origin", "")
    vault.refresh()
    with pytest.raises(UntrustedStoreError):
        vault.open("app", "a", 1, "secret", sealed)
    assert not vault.has_key("app", "a")
    assert not vault.opens("app", "a", sealed)
    vault.ensure_key("app", "a")
    assert key_id_of(vault.seal("app", "a", 2, "secret", b"x")) != key_id_of(sealed)


def test_many_that_make_a_key_at_once_get_one(keys: KeyStore) -> None:
    """Several connections that ask for the same tenants' keys at the same moment all have the same ones after it."""
    vaults = [Vault(keys.open(), MASTER) for _ in range(6)]
    barrier = threading.Barrier(len(vaults))
    tenants = [("app", f"t{number}") for number in range(20)]

    def ensure(vault: Vault) -> list[str]:
        barrier.wait()
        vault.ensure_keys(tenants)
        return [vault.fingerprint(*tenant, b"x") for tenant in tenants]

    with ThreadPoolExecutor(len(vaults)) as pool:
        found = list(pool.map(ensure, vaults))
    assert all(one == found[0] for one in found)
    assert len(set(found[0])) == 20
    assert vaults[0].ring.tenants() == 20


def test_marks_are_numbered_without_a_gap_and_stay(keys: KeyStore) -> None:
    """Each destroyed key has one mark, in the order of destruction; a second mark of it changes nothing."""
    ring = KeyRing(keys.open(), MASTER)
    ids = [ring.ensure("app", f"t{number}") for number in range(5)]
    assert [ring.erase("app", f"t{number}", "by", "here", "why") for number in range(5)] == ids
    assert ring.erase("app", "t0", "by", "here", "again") is None
    assert ring.erase("app", "gone", "by", "here", "never had one", "0" * 16) is None
    marks = ring.erasures()
    assert [(mark.number, mark.key_id) for mark in marks] == [*enumerate(ids, 1), (6, "0" * 16)]
    assert not ring.destroy(marks[2])
    assert ring.erasures(after=4) == marks[4:]
    assert not ring.key_ids()
    assert ring.unclean()
    assert ring.cleaned()
    assert not ring.unclean()


def test_unused_keys_are_swept_and_no_others(keys: KeyStore) -> None:
    """Only a tenant's key that is old, not used, unused when it is asked once more, and of nobody with a mark goes."""
    ring = KeyRing(keys.open(), MASTER)
    ids = {name: ring.ensure("app", name) for name in ("used", "unused", " ours", "busy")}
    ring.erase("app", "marked", "by", "here", "", "1" * 16)
    ring.ensure("app", "marked")
    ring.ensure("", "", "head")
    assert ring.sweep("0000", [], lambda *_: True) == []
    assert ring.sweep("9999", [ids["used"]], lambda _, client: client != "busy") == ["unused"]
    assert ring.tenants() == 3
    assert ring.key_id("", "", "head")
