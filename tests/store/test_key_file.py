"""The key file and the master key's: their owner's alone, and well-formed."""

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.store.connection import UntrustedStoreError
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster, new_master_key, parse_master_key
from tenure.store.vault import Vault


def test_the_key_file_is_the_owners_alone(tmp_path: Path) -> None:
    """The key file is 0600, with what lies beside it, and refused if opened to others."""
    vault = Vault(KeyFile(tmp_path / "keys.db"), GivenMaster(b"m" * 32))
    vault.ensure_key("app", "a")
    assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} == {0o600}
    (tmp_path / "keys.db").chmod(0o640)
    with pytest.raises(UntrustedStoreError, match="chmod"):
        KeyFile(tmp_path / "keys.db")
    vault.close()


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
