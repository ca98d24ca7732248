"""What operators and auditors do where the log is in PostgreSQL: the same commands, the same answers."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from support.command import tenure, told
from support.house import House
from support.key_stores import KEY_TABLES
from support.postgres import Cluster, binaries
from tenure.store.keyring import KeyRing


@pytest.fixture
def house(cluster: Cluster, tmp_path: Path) -> Iterator[House]:
    """A service of two workers on a database of its own."""
    with House(tmp_path, {"DATABASE_URL": cluster.url(cluster.database())}, "--workers", "2") as opened:
        yield opened


def internal(house: House, path: str, token: str = "") -> httpx.Response:
    """An answer of the internal listener."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{house.service.internal_url}{path}", headers=headers, trust_env=False, timeout=15)


def test_a_sound_log_is_verified_and_every_forgery_is_found(house: House) -> None:
    """The chain in the database, the signed head and the projection hold; an event changed or a context forged by
    whoever owns the database does not pass, nor, for whoever kept a head, a tail cut off.
    """
    for _ in range(3):
        house.installed()
    house.service.stop()  # after a minute it would append to what is forged here
    sound = told(house.folder, house.settings, "log", "verify")
    assert (sound["ok"], sound["first_bad_position"], sound["events"]) == (True, None, house.head()[0])
    assert sound["head"]
    owner = psycopg.connect(house.settings["DATABASE_URL"], autocommit=True)
    owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    found = told(house.folder, house.settings, "log", "verify", status=1)
    assert found["first_bad_position"] is None
    assert "events_append" in found["problems"][0]
    owner.execute("UPDATE events SET client_key = 'other' WHERE position = 4")
    assert told(house.folder, house.settings, "log", "verify", status=1)["first_bad_position"] == 4
    owner.execute(
        "UPDATE events SET client_key = (SELECT client_key FROM events WHERE position = 5) WHERE position = 4"
    )
    owner.execute("UPDATE security_contexts SET installed = 0 WHERE position = 3")
    assert "projection" in str(told(house.folder, house.settings, "log", "verify", status=1)["problems"])
    last = house.head()[0]
    owner.execute("DELETE FROM events WHERE position = %s", [last])
    owner.execute("UPDATE log_head SET position = %s, hash = (SELECT hash FROM events WHERE position = %s)",
                  [last - 1, last - 1])  # fmt: skip
    (house.folder / "kept.head").write_text(sound["head"])
    against = told(house.folder, house.settings, "log", "verify", "--head", "kept.head", status=1)
    assert against["first_bad_position"] == last
    owner.close()


def test_auditors_are_answered_over_http(house: House) -> None:
    """Events by install key, tenants now and then, the signed head, metrics and the report come from the database."""
    token = told(house.folder, house.settings, "tokens", "create", "auditor", "--scope", "audit")["token"]
    site, other = house.installed(), house.installed()
    key = site.client_key
    events = internal(house, f"/audit/events?kid={site.kid}", token).json()["items"]
    assert [event["client_key"] for event in events] == [key]
    assert [tenant["client_key"] for tenant in internal(house, "/audit/tenants", token).json()["items"]] == sorted(
        [key, other.client_key]
    )
    then = internal(house, f"/audit/tenants/{key}?position={events[0]['position']}", token).json()
    assert (then["enabled"], then["position"]) == (False, events[0]["position"])
    assert internal(house, f"/audit/diagnose?tenant={key}&since=1h", token).status_code == 200
    assert internal(house, "/audit/measured", token).status_code == 200
    head = internal(house, "/audit/head", token)
    assert head.text.splitlines()[1] == str(house.head()[0])
    assert f"tenure_log_position {float(house.head()[0])}" in internal(house, "/metrics", token).text
    assert internal(house, "/readyz").status_code == 200


def test_contexts_are_rebuilt_while_it_serves(house: House) -> None:
    """Contexts that were changed, lost or made up are named and put right by `rebuild`, in force at once; an event says
    so, and what was right stays as it was.
    """
    changed, lost, other = house.installed(), house.installed(), house.installed()
    assert told(house.folder, house.settings, "rebuild")["identical"]
    owner = psycopg.connect(house.settings["DATABASE_URL"], autocommit=True)
    owner.execute("UPDATE security_contexts SET installed = 0 WHERE client_key = %s", [changed.client_key])
    owner.execute("DELETE FROM security_contexts WHERE client_key = %s", [lost.client_key])
    owner.execute("CREATE TEMP TABLE one AS SELECT * FROM security_contexts WHERE client_key = %s", [other.client_key])
    owner.execute("UPDATE one SET client_key = 'made-up'")
    owner.execute("INSERT INTO security_contexts SELECT * FROM one")
    owner.close()
    assert house.page(lost).status_code == 401
    found = told(house.folder, house.settings, "rebuild", status=1)
    assert (found["identical"], found["different"]) == (False, 3)
    assert house.events("")[-1].type == "operator.rebuilt"
    pages = [house.page(site) for site in (changed, lost, other)]
    assert [page.status_code for page in pages] == [200, 200, 200], [page.text for page in pages]
    assert told(house.folder, house.settings, "rebuild")["identical"]
    assert told(house.folder, house.settings, "log", "verify")["ok"]


def test_a_tenant_is_forgotten(house: House) -> None:
    """An erasure destroys the key, appends `erased` and empties the context; who returns begins anew."""
    site = house.installed(base_url="https://gone.atlassian.net")
    key = site.client_key
    tenure(house.folder, house.settings, "erase", key, "--yes", status=2)
    assert site.uninstall().status == 204
    found = told(house.folder, house.settings, "erase", key, "--yes", "--reason", "asked")
    assert found["position"] == house.events(key)[-1].position
    assert house.events(key)[-1].type == "erased"
    shown = told(house.folder, house.settings, "tenant", "show", key)
    assert not shown["secret_fingerprint"]
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    back = house.site(client_key=key, base_url=site.base_url)
    assert back.install().status == 204
    assert back.enable().status == 204
    assert back.webhook().status == 200


def test_the_service_forgets_and_vouches_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    """Housekeeping runs on the database: an erasure that was left half done is completed at the next start."""
    with House(tmp_path, {"DATABASE_URL": cluster.url(cluster.database()), "HEAD_FILE": "head.txt"}) as house:
        site = house.installed()
        assert site.uninstall().status == 204
        before = house.head()[0]
        house.service.stop()
        ring = KeyRing(house.key_database())
        ring.erase("com.example.app", site.client_key, "me", "here", "half done")
        ring.close()
        house.restart()
        assert [event.type for event in house.events(site.client_key)][-1] == "erased"
        assert house.head()[0] > before
        ends = time.monotonic() + 20
        while not (tmp_path / "head.txt").exists():
            assert time.monotonic() < ends
            time.sleep(0.05)


def test_an_export_and_the_masters_rotation(house: House) -> None:
    """An export has every event of the database and its head, and the new master key is noted in its log."""
    house.installed()
    position, digest = house.head()
    manifest = told(house.folder, house.settings, "export", "--out", "log.ndjson")
    assert manifest["head"] == {"position": position, "hash": digest}
    lines = [json.loads(line) for line in (house.folder / "log.ndjson").read_text().splitlines()]
    assert [line["position"] for line in lines] == list(range(1, position + 1))
    told(house.folder, house.settings, "keys", "rotate", "--to", "new.key")
    assert {"operator.exported", "operator.keys_rotated"} <= {event.type for event in house.events("")}


def test_backup_points_to_pg_dump_and_a_restored_dump_is_whole(house: House, cluster: Cluster) -> None:
    """`tenure backup` refuses; what pg_dump copied and psql put back verifies, guards and all, and serves."""
    site = house.installed()
    assert "pg_dump" in tenure(house.folder, house.settings, "backup", "x.db", status=2).stderr
    assert not (house.folder / "x.db").exists()
    house.service.stop()
    folder = binaries()
    assert folder is not None
    dump = subprocess.run(
        [folder / "pg_dump", "--no-owner", house.settings["DATABASE_URL"]], capture_output=True, check=True, timeout=60
    ).stdout
    house.settings["DATABASE_URL"] = url = cluster.url(cluster.database())
    subprocess.run(
        [folder / "psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=dump, capture_output=True, check=True, timeout=60
    )
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    house.restart()
    assert house.again(site).webhook().status == 200


def test_doctor_looks_at_the_database(house: House, cluster: Cluster) -> None:
    """It says that the triggers stand, and what is wrong when they do not."""
    house.installed()
    ran = tenure(house.folder, house.settings, "doctor", "--json", "--offline")
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    levels = {row["name"]: row["level"] for row in rows}
    assert (levels["log"], levels["master key"]) == ("ok", "ok")
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        owner.execute("ALTER TABLE events DISABLE TRIGGER events_append")
    assert "events_append" in tenure(house.folder, house.settings, "doctor", "--offline", status=1).stdout
    away = house.settings | {"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"}
    ran = tenure(house.folder, away, "doctor", "--offline", status=1)
    assert "could not be looked at" in ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr


def test_a_log_without_its_keys_refuses_the_start(house: House) -> None:
    """Where the keys of the log's tenants are not in the database a start is refused with 3, before it takes the master
    key it was given for the first one; so is one where keys are there and the log is gone.
    """
    house.installed()
    house.service.stop()
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        for name in ("master_keys", "data_keys", "wrapped_keys"):
            owner.execute(f"CREATE TABLE {name}_away AS SELECT * FROM {name}".encode())
            owner.execute(f"DELETE FROM {name}".encode())
        found = tenure(house.folder, house.settings, "serve", "--port", "0", "--internal-port", "0", status=3)
        assert "the database lacks the keys of 1" in found.stderr
        assert owner.execute("SELECT count(*) FROM master_keys").fetchone() == (0,)
        for name in ("master_keys", "data_keys", "wrapped_keys"):
            owner.execute(f"INSERT INTO {name} SELECT * FROM {name}_away".encode())
            owner.execute(f"DROP TABLE {name}_away".encode())
        house.restart()
        house.service.stop()
        owner.execute("DROP TABLE events, log_head, security_contexts CASCADE")
        owner.execute("DELETE FROM tenure_migrations WHERE name <> 'keys_1'")
    found = tenure(house.folder, house.settings, "serve", "--port", "0", "--internal-port", "0", status=3)
    assert "holds the keys of 1 tenants" in found.stderr


def test_a_database_made_before_keys_lay_there_gets_their_tables(house: House) -> None:
    """A start on a database with a log and no tables of keys makes them."""
    house.service.stop()
    with psycopg.connect(house.settings["DATABASE_URL"], autocommit=True) as owner:
        for name in KEY_TABLES:
            owner.execute(f"DROP TABLE {name}".encode())
        owner.execute("DELETE FROM tenure_migrations WHERE name = 'keys_1'")
    tenure(house.folder, house.settings, "tokens", "list", status=1)
    house.restart()
    assert house.page(house.installed()).status_code == 200
