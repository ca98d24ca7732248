"""Keys put into another store, each way: whole, however often it was cut off, and never past a mark of erasure."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.key_stores import KeysInPostgres, KeysOnDisk, KeyStore
from tenure.store import copying
from tenure.store.key_copying import UnfitKeysError, copy_keys, holds_keys, other_keys
from tenure.store.key_database import KeyDatabase
from tenure.store.keyring import KeyRing
from tenure.store.masters import GivenMaster
from tenure.store.rotation import Rotation
from tenure.store.signed_head import HeadSigner, last_signed
from tenure.store.tokens import ApiTokens
from tenure.store.vault import Vault

MASTER, NEW = GivenMaster(b"m" * 32), GivenMaster(b"n" * 32)
TENANTS = [("app", f"t{number}") for number in range(9)]


@pytest.fixture(params=["sqlite to postgres", "postgres to sqlite", "sqlite to sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[KeyStore, KeyStore]]:
    """A source and a target, both empty."""
    made: list[KeyStore] = []
    for side, name in zip(("from", "to"), request.param.split(" to "), strict=True):
        (tmp_path / side).mkdir()
        made.append(
            KeysOnDisk(tmp_path / side) if name == "sqlite" else KeysInPostgres(request.getfixturevalue("cluster"))
        )
    yield made[0], made[1]
    for one in made:
        one.close()


def quiet(what: str, count: int) -> None:
    """Nothing is said."""


def filled(database: KeyDatabase) -> Vault:
    """Keys of some tenants, a mark, tokens, a signed head."""
    vault = Vault(database, MASTER)
    vault.ensure_keys(TENANTS)
    vault.ring.erase(*TENANTS[0], "by", "here", "why")
    tokens = ApiTokens(database)
    with tokens.transaction():
        tokens.create("good", ("audit",), 1)
        tokens.create("gone", ("audit",), 1)
    tokens.revoke("gone")
    tokens.end_session("a session", time.time() + 60)
    HeadSigner(database, MASTER, "app")
    return vault


def contents(database: KeyDatabase) -> dict[str, list[tuple[object, ...]]]:
    """What both must hold alike."""
    tables = {
        "master_keys": "1", "data_keys": "1", "wrapped_keys": "1, 2", "erasures": "1", "api_tokens": "1",
        "ended_sessions": "1", "signed_head": "1",
    }  # fmt: skip
    return {
        name: [tuple(row) for row in database.execute(f"SELECT * FROM {name} ORDER BY {order}")]
        for name, order in tables.items()
    }


def test_everything_comes_along_and_works(stores: tuple[KeyStore, KeyStore]) -> None:
    """Keys open what they sealed, tokens and revocations hold, the head goes on; a second run has nothing to do."""
    source, target = stores[0].open(), stores[1].open()
    assert not holds_keys(target)
    vault = filled(source)
    sealed = {tenant: vault.seal(*tenant, 1, "secret", b"plain") for tenant in TENANTS[1:]}
    assert copy_keys(source, target, quiet) > 20
    assert contents(source) == contents(target)
    assert holds_keys(target)
    assert other_keys(source, target) == ""
    there = Vault(stores[1].open(), MASTER)
    assert {there.open(*tenant, 1, "secret", text) for tenant, text in sealed.items()} == {b"plain"}
    assert [bool(one.revoked_at) for one in ApiTokens(target).listing()] == [True, False]
    assert ApiTokens(target).session_ended("a session")
    assert last_signed(target) == last_signed(source)
    assert copy_keys(source, target, quiet) == 0


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 8])
def test_it_goes_on_wherever_it_was_cut_off(
    stores: tuple[KeyStore, KeyStore], cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended after any batch, the next run makes the target what the source is by then."""
    monkeypatch.setattr(copying, "BATCH", 2)
    source, target = stores[0].open(), stores[1].open()
    vault, said = filled(source), list[str]()

    def cut_off(what: str, count: int) -> None:
        said.append(what)
        if len(said) == cut:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_keys(source, target, cut_off)
    vault.ring.erase(*TENANTS[1], "by", "here", "meanwhile")
    vault.ensure_keys([TENANTS[1], ("app", "late")])
    ApiTokens(source).revoke("good")
    assert other_keys(source, target)
    copy_keys(source, target, quiet)
    assert contents(source) == contents(target)


def test_a_mark_on_either_side_keeps_its_key_out(stores: tuple[KeyStore, KeyStore]) -> None:
    """Marks of both are in the target after it, and none of the keys they name, whatever the other side has."""
    source, target = stores[0].open(), stores[1].open()
    ours = filled(source).ring
    marked_there = ours.key_id(*TENANTS[3])
    assert marked_there is not None
    copy_keys(source, target, quiet)
    theirs = KeyRing(target, MASTER)
    theirs.erase(*TENANTS[3], "by", "there", "only there")
    ours.erase(*TENANTS[4], "by", "here", "only here")
    copy_keys(source, target, quiet)
    assert {mark.key_id for mark in theirs.erasures()} == {mark.key_id for mark in ours.erasures()} | {marked_there}
    assert [mark.number for mark in theirs.erasures()] == [1, 2, 3]
    assert theirs.key_ids() == ours.key_ids() - {marked_there}
    assert theirs.cleaned()
    wraps = ours.execute("SELECT wrapped FROM wrapped_keys WHERE key_id = ?", (marked_there,)).fetchall()
    assert len(wraps) == 1
    assert not stores[1].holds(wraps[0][0])
    assert other_keys(source, target) == ""


def test_a_rotation_is_copied_when_it_is_over(stores: tuple[KeyStore, KeyStore]) -> None:
    """In the middle of one the keys are refused; after it, and after the retirement, the target follows."""
    source, target = stores[0].open(), stores[1].open()
    ring = filled(source).ring
    copy_keys(source, target, quiet)
    rotation = Rotation(ring)
    rotation.begin(NEW)
    with pytest.raises(UnfitKeysError, match="keys rotate"):
        copy_keys(source, target, quiet)
    while rotation.rewrap_some(NEW):
        pass
    rotation.finish(NEW)
    assert other_keys(source, target)
    copy_keys(source, target, quiet)
    assert contents(source) == contents(target)
    Rotation(KeyRing(stores[0].open(), NEW)).retire()
    copy_keys(source, target, quiet)
    assert contents(source) == contents(target)
    new = KeyRing(stores[1].open(), NEW)
    assert all(new.raw(key_id) for key_id in new.key_ids())
