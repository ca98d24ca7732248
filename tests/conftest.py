"""Running services for the tests over HTTP, one for each way of running that many of them share."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from support.decision_stores import DecisionsInPostgres, DecisionsOnDisk, DecisionStore
from support.house import House
from support.postgres import Cluster

# a shell starts what runs in the background with Ctrl-C ignored, and the tests' children would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)

# on a machine that others use a first example may take seconds to make: that says nothing of what is tested
hypothesis.settings.register_profile("shared", suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service as it comes: signed installs only."""
    with House(tmp_path_factory.mktemp("signed")) as house:
        yield house


@pytest.fixture(scope="session")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that takes the legacy scheme as well."""
    with House(tmp_path_factory.mktemp("legacy"), {"LEGACY_INSTALL": "on"}) as house:
        yield house


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service of two workers."""
    with House(tmp_path_factory.mktemp("crowd"), {}, "--workers", "2") as house:
        yield house


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server, one for each process of a run: it starts in a second, so that none is shared."""
    with Cluster(fsync="off") as started:
        yield started


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DecisionStore]:
    """An empty decision log of each kind."""
    made: DecisionStore = (
        DecisionsOnDisk(tmp_path)
        if request.param == "sqlite"
        else DecisionsInPostgres(tmp_path, request.getfixturevalue("cluster"))
    )
    yield made
    made.close()
