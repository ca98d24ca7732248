"""Keys in PostgreSQL: a worker's end of them, the lease, and connections that are lost at any moment."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from support.key_stores import KeysInPostgres, killed
from support.postgres import Cluster
from tenure.domain.refusals import OursError
from tenure.domain.tenant import Secret, Tenant
from tenure.projections.security_context import schema
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.masters import GivenMaster
from tenure.store.postgres.key_service import PostgresKeys
from tenure.store.postgres.keys import KeyTables
from tenure.store.postgres.lease import DatabaseLease
from tenure.store.postgres.log import open_log
from tenure.store.postgres.session import Session
from tenure.store.rotation import Rotation
from tenure.store.vault import CACHED_KEYS, KEPT_S, Vault

MASTER, NEW = GivenMaster(b"m" * 32), GivenMaster(b"n" * 32)
_BEGIN = b"BEGIN; SELECT 1"


@pytest.fixture
def keys(cluster: Cluster) -> Iterator[KeysInPostgres]:
    """An empty key store, its master admitted."""
    made = KeysInPostgres(cluster)
    KeyRing(made.open(), MASTER)
    yield made
    made.close()


def sealed_by(keys: KeysInPostgres, client_key: str) -> Tenant:
    """A tenant whose secret lies under a key of its own."""
    vault = Vault(keys.open(), MASTER)
    vault.ensure_key("app", client_key)
    return tenant(client_key, vault.seal("app", client_key, 1, "secret", b"plain"))


def tenant(client_key: str, sealed: str) -> Tenant:
    """A context with this secret."""
    secret = Secret(sealed, "", 1, 1, "")
    return Tenant("app", client_key, 1, 1, True, True, False, secret, None, *[""] * 6)


def opened(worker: PostgresKeys, one: Tenant) -> bytes:
    """The tenant's secret by the keys at hand."""
    return worker.vault.open(one.app_key, one.client_key, 1, "secret", one.secret.sealed)


# -- a worker


def test_a_key_is_at_hand_once_it_was_brought(keys: KeysInPostgres) -> None:
    """What was not brought is refused as out of reach, never waited for; what was brought or ensured opens."""
    one, worker = sealed_by(keys, "a"), PostgresKeys(keys.url, MASTER)

    async def run() -> None:
        with pytest.raises(OursError):
            opened(worker, one)
        await worker.bring(one)
        assert opened(worker, one) == b"plain"
        await worker.ensure_key("app", "b", within=1)
        new = tenant("b", worker.vault.seal("app", "b", 1, "secret", b"new"))
        assert opened(worker, new) == b"new"
        assert worker.vault.opens("app", "b", new.secret.sealed)
        assert not worker.vault.opens("app", "b", one.secret.sealed)
        await asyncio.gather(*(worker.ensure_key("app", f"c{number % 7}", within=1) for number in range(40)))
        assert KeyRing(keys.open()).tenants() == 9

    try:
        asyncio.run(run())
    finally:
        worker.close()


def test_an_erasure_elsewhere_is_in_force_within_a_second(keys: KeysInPostgres) -> None:
    """A key at hand goes about a second after another process destroyed it, also if nobody asks; and who returns has
    the new one at once.
    """
    one, worker = sealed_by(keys, "a"), PostgresKeys(keys.url, MASTER)

    async def run() -> None:
        await worker.bring(one)
        KeyRing(keys.open()).erase("app", "a", "by", "origin", "")
        began = time.monotonic()
        while True:
            await worker.bring(one)
            try:
                opened(worker, one)
            except OursError:
                break
            await asyncio.sleep(0.02)
        assert time.monotonic() - began < KEPT_S + 0.5
        back = sealed_by(keys, "a")
        await worker.bring(back)
        assert opened(worker, back) == b"plain"
        with pytest.raises(UntrustedStoreError):
            opened(worker, one)
        await worker.bring(sealed_by(keys, "b"))
        KeyRing(keys.open()).erase("app", "b", "by", "origin", "")
        await worker.refresh()
        assert not worker.vault.has(("app", "b"), "")
        assert list(worker.vault._kept) == [("app", "a")]

    try:
        asyncio.run(run())
    finally:
        worker.close()


def test_a_key_read_before_an_erasure_is_not_kept_after_it(keys: KeysInPostgres) -> None:
    """An answer that was under way while the erasure was heard of is asked for again."""
    one, worker = sealed_by(keys, "a"), PostgresKeys(keys.url, MASTER)

    async def run() -> None:
        bringing = asyncio.create_task(worker.bring(one))
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 (the answer comes, and is not delivered yet)
        KeyRing(keys.open()).erase("app", "a", "by", "origin", "")
        worker._number += 1
        await bringing
        with pytest.raises(OursError):
            opened(worker, one)

    try:
        asyncio.run(run())
    finally:
        worker.close()


def test_a_retired_master_opens_nothing_in_a_worker_that_still_has_it(keys: KeysInPostgres) -> None:
    """After `retire` a worker left on the old key says so, and forgets what it had, its own keys too."""
    one, worker = sealed_by(keys, "a"), PostgresKeys(keys.url, MASTER)
    worker.vault.ensure_key("app", " own")
    rotation = Rotation(KeyRing(keys.open(), MASTER))
    rotation.begin(NEW)
    while rotation.rewrap_some(NEW):
        pass
    rotation.finish(NEW)

    async def run() -> None:
        await worker.bring(one)
        assert opened(worker, one) == b"plain"
        assert (await worker.condition())[1] == []
        Rotation(KeyRing(keys.open(), NEW)).retire()
        await worker.refresh()
        for refused in (lambda: opened(worker, one), lambda: worker.vault.mac("app", " own", "x")):
            with pytest.raises(OursError):
                refused()
        with pytest.raises((OursError, UntrustedStoreError)):
            await worker.ensure_key("app", "new", within=1)
        assert "master key" in (await worker.condition())[1][0]

    try:
        asyncio.run(run())
    finally:
        worker.close()


def test_the_keys_at_hand_are_bounded(keys: KeysInPostgres) -> None:
    """However many tenants call, no more than so many keys are kept; the service's own always are."""
    worker = PostgresKeys(keys.url, MASTER)
    worker.vault.ensure_key("app", " own")
    key = worker.vault.key("app", " own")
    for number in range(CACHED_KEYS + 10):
        worker.vault.put(("app", str(number)), key)
    assert len(worker.vault._kept) == CACHED_KEYS
    assert worker.vault.mac("app", " own", "x")
    worker.close()


def test_no_check_waits_for_a_key_that_a_standby_does_not_confirm() -> None:
    """While commits wait for a standby that is away, making a key is refused within 2 s, and keys are read all the
    while.
    """
    with Cluster(fsync="off") as cluster:
        open_log(cluster.url(), [schema("postgres")])
        keys = KeysInPostgres.__new__(KeysInPostgres)
        keys.url, keys._opened = cluster.url(), []
        one = sealed_by(keys, "a")
        worker = PostgresKeys(keys.url, MASTER)
        cluster.replicate_to_standby()

        async def run() -> None:
            began = time.monotonic()
            making = asyncio.create_task(worker.ensure_key("app", "new", within=5))
            slowest = 0.0
            while not making.done():
                asked = time.monotonic()
                worker.vault.put(("app", "a"), None)
                await worker.bring(one)
                slowest = max(slowest, time.monotonic() - asked)
                await asyncio.sleep(0.02)
            with pytest.raises(OursError):
                await making
            assert time.monotonic() - began < 2
            assert slowest < 0.5

        try:
            asyncio.run(run())
        finally:
            worker.close()
            keys.close()


def test_a_database_that_does_not_answer_is_no_pass() -> None:
    """Cut off, keys at hand are not believed for longer than a second: refused within 2 s."""
    with Cluster(fsync="off") as cluster:
        open_log(cluster.url(), [schema("postgres")])
        keys = KeysInPostgres.__new__(KeysInPostgres)
        keys.url, keys._opened = cluster.url(), []
        one = sealed_by(keys, "a")
        keys.close()
        worker = PostgresKeys(keys.url, MASTER)

        async def run() -> None:
            await worker.bring(one)
            cluster.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(KEPT_S + 0.1)
                began = time.monotonic()
                with pytest.raises(OursError):
                    await worker.bring(one)
                assert time.monotonic() - began < 2
            finally:
                cluster.signal(signal.SIGCONT)
            ends = time.monotonic() + 10
            while True:
                try:
                    await worker.bring(one)
                    break
                except OursError:
                    assert time.monotonic() < ends
                    await asyncio.sleep(0.05)
            assert opened(worker, one) == b"plain"

        try:
            asyncio.run(run())
        finally:
            worker.close()


# -- the lease


def test_the_lease_is_one_processs_and_passes_on(keys: KeysInPostgres) -> None:
    """One of two has it, however often it asks; when its connection is ended the other gets it, and the first knows."""
    one, other = DatabaseLease(keys.url), DatabaseLease(keys.url)
    assert [one.take(), one.take(), other.take(), one.take()] == [True, True, False, True]
    killed(keys.url)
    ends = time.monotonic() + 5
    while not other.take():
        assert time.monotonic() < ends
    assert not one.take()
    assert not one.take()
    other.close()
    ends = time.monotonic() + 5
    while not one.take():
        assert time.monotonic() < ends
    one.close()


def test_a_lease_on_a_database_that_is_away_is_not_held(cluster: Cluster) -> None:
    """Nobody holds what nobody can ask for."""
    lease = DatabaseLease("postgresql://me@127.0.0.1:1/x")
    assert not lease.take()
    lease.close()


# -- connections that are lost


def test_a_transaction_whose_connection_is_lost_commits_nothing(keys: KeysInPostgres) -> None:
    """Ended in the middle, no statement of it runs on another connection, COMMIT least of all; the next one works."""
    database = KeyTables(keys.url)
    ring = KeyRing(database, MASTER)

    def cut_off(goes_on: bool) -> None:
        with ring.transaction():
            ring.add_master("x" * 16, "former")
            killed(keys.url)
            time.sleep(0.1)
            if goes_on:
                ring.add_master("y" * 16, "incoming")

    for goes_on in (True, False):
        with pytest.raises(psycopg.Error):
            cut_off(goes_on)
        assert set(ring.masters()) == {MASTER.id}
    assert ring.ensure("app", "a")
    database.close()


def test_a_statement_that_failed_takes_the_transaction_with_it(keys: KeysInPostgres) -> None:
    """Who goes on after a failed statement is told that nothing was committed, instead of being answered as if."""
    session = Session(keys.url)

    def swallowed() -> None:
        with session.transaction(_BEGIN), contextlib.suppress(psycopg.Error):
            session.execute("SELECT no_such_column FROM master_keys")

    with pytest.raises(psycopg.Error, match="nothing was committed"):
        swallowed()
    with pytest.raises(RuntimeError), session.transaction(_BEGIN), session.transaction(_BEGIN):
        pass
    assert session.execute("SELECT 1").fetchone() == (1,)
    session.close()


def test_an_abort_hits_no_other_socket(keys: KeysInPostgres) -> None:
    """Though the connection is closed and its number given to another socket, that one is left alone."""
    session = Session(keys.url)
    connection = session.connection()
    number = connection.fileno()
    connection.close()
    left, right = socket.socketpair()
    taken = [os.dup(left.fileno())]
    while number not in (*taken, left.fileno(), right.fileno()) and len(taken) < 64:
        taken.append(os.dup(left.fileno()))
    assert number in (*taken, left.fileno(), right.fileno())
    session.abort()
    left.sendall(b"x")
    assert right.recv(1) == b"x"
    for one in taken:
        os.close(one)
    left.close()
    right.close()
    session.close()
    session.abort()


def test_many_aborts_and_closes_at_once_harm_nothing(keys: KeysInPostgres) -> None:
    """Aborted by another thread all the while, a session goes on opening itself."""
    session, stop = Session(keys.url), threading.Event()

    def abort() -> None:
        while not stop.is_set():
            session.abort()

    aborter = threading.Thread(target=abort)
    aborter.start()
    for _ in range(50):
        with contextlib.suppress(psycopg.Error, OSError):
            session.execute("SELECT 1")
        session.close()
    stop.set()
    aborter.join()
    assert session.execute("SELECT 1").fetchone() == (1,)
    session.close()


def test_a_snapshot_is_not_replaced_by_another(keys: KeysInPostgres) -> None:
    """A session that holds its connection says that it was lost, instead of reading on elsewhere."""
    session = Session(keys.url)
    session.hold()
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    killed(keys.url)
    time.sleep(0.1)
    for _ in range(2):
        with pytest.raises(psycopg.Error):
            session.execute("SELECT 1")
    session.close()
    assert session.execute("SELECT 1").fetchone() == (1,)
    session.close()
