"""Forgetting: what is unreadable after it, what stays, and that nothing brings a tenant back."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from support.command import tenure, told
from support.house import APP_KEY, House
from support.opened import open_writer_of, opener, readable
from tenure.domain.decisions import Decision
from tenure.forgetting import reapply
from tenure.housekeeping import Housekeeping
from tenure.projections.clock import ClockWatch
from tenure.settings import Settings
from tenure.simulator.site import Site
from tenure.store.connection import UntrustedStoreError
from tenure.store.key_file import KeyFile
from tenure.store.keyring import KeyRing
from tenure.store.vault import key_id_of
from tenure.stores import Log


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A service of its own, because its store is taken apart."""
    with House(tmp_path) as opened:
        yield opened


def test_only_an_uninstalled_tenant_is_erased_unless_it_is_said(house: House) -> None:
    """A tenant that has not uninstalled is refused with what to do; --installed erases it all the same."""
    site = house.installed()
    refused = tenure(house.folder, house.settings, "erase", site.client_key, "--yes", status=2)
    assert "--installed" in refused.stderr
    assert house.page(site).status_code == 200
    found = told(house.folder, house.settings, "erase", site.client_key, "--installed", "--reason", "site deleted")
    assert found["client_key"] == site.client_key
    assert house.page(site).status_code == 401
    assert house.kinds(site.client_key)[-1] == "erased"
    assert tenure(house.folder, house.settings, "erase", site.client_key).stdout == "nothing to erase\n"


def test_after_an_erasure_nothing_opens_and_everything_holds(house: House) -> None:
    """No file, backup, WAL or export opens what was sealed; history and hashes are whole."""
    site = house.site()
    assert site.install(body_extra={"description": "the admin's own words"}).status == 204
    assert site.uninstall().status == 204
    tenure(house.folder, house.settings, "backup", "before.db")
    sealed = house.known(site.client_key).secret
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    key_id = key_id_of(sealed.sealed)
    wrapped = [row[0] for row in ring.execute("SELECT wrapped FROM wrapped_keys WHERE key_id = ?", (key_id,))]
    ring.close()
    assert wrapped
    assert readable(house.folder, wrapped[0]) != []
    told(house.folder, house.settings, "erase", site.client_key, "--reason", "asked for")
    assert readable(house.folder, wrapped[0]) == []
    assert readable(house.folder, site.secret.encode()) == []
    assert readable(house.folder, b"admin's own words") == []
    vault = opener(house)
    with pytest.raises(UntrustedStoreError):
        vault.open(APP_KEY, site.client_key, sealed.version, "secret", sealed.sealed)
    vault.close()
    assert house.kinds(site.client_key) == ["installed", "uninstalled", "erased"]
    tenant = house.known(site.client_key)
    assert (tenant.secret.sealed, tenant.base_url, tenant.installation_id) == ("", "", "")
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    copy = {**house.settings, "DATABASE_URL": "before.db"}
    assert told(house.folder, copy, "log", "verify")["first_bad_position"] is None


@pytest.mark.parametrize("kill", [False, True])
def test_a_log_restored_from_before_an_erasure_brings_nobody_back(house: House, kill: bool) -> None:
    """With an older log put back, `erased` is appended again before the service is ready."""
    site = house.installed()
    assert site.uninstall().status == 204
    tenure(house.folder, house.settings, "backup", "before.db")
    told(house.folder, house.settings, "erase", site.client_key)
    house.service.kill() if kill else house.service.stop()
    for name in ("events.db", "events.db-wal", "events.db-shm"):
        (house.folder / name).unlink(missing_ok=True)
    shutil.copy(house.folder / "before.db", house.folder / "events.db")
    house.restart()
    assert house.kinds(site.client_key)[-1] == "erased"
    assert house.page(site).status_code == 401


def test_a_half_done_erasure_is_completed_at_the_start(house: House) -> None:
    """A key that was destroyed before `erased` was appended: the next start appends it, once."""
    site = house.installed()
    assert site.uninstall().status == 204
    house.service.kill()
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    ring.erase(APP_KEY, site.client_key, "someone", "somewhere", "crashed after this")
    ring.close()
    house.restart()
    house.restart()
    assert house.kinds(site.client_key)[-3:] == ["enabled", "uninstalled", "erased"]


def test_a_return_during_a_half_done_erasure_waits(house: House) -> None:
    """Between the destruction and the event an install is answered 503; after the event it is a first one."""
    site = house.installed()
    assert site.uninstall().status == 204
    ring = KeyRing(KeyFile(house.folder / "keys.db"))
    ring.erase(APP_KEY, site.client_key, "someone", "somewhere", "")
    assert house.again(site).install(new_secret=True).status == 503
    log = open_writer_of(house)
    found, last = reapply(log, ring)
    assert [one.client_key for one in found] == [site.client_key]
    assert reapply(log, ring, last) == ([], last)
    log.close()
    ring.close()
    back = house.site(client_key=site.client_key, base_url=site.base_url)
    assert back.install().status == 204
    assert back.enable().status == 204


def test_who_returns_after_an_erasure_is_new_in_every_worker(tmp_path: Path) -> None:
    """A tenant that installs again gets a key of its own in a service that had the old one in memory, and works after
    a restart; the mark of the old key stays, and erases nobody again.
    """
    with House(tmp_path, {}, "--workers", "2") as house:
        site = house.installed()
        for _ in range(8):
            assert house.page(site).status_code == 200
        assert site.uninstall().status == 204
        old = key_id_of(house.known(site.client_key).secret.sealed)
        told(house.folder, house.settings, "erase", site.client_key)
        assert site.install(new_secret=True).status == 204
        assert site.enable().status == 204
        for _ in range(8):
            assert house.page(site).status_code == 200
        new = key_id_of(house.known(site.client_key).secret.sealed)
        assert new != old
        house.restart(kill=True)
        site = house.again(site)
        assert house.page(site).status_code == 200
        assert house.kinds(site.client_key)[-3:] == ["erased", "installed", "enabled"]
        assert str(house.events(site.client_key)[-2].changed).startswith("Changed(cause=<Cause.FIRST")
        assert told(house.folder, house.settings, "log", "verify")["ok"]


def test_the_service_erases_what_is_due_by_itself(house: House) -> None:
    """A tenant uninstalled longer than ERASE_AFTER_DAYS is erased by the service; a fresher one is not; 0 never."""
    house.settings["ERASE_AFTER_DAYS"] = "0"
    old, fresh = house.installed(), house.installed()
    assert old.uninstall().status == 204
    house.service.stop()
    long_ago = (datetime.now(UTC) - timedelta(days=61)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    log = open_writer_of(house)
    log.connection.execute(
        "UPDATE security_contexts SET uninstalled_at = ? WHERE client_key = ?", (long_ago, old.client_key)
    )
    log.close()
    house.restart()
    fresh = house.again(fresh)
    assert fresh.uninstall().status == 204
    assert house.kinds(old.client_key)[-1] == "uninstalled"
    house.settings["ERASE_AFTER_DAYS"] = "60"
    house.restart()
    ends = time.monotonic() + 15
    while house.kinds(old.client_key)[-1] != "erased" and time.monotonic() < ends:
        time.sleep(0.05)
    event = house.events(old.client_key)[-1]
    assert event.type == "erased"
    assert "60 days" in str(event.data)
    assert house.kinds(fresh.client_key)[-1] == "uninstalled"


def test_a_clock_that_jumped_ahead_erases_nobody(house: House) -> None:
    """By a clock 90 days ahead everybody is due and nobody erased, also by hand, unless both switches say so."""
    site = house.installed()
    assert site.uninstall().status == 204
    house.service.stop()
    hourly(house, time.time() + 90 * 86400)
    assert house.kinds(site.client_key)[-1] == "uninstalled"
    log = open_writer_of(house)
    back(log, 90)
    assert ClockWatch(log).problem().count("90 days") == 1
    log.close()
    refused = tenure(house.folder, house.settings, "erase", "--due", "--yes", status=2)
    assert "--despite-clock" in refused.stderr
    assert house.kinds(site.client_key)[-1] == "uninstalled"
    house.restart()
    ready = httpx.get(f"{house.service.internal_url}/readyz", trust_env=False).json()
    assert [notice for notice in ready["notices"] if "nobody is erased" in notice]
    assert tenure(house.folder, house.settings, "erase", "--due", "--yes", "--despite-clock").stdout.startswith(
        "erased"
    )
    assert house.kinds(site.client_key)[-1] == "erased"


def back(log: Log, days: int) -> None:
    """Makes everything in a log so many days older, as if the clock had jumped since."""
    guards = [(row[0], row[1]) for row in log.connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name = 'events_no_update'"
    )]  # fmt: skip
    log.connection.execute("DROP TRIGGER events_no_update")
    for table, column in (("events", "recorded_at"), ("security_contexts", "uninstalled_at")):
        log.connection.execute(
            f"UPDATE {table} SET {column} = strftime('%Y-%m-%dT%H:%M:%f000Z', {column}, '-{days} days') "
            f"WHERE {column} <> ''"
        )
    log.connection.execute(guards[0][1])


def test_due_by_hand_says_what_it_did(house: House) -> None:
    """`erase --due` with nothing due does nothing; without TENANT and --due it is wrong use."""
    house.installed()
    assert tenure(house.folder, house.settings, "erase", "--due").stdout == "nothing to erase\n"
    tenure(house.folder, house.settings, "erase", status=2)


def test_a_foreign_caller_learns_nothing_of_an_erasure(house: House) -> None:
    """An erased tenant's call is answered as that of a tenant never heard of."""
    site = house.installed()
    never = house.site()
    told(house.folder, house.settings, "erase", site.client_key, "--installed")
    one, other = house.page(site), house.page(never)
    assert one.status_code == other.status_code == 401
    assert _without_id(one) == _without_id(other)


def _without_id(answer: httpx.Response) -> dict[str, object]:
    body = dict(answer.json())
    body.pop("decision")
    return body


PERSON = "557058:0c1f-a-person"
AGENT = "Mozilla/5.0 (of one person)"


def visit(house: House, site: Site) -> httpx.Response:
    """A page load of one person, whose proxy passes the user agent on."""
    token = site.page_token("GET", "/page", account_id=PERSON)
    return house.forward_auth(
        {"X-Original-Method": "GET", "X-Original-URI": "/page", "Authorization": f"JWT {token}", "User-Agent": AGENT}
    )


def test_an_erasure_takes_its_people_out_of_the_decisions(tmp_path: Path) -> None:
    """With account ids stored, after uninstall and erasure no file holds the person's id, agent or address, and what
    was counted of the decisions before still holds.
    """
    with House(tmp_path, {"STORE_ACCOUNT_IDS": "on"}) as house:
        site, other = house.installed(), house.installed()
        assert visit(house, site).status_code == 200
        kept = visit(house, other)
        assert site.uninstall().status == 204
        assert visit(house, site).status_code == 401
        house.service.stop()
        hourly(house, time.time() + 7200)
        assert readable(tmp_path, PERSON.encode()) != []
        house.restart()
        told(tmp_path, house.settings, "erase", site.client_key)
        with house.decisions() as decisions:
            mine = [one.decision.facts for one in decisions.all() if site.client_key in vars_of(one.decision)]
            theirs = decisions.one(kept.headers["x-tenure-decision"])
        assert len(mine) > 3
        assert not [
            name
            for facts in mine
            for name in ("account", "address", "address_mark", "user_agent")
            if getattr(facts, name)
        ]
        assert theirs is not None
        assert (theirs.decision.facts.account, theirs.decision.facts.user_agent) == (PERSON, AGENT)
        assert told(tmp_path, house.settings, "log", "verify")["ok"]
        told(tmp_path, house.settings, "erase", other.client_key, "--installed")
        assert readable(tmp_path, PERSON.encode()) == []
        assert readable(tmp_path, AGENT.encode()) == []
        assert told(tmp_path, house.settings, "log", "verify")["ok"]


def vars_of(decision: Decision) -> tuple[str, str]:
    """Whose a decision is, proved or claimed."""
    return decision.client_key, decision.claimed_client_key


def hourly(house: House, now: float) -> None:
    """What the service does by itself, at a moment."""
    given = {name.lower(): value for name, value in house.settings.items() if value}
    settings = Settings.model_validate({**given, "database_url": str(house.folder / "events.db")})
    housekeeping = Housekeeping(settings, clock=lambda: now)
    housekeeping.tick()
    housekeeping.stop()


def test_a_half_done_erasure_takes_the_people_at_the_start(tmp_path: Path) -> None:
    """A key destroyed before anything else was done: the next start empties the decisions, also of a decision log put
    back from before; who returned since keeps what is new.
    """
    with House(tmp_path, {"STORE_ACCOUNT_IDS": "on"}) as house:
        site = house.installed()
        assert visit(house, site).status_code == 200
        assert site.uninstall().status == 204
        house.service.stop()
        ring = KeyRing(KeyFile(tmp_path / "keys.db"))
        ring.erase(APP_KEY, site.client_key, "someone", "somewhere", "crashed after this")
        ring.close()
        assert readable(tmp_path, PERSON.encode()) != []
        house.restart()
        assert readable(tmp_path, PERSON.encode()) == []
        back = house.site(client_key=site.client_key, base_url=site.base_url)
        assert (back.install().status, back.enable().status) == (204, 204)
        assert visit(house, back).status_code == 200
        house.restart()
        with house.decisions() as decisions:
            assert [one for one in decisions.all() if one.decision.facts.account == PERSON]
