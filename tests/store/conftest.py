"""What several tests of the stores begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.decision_stores import DecisionStore
from support.key_stores import KeysInPostgres, KeysOnDisk, KeyStore
from tenure.store.decision_writer import Decisions


@pytest.fixture
def log(kept: DecisionStore) -> Decisions:
    """Its writing end."""
    return kept.open()


@pytest.fixture(params=["sqlite", "postgres"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    """An empty key store of each kind."""
    made: KeyStore = (
        KeysOnDisk(tmp_path) if request.param == "sqlite" else KeysInPostgres(request.getfixturevalue("cluster"))
    )
    yield made
    made.close()
