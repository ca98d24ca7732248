"""The master key replaced on every key store: nobody is stranded, whenever it is cut off, whoever works meanwhile."""

import threading

import pytest

from support.key_stores import KeyStore
from tenure.store import rotation
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.masters import GivenMaster, MasterKey
from tenure.store.rotation import Rotation
from tenure.store.vault import Vault

OLD, NEW, THIRD = (GivenMaster(letter * 32) for letter in (b"o", b"n", b"t"))


def rotate(ring: KeyRing, new: MasterKey) -> None:
    """A whole rotation."""
    found = Rotation(ring)
    found.begin(new)
    while found.rewrap_some(new):
        pass
    found.finish(new)


def test_a_key_made_during_a_rotation_opens_under_both(keys: KeyStore) -> None:
    """Whoever runs under either master makes keys that the other opens, also after a second rotation."""
    old = Vault(keys.open(), OLD)
    old.ensure_key("app", "before")
    ring = KeyRing(keys.open(), OLD)
    Rotation(ring).begin(NEW)
    old.ensure_key("app", "during")
    sealed = old.seal("app", "during", 1, "secret", b"plain")
    with pytest.raises(UntrustedStoreError, match="not finished"):
        Vault(keys.open(), NEW)
    rotate(ring, NEW)
    new = Vault(keys.open(), NEW)
    assert new.open("app", "during", 1, "secret", sealed) == b"plain"
    new.ensure_key("app", "after")
    assert old.open("app", "after", 1, "secret", new.seal("app", "after", 1, "secret", b"later")) == b"later"
    with pytest.raises(UntrustedStoreError, match="current one"):
        Rotation(ring).retire()
    current = KeyRing(keys.open(), NEW)
    assert Rotation(current).retire() is not None
    rotate(current, THIRD)
    third = KeyRing(keys.open(), THIRD)
    Rotation(third).retire()
    assert Vault(keys.open(), THIRD).open("app", "during", 1, "secret", sealed) == b"plain"


def test_an_abandoned_rotation_gives_way(keys: KeyStore) -> None:
    """A rotation that never finished can be begun to another key; one that is not retired stands in the way."""
    ring = KeyRing(keys.open(), OLD)
    ring.ensure("app", "a")
    Rotation(ring).begin(THIRD)
    rotate(ring, NEW)
    assert ring.masters() == {OLD.id: "former", NEW.id: "current"}
    with pytest.raises(UntrustedStoreError, match="retire"):
        Rotation(ring).begin(THIRD)
    with pytest.raises(UntrustedStoreError, match="new file"):
        Rotation(ring).begin(OLD)


def test_the_old_master_is_useless_after_retirement(keys: KeyStore) -> None:
    """After `retire` the old key starts nothing, makes no key, and no wrap of it is left."""
    old = Vault(keys.open(), OLD)
    old.ensure_keys([("app", f"t{number}") for number in range(50)])
    ring = KeyRing(keys.open(), OLD)
    wraps = [row[0] for row in ring.execute("SELECT wrapped FROM wrapped_keys WHERE master_id = ?", (OLD.id,))]
    rotate(ring, NEW)
    current = KeyRing(keys.open(), NEW)
    assert Rotation(current).retire() == (OLD.id, 50)
    assert Rotation(current).retire() is None
    for refused in (lambda: Vault(keys.open(), OLD), lambda: old.ensure_key("app", "stranded"), old.check):
        with pytest.raises(UntrustedStoreError):
            refused()
    assert not current.key_id("app", "stranded")
    assert current.cleaned()
    assert not [wrap for wrap in wraps if keys.holds(wrap[1:])]


@pytest.mark.parametrize("steps", range(5))
def test_a_rotation_cut_off_after_any_step_is_done_again(
    keys: KeyStore, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many steps it came to before its process died: both keys that are in force open everything, and the same
    command ends it.
    """
    monkeypatch.setattr(rotation, "BATCH", 4)
    tenants = [("app", f"t{number}") for number in range(9)]
    vault = Vault(keys.open(), OLD)
    vault.ensure_keys(tenants)
    sealed = {tenant: vault.seal(*tenant, 1, "secret", b"plain") for tenant in tenants}
    first = Rotation(KeyRing(keys.open(), OLD))
    first.begin(NEW)
    for _ in range(steps):
        first.rewrap_some(NEW)
    if steps == 4:
        first.finish(NEW)
    tenants.append(("app", "late"))
    vault.ensure_key("app", "late")
    sealed["app", "late"] = vault.seal("app", "late", 1, "secret", b"plain")
    rotate(KeyRing(keys.open(), OLD), NEW)
    for master in (OLD, NEW):
        opened = Vault(keys.open(), master)
        assert {opened.open(*tenant, 1, "secret", sealed[tenant]) for tenant in tenants} == {b"plain"}
    Rotation(KeyRing(keys.open(), NEW)).retire()
    after = Vault(keys.open(), NEW)
    assert {after.open(*tenant, 1, "secret", sealed[tenant]) for tenant in tenants} == {b"plain"}


def test_keys_made_while_it_is_rotated_open_under_the_new_master(
    keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vaults that make keys all the while, under the old master and then under the new one, strand nobody."""
    monkeypatch.setattr(rotation, "BATCH", 7)
    old = KeyRing(keys.open(), OLD)
    old.ensure_all([("app", f"t{number}") for number in range(40)])
    stop, begun, failed = threading.Event(), threading.Semaphore(0), list[Exception]()

    def make(name: str) -> None:
        vault, number = Vault(keys.open(), OLD), 0
        while not stop.is_set():
            number += 1
            try:
                vault.ensure_key("app", f"{name}-{number}")
            except Exception as error:
                failed.append(error)
                return
            begun.release()

    makers = [threading.Thread(target=make, args=(f"m{number}",)) for number in range(3)]
    for maker in makers:
        maker.start()
    assert begun.acquire(timeout=20)
    rotate(old, NEW)
    stop.set()
    for maker in makers:
        maker.join()
    assert failed == []
    new = KeyRing(keys.open(), NEW)
    assert Rotation(new).retire() is not None
    ids = new.key_ids()
    assert len(ids) > 40
    assert all(new.raw(key_id) for key_id in ids)


def test_a_first_master_is_admitted_once(keys: KeyStore) -> None:
    """Of two that come to an empty key store at once one is the first; the other is refused."""
    barrier, outcome = threading.Barrier(2), list[str]()

    def come(master: MasterKey) -> None:
        database = keys.open()
        barrier.wait()
        try:
            KeyRing(database, master)
            outcome.append("taken")
        except UntrustedStoreError:
            outcome.append("refused")

    threads = [threading.Thread(target=come, args=(master,)) for master in (OLD, NEW)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome) == ["refused", "taken"]


def test_only_who_may_admits_a_first_master(keys: KeyStore) -> None:
    """An empty key store is not begun by who only reads, nor by who is told not to."""
    KeyRing(keys.open())
    with pytest.raises(UntrustedStoreError, match="ever used"):
        KeyRing(keys.open(), OLD, admit=False)
    with pytest.raises(UntrustedStoreError, match="ever used"):
        KeyRing(keys.open_read_only(), OLD)
    assert KeyRing(keys.open()).masters() == {}
