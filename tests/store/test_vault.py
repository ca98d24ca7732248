"""The vault: sealed texts open at their own place only, under their own master key."""

import base64
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.store.connection import UntrustedStoreError
from tenure.store.masters import GivenMaster, new_master_key, parse_master_key
from tenure.store.vault import Vault

MASTER = GivenMaster(b"m" * 32)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """A vault with a key for tenants `a` and `b`."""
    opened = Vault(tmp_path / "keys.db", MASTER)
    opened.ensure_key("app", "a")
    opened.ensure_key("app", "b")
    yield opened
    opened.close()


def test_a_sealed_text_opens_in_its_place(vault: Vault, tmp_path: Path) -> None:
    """What was sealed opens again, also after a restart, and is nowhere in the clear."""
    sealed = vault.seal("app", "a", 1, "secret", b"plain-secret")
    assert vault.open("app", "a", 1, "secret", sealed) == b"plain-secret"
    assert "plain" not in sealed
    again = Vault(tmp_path / "keys.db", MASTER)
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


def test_a_wrong_master_key_is_refused(vault: Vault, tmp_path: Path) -> None:
    """Another master key does not start, and leaves the right one working."""
    with pytest.raises(UntrustedStoreError, match="master key"):
        Vault(tmp_path / "keys.db", GivenMaster(b"n" * 32))
    again = Vault(tmp_path / "keys.db", MASTER)
    assert again.fingerprint("app", "a", b"x") == vault.fingerprint("app", "a", b"x")
    again.close()


def test_the_same_text_is_sealed_differently_each_time(vault: Vault) -> None:
    """Each sealing has a nonce of its own."""
    sealed = [vault.seal("app", "a", 1, "secret", b"plain") for _ in range(200)]
    assert len(set(sealed)) == len({text.split(".")[2] for text in sealed}) == 200


def test_a_fingerprint_is_the_tenants_own_and_lasts(vault: Vault, tmp_path: Path) -> None:
    """One secret has one fingerprint for a tenant, also after a restart, and another for another tenant."""
    found = vault.fingerprint("app", "a", b"secret")
    again = Vault(tmp_path / "keys.db", MASTER)
    assert again.fingerprint("app", "a", b"secret") == found
    again.close()
    assert len(found) == 16
    assert vault.fingerprint("app", "b", b"secret") != found
    assert vault.fingerprint("app", "a", b"secret2") != found


def test_a_key_is_made_once(vault: Vault, tmp_path: Path) -> None:
    """Asking for a key again, in this process or another, keeps the one there is."""
    sealed = vault.seal("app", "a", 1, "secret", b"plain")
    other = Vault(tmp_path / "keys.db", MASTER)
    other.ensure_key("app", "a")
    vault.ensure_key("app", "a")
    assert other.open("app", "a", 1, "secret", sealed) == b"plain"
    other.close()


def test_the_key_file_is_the_owners_alone(vault: Vault, tmp_path: Path) -> None:
    """The key file is 0600, with what lies beside it, and refused if opened to others."""
    assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} == {0o600}
    (tmp_path / "keys.db").chmod(0o640)
    with pytest.raises(UntrustedStoreError, match="chmod"):
        Vault(tmp_path / "keys.db", MASTER)


@given(raw=st.binary(min_size=32, max_size=32))
def test_a_master_key_is_32_bytes_in_base64(raw: bytes) -> None:
    """Any 32 bytes are a key, blanks around it are not part of it."""
    assert parse_master_key(f" {base64.b64encode(raw).decode()}\n") == raw
    assert len(parse_master_key(new_master_key())) == 32


@pytest.mark.parametrize(
    "text", ["", "é", "x", "====", base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"x" * 33).decode()]
)
def test_another_master_key_is_no_key(text: str) -> None:
    """Another length or spelling is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011
        parse_master_key(text)
