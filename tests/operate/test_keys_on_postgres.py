"""Many machines, one database: keys, tokens, the signed head and the housekeeping are one service's."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import psycopg
import pytest

from support.auditor import token_of
from support.command import tenure, told
from support.house import APP_KEY, House
from support.key_stores import killed, rows_of, wraps_of
from support.opened import open_writer_of, opener, readable
from support.postgres import Cluster
from tenure.lease import lease_of
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import KeyRing
from tenure.store.masters import from_file, new_master_key
from tenure.store.tokens import ApiTokens
from tenure.store.vault import KEPT_S, key_id_of
from tenure.unused import sweep

HOW_TO = Path(__file__).parents[2] / "docs/how-to/postgresql.md"


@pytest.fixture
def house(cluster: Cluster, tmp_path: Path) -> Iterator[House]:
    """A service of two workers on a database of its own."""
    (tmp_path / "one").mkdir()
    with House(tmp_path / "one", {"DATABASE_URL": cluster.url(cluster.database())}, "--workers", "2") as opened:
        yield opened


@pytest.fixture
def other(house: House, tmp_path: Path) -> Iterator[House]:
    """The same service on another machine: the settings are the same, nothing else is shared."""
    (tmp_path / "two").mkdir()
    with House(tmp_path / "two", house.settings) as opened:
        yield opened


def metrics(house: House, token: str) -> int:
    """The status of `/metrics` with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{house.service.internal_url}/metrics"
    return httpx.get(url, headers=headers, trust_env=False, timeout=15).status_code


def test_two_machines_are_one_service(house: House, other: House, tmp_path: Path) -> None:
    """Who installs at one is let in by the other, rotates there and is refused here with the old secret at once; no key
    lies in a file anywhere.
    """
    site = house.installed()
    assert other.page(site).status_code == 200
    old = site.page_token("GET", "/page")
    there = other.again(site)
    there.key_host = house.keys
    assert there.rotate().status == 204
    assert house.page(there).status_code == 200
    assert house.page(site, old).status_code == 425
    assert there.uninstall().status == 204
    assert house.page(there).status_code == 401
    assert [path.name for path in tmp_path.rglob("*keys.db*")] == []


def test_several_that_start_at_once_on_an_empty_database_are_one_service(cluster: Cluster, tmp_path: Path) -> None:
    """Three machines given the same settings begin at the same moment: each comes up, with one master key, one head and
    one key of each purpose; one that is given another master key does not.
    """
    settings = {"DATABASE_URL": cluster.url(cluster.database()), "MASTER_KEY": new_master_key()}

    def begin(name: str) -> House:
        (tmp_path / name).mkdir()
        return House(tmp_path / name, settings)

    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        begun = list(pool.map(begin, "abc"))
        for house in begun:
            stack.callback(house.close)
        site = begun[0].installed()
        assert {house.page(site).status_code for house in begun} == {200}
        with closing(begun[0].key_database()) as database:
            assert len(KeyRing(database).masters()) == 1
            assert database.execute("SELECT count(*) FROM data_keys WHERE purpose = 'head'").fetchone() == (1,)
        settings["MASTER_KEY"] = new_master_key()
        with pytest.raises(RuntimeError, match="master key"):
            begin("d")


def test_a_revoked_token_is_refused_at_once_on_every_machine(house: House, other: House) -> None:
    """A token made at one is good at both; after `tokens revoke` no worker lets it in any more."""
    token = token_of(house, "audit")
    for one in (house, other):
        assert {metrics(one, token) for _ in range(6)} == {200}
    name = told(house.folder, house.settings, "tokens", "list")["name"]
    tenure(other.folder, house.settings, "tokens", "revoke", name)
    for one in (house, other):
        assert {metrics(one, token) for _ in range(6)} == {401}


def test_a_session_ended_on_one_machine_is_on_the_other(house: House, other: House) -> None:
    """One cookie is good on both; logged out here, it is refused there."""
    with closing(ApiTokens(house.key_database())) as tokens:
        with tokens.transaction():
            tokens.create("reader", ("audit",), 1)
        code = tokens.login_code("reader")
    with httpx.Client(trust_env=False, timeout=15) as client:
        headers = {"Sec-Fetch-Site": "same-origin"}
        here, there = house.service.internal_url, other.service.internal_url
        sent = client.post(f"{here}/console/login", data={"code": code}, headers=headers)
        assert sent.status_code == 303
        cookie = {"Cookie": sent.headers["set-cookie"].partition(";")[0]}
        assert client.post(f"{there}/console/login", data={"code": code}, headers=headers).status_code == 401
        assert client.get(f"{there}/console/", headers=cookie).status_code == 200
        assert client.post(f"{here}/console/logout", headers=cookie | headers).status_code == 303
        assert client.get(f"{there}/console/", headers=cookie).status_code == 401


def test_an_erasure_is_in_force_on_every_machine(house: House, other: House) -> None:
    """A tenant whose key both have in memory is erased: refused at once by both, its key is nowhere, and a secret kept
    from before opens nothing; who returns is new on both.
    """
    site = house.installed()
    assert {one.page(site).status_code for one in (house, other)} == {200}
    sealed = house.known(site.client_key).secret
    with closing(house.key_database()) as database:
        wraps = wraps_of(database, key_id_of(sealed.sealed))
    assert any(wraps[0] in row for row in rows_of(house.settings["DATABASE_URL"]))
    told(other.folder, house.settings, "erase", site.client_key, "--installed")
    assert {one.page(site).status_code for one in (house, other)} == {401}
    assert not any(wraps[0] in row for row in rows_of(house.settings["DATABASE_URL"]))
    with closing(opener(house)) as vault, pytest.raises(UntrustedStoreError):
        vault.open(APP_KEY, site.client_key, sealed.version, "secret", sealed.sealed)
    back = house.site(client_key=site.client_key, base_url=site.base_url)
    assert (back.install().status, back.enable().status) == (204, 204)
    assert {one.page(back).status_code for one in (house, other)} == {200}
    assert told(house.folder, house.settings, "log", "verify")["ok"]


def test_a_key_destroyed_elsewhere_opens_nothing_after_a_second(house: House, other: House) -> None:
    """Between the destruction and the event nobody is let in for longer than the second that keys are kept."""
    site = house.installed()
    assert {one.page(site).status_code for one in (house, other)} == {200}
    with closing(KeyRing(house.key_database())) as ring:
        ring.erase(APP_KEY, site.client_key, "someone", "somewhere", "cut off after this")
    time.sleep(KEPT_S + 0.3)
    assert {one.page(site).status_code for one in (house, other) for _ in range(4)} == {503}


def test_all_that_are_due_are_erased_some_at_a_time(house: House) -> None:
    """More than go under one lock of the log: each is erased once, its key is gone, the log verifies."""
    sites = [house.installed() for _ in range(12)]
    assert {site.uninstall().status for site in sites} == {204}
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        owner.execute("UPDATE security_contexts SET uninstalled_at = '2026-01-01' WHERE installed = 0")
    erased = tenure(house.folder, house.settings, "erase", "--due", "--yes", "--despite-clock")
    assert erased.stdout.count("\nerased ") + 1 == 12
    assert {house.kinds(site.client_key)[-1] for site in sites} == {"erased"}
    with closing(KeyRing(house.key_database())) as ring:
        assert (len(ring.erasures()), ring.tenants()) == (12, 0)


def test_keys_put_back_from_before_an_erasure_are_destroyed_again(house: House) -> None:
    """Rows of a destroyed key put back, and its mark gone: the `erased` event destroys it again at the start."""
    site = house.installed()
    key_id = key_id_of(house.known(site.client_key).secret.sealed)
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        for name in ("data_keys", "wrapped_keys"):
            owner.execute(f"CREATE TABLE {name}_old AS SELECT * FROM {name} WHERE key_id = '{key_id}'".encode())
        told(house.folder, house.settings, "erase", site.client_key, "--installed")
        house.service.stop()
        owner.execute("DELETE FROM erasures")
        for name in ("data_keys", "wrapped_keys"):
            owner.execute(f"INSERT INTO {name} SELECT * FROM {name}_old".encode())
            owner.execute(f"DROP TABLE {name}_old".encode())
    house.restart()
    with closing(KeyRing(house.key_database())) as ring:
        assert [mark.key_id for mark in ring.erasures()] == [key_id]
        assert key_id not in ring.key_ids()


def test_no_unused_key_is_swept_beside_a_running_service(house: House) -> None:
    """While somebody holds the lease a second start sweeps nothing; with everybody stopped the next one does."""
    with closing(opener(house)) as vault:
        vault.ensure_key(APP_KEY, "never-came")
    with closing(KeyRing(house.key_database())) as ring, closing(open_writer_of(house)) as events:
        with ring.transaction():
            ring.execute("UPDATE data_keys SET created_at = '2026-01-01' WHERE client_key = 'never-came'")
        ends = time.monotonic() + 20
        while not is_kept(house):
            assert time.monotonic() < ends
            time.sleep(0.05)
        assert sweep(house.store, events, ring) == []
        house.service.stop()
        assert sweep(house.store, events, ring) == ["never-came"]


def is_kept(house: House) -> bool:
    """Whether somebody holds the lease."""
    lease = lease_of(house.store)
    try:
        return not lease.take()
    finally:
        lease.close()


def test_one_process_of_all_keeps_the_house(house: House, other: House) -> None:
    """The lease is held by one of all processes; when its connections are ended somebody has it again soon."""
    for _ in range(2):
        ends = time.monotonic() + 20
        while not is_kept(house):
            assert time.monotonic() < ends
            time.sleep(0.1)
        with psycopg.connect(house.settings["DATABASE_URL"]) as connection:
            assert connection.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' "
                "AND datname = current_database() AND granted AND (classid::bigint << 32) | objid::bigint "
                "= hashtextextended('tenure lease of ' || current_schema(), 0)"
            ).fetchone() == (1,)
        killed(house.settings["DATABASE_URL"])
    assert house.page(house.installed()).status_code == 200


def test_the_master_key_is_replaced_while_it_serves(cluster: Cluster, tmp_path: Path) -> None:
    """`keys rotate` and `keys retire` on the database: both machines go on, new tenants too, and the old key opens
    nothing afterwards.
    """
    tenure(tmp_path, {}, "keys", "create", "old.key")
    given = {"DATABASE_URL": cluster.url(cluster.database()), "MASTER_KEY": "",
             "MASTER_KEY_FILE": str(tmp_path / "old.key")}  # fmt: skip
    with House(tmp_path, given, "--workers", "2") as house:
        settings = {name: value for name, value in house.settings.items() if value}
        first = house.installed()
        told(tmp_path, settings, "keys", "rotate", "--to", "new.key")
        late = house.installed()
        house.settings["MASTER_KEY_FILE"] = settings["MASTER_KEY_FILE"] = str(tmp_path / "new.key")
        house.restart()
        assert told(tmp_path, settings, "keys", "retire")["destroyed"] > 2
        assert {house.page(house.again(site)).status_code for site in (first, late)} == {200}
        with closing(house.key_database()) as database, pytest.raises(UntrustedStoreError):
            KeyRing(database, from_file(tmp_path / "old.key"))
        house.settings["MASTER_KEY_FILE"] = str(tmp_path / "old.key")
        with pytest.raises(RuntimeError, match="master key"):
            house.restart()
    assert readable(tmp_path, b"keys_1") == []


def test_no_rotation_is_begun_on_a_half_copy(house: House, tmp_path: Path) -> None:
    """While a copy into the database is not finished, `keys rotate` and `keys retire` refuse at once."""
    house.installed()
    house.service.stop()
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        owner.execute("CREATE TABLE copy_beside (name TEXT)")
    before = rows_of(house.settings["DATABASE_URL"])
    for command in (("keys", "rotate", "--to", str(tmp_path / "new.key")), ("keys", "retire")):
        assert "not finished" in tenure(tmp_path, house.settings, *command, status=3).stderr
    assert rows_of(house.settings["DATABASE_URL"]) == before
    assert not (tmp_path / "new.key").exists()


def test_the_role_of_the_how_to_is_enough_to_serve(house: House) -> None:
    """With the statements as they are printed the service runs under a role of its own: sites install, keys are made
    and destroyed, heads are signed; that role can neither make tokens nor take a mark of erasure away.
    """
    url, role = house.settings["DATABASE_URL"], f"r{uuid.uuid4().hex[:8]}"
    printed = HOW_TO.read_text().partition("```sql\nCREATE ROLE")[2].partition("```")[0]
    house.service.stop()
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE{printed}".replace("tenure_service", role).encode())
    house.settings["DATABASE_URL"] = url.replace("postgres@", f"{role}@")
    house.restart()
    site, gone = house.installed(), house.installed()
    assert house.page(site).status_code == 200
    assert gone.uninstall().status == 204
    told(house.folder, house.settings, "erase", gone.client_key)
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    refused = tenure(house.folder, house.settings, "tokens", "create", "x", "--scope", "audit", status=2)
    assert "owner" in refused.stderr
    with (
        psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as service,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        service.execute("DELETE FROM erasures")
    house.service.stop()
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_connections_of_a_worker_are_as_many_as_are_documented(cluster: Cluster, tmp_path: Path) -> None:
    """What the how-to says a worker opens is what one opens that has been asked everything."""
    page = HOW_TO.read_text()
    url = cluster.url(cluster.database())
    with House(tmp_path, {"DATABASE_URL": url, "HEAD_FILE": "head.txt"}) as house:
        site, token = house.installed(), token_of(house, "audit")
        assert house.page(site).status_code == 200
        for path in ("/readyz", "/audit/head", "/audit/tenants", "/metrics"):
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{house.service.internal_url}{path}", headers=headers, trust_env=False).status_code == 200
        ends = time.monotonic() + 30
        while not (tmp_path / "head.txt").exists():
            assert time.monotonic() < ends
            time.sleep(0.05)
        found = set[int]()
        with psycopg.connect(url, autocommit=True) as connection:
            # some are opened by threads that wake up from time to time
            while time.monotonic() < ends and f"| Connections | {max(found, default=0)} for each worker" not in page:
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'tenure'"
                ).fetchone()
                found.add(row[0] if row else 0)
                time.sleep(0.05)
    assert f"| Connections | {max(found)} for each worker" in page
