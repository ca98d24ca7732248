"""API tokens: shown once, with scopes and an end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.store.tokens import ApiTokens


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ApiTokens]:
    """An empty token store."""
    opened = ApiTokens(tmp_path / "keys.db")
    yield opened
    opened.close()


def test_a_token_has_its_scopes(store: ApiTokens) -> None:
    """A token made now gives the scopes it was made with, and is listed without itself."""
    token, entry = store.create("ci", ("audit", "sign"), 30)
    assert token.startswith("tnr_")
    assert store.scopes_of(token) == ("audit", "sign")
    assert store.listing() == [entry]
    assert (entry.name, entry.revoked_at) == ("ci", "")


def test_a_token_is_nowhere_in_the_file(store: ApiTokens, tmp_path: Path) -> None:
    """Only a digest is stored."""
    token, _ = store.create("ci", ("audit",), 30)
    assert all(token.encode() not in found.read_bytes() for found in tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["", "tnr_", "x"])
def test_any_other_token_has_no_scopes(store: ApiTokens, wrong: str) -> None:
    """A token that was never made, or only begins like one, gives nothing."""
    token, _ = store.create("ci", ("audit",), 30)
    assert store.scopes_of(wrong) is None
    assert store.scopes_of(token + wrong + "y") is None
    assert store.scopes_of(token[:-1]) is None


def test_a_revoked_token_ends_at_once(store: ApiTokens) -> None:
    """After revoking a token gives nothing, others stay; a name that is not there is told."""
    token, _ = store.create("a", ("audit",), 30)
    other, _ = store.create("b", ("audit",), 30)
    assert store.revoke("a")
    assert store.scopes_of(token) is None
    assert store.scopes_of(other) == ("audit",)
    assert not store.revoke("c")
    assert [bool(entry.revoked_at) for entry in store.listing()] == [True, False]


@pytest.mark.parametrize("days", [0, -1])
def test_a_token_past_its_end_gives_nothing(store: ApiTokens, days: int) -> None:
    """A token is in force until its end, not at it."""
    token, _ = store.create("a", ("audit",), days)
    assert store.scopes_of(token) is None


def test_a_name_is_given_once(store: ApiTokens) -> None:
    """A name that is taken, also by a revoked token, is refused."""
    store.create("a", ("audit",), 1)
    store.revoke("a")
    with pytest.raises(ValueError, match="exists"):
        store.create("a", ("audit",), 1)
