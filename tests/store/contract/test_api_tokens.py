"""API tokens on every key store: shown once, with scopes and an end."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.key_stores import KeyStore
from tenure.store.tokens import ApiTokens


@pytest.fixture
def store(keys: KeyStore) -> Iterator[ApiTokens]:
    """An empty token store."""
    opened = ApiTokens(keys.open())
    yield opened
    opened.close()


def test_a_token_has_its_scopes(store: ApiTokens) -> None:
    """A token made now gives the scopes it was made with, and is listed without itself."""
    token, entry = store.create("ci", ("audit", "sign"), 30)
    assert token.startswith("tnr_")
    assert store.scopes_of(token) == ("audit", "sign")
    assert store.listing() == [entry]
    assert (entry.name, entry.revoked_at) == ("ci", "")


def test_a_token_is_stored_nowhere(store: ApiTokens, keys: KeyStore) -> None:
    """Only a digest is stored."""
    token, entry = store.create("ci", ("audit",), 30)
    assert keys.holds(entry.expires_at.encode())
    assert not keys.holds(token.encode())


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


def test_a_revoked_token_is_none_on_every_connection(store: ApiTokens, keys: KeyStore) -> None:
    """What one connection has revoked gives nothing on any other, at once."""
    token, _ = store.create("a", ("audit",), 30)
    other = ApiTokens(keys.open())
    assert other.scopes_of(token) == ("audit",)
    assert other.scopes_of_name("a") == ("audit",)
    store.revoke("a")
    assert other.scopes_of(token) is None
    assert other.scopes_of_name("a") is None
    assert other.name_of(token) == "a"


def test_a_token_made_in_a_transaction_that_fails_is_none(store: ApiTokens) -> None:
    """What is created within is there only if nothing within fails."""
    store.create("a", ("audit",), 30)
    with pytest.raises(ValueError, match="exists"), store.transaction():
        store.create("b", ("audit",), 30), store.create("a", ("audit",), 30)
    assert [entry.name for entry in store.listing()] == ["a"]


def test_a_login_code_is_good_once(store: ApiTokens, keys: KeyStore) -> None:
    """Of several that redeem a code at the same moment one gets the name; a code never made gives none."""
    others = [ApiTokens(keys.open()) for _ in range(4)]
    code = store.login_code("a")
    with ThreadPoolExecutor(len(others)) as pool:
        assert sorted(pool.map(lambda one: one.redeem(code), others)) == ["", "", "", "a"]
    assert store.redeem(code) == store.redeem("x") == ""


def test_an_ended_session_is_ended_everywhere(store: ApiTokens, keys: KeyStore) -> None:
    """A session that was ended is so on every connection, also if it is ended twice; others go on."""
    other = ApiTokens(keys.open())
    for _ in range(2):
        store.end_session("one", time.time() + 60)
    assert other.session_ended("one")
    assert not other.session_ended("two")
