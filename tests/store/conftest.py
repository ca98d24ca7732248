"""What several tests of the stores begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.key_stores import KeysInPostgres, KeysOnDisk, KeyStore
from tenure.store.decisions import SqliteDecisions, open_decisions
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster
from tenure.store.vault import Vault
from tenure.store.veil import Veil


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteDecisions]:
    """An empty decision log, with the app's own veil."""
    open_decisions(tmp_path / "decisions.db")
    vault = Vault(KeyFile(tmp_path / "keys.db"), GivenMaster(b"k" * 32))
    opened = SqliteDecisions(tmp_path / "decisions.db", veil=Veil(vault, "app"))
    yield opened
    opened.close()
    vault.close()


@pytest.fixture(params=["sqlite", "postgres"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    """An empty key store of each kind."""
    made: KeyStore = (
        KeysOnDisk(tmp_path) if request.param == "sqlite" else KeysInPostgres(request.getfixturevalue("cluster"))
    )
    yield made
    made.close()
