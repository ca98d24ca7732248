"""`tenure doctor` finds what is wrong with an installation, says what to do, and changes nothing."""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pysqlite3
import pytest

from support.commands import Ran, free_port, run
from support.house import APP_KEY, BASE_URL, House
from tenure import doctor
from tenure.doctor import Installation, Level
from tenure.settings import Settings, StoreSettings
from tenure.simulator.keyhost import Answer, KeyHost
from tenure.store.vault import new_master_key
from tenure.trust import widened


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that a few sites have installed the app at."""
    with House(tmp_path_factory.mktemp("played")) as house:
        for _ in range(3):
            house.installed().webhook()
        yield house


@pytest.fixture
def store(played: House, tmp_path: Path) -> Path:
    """A folder with that service's settings and a copy of its store, for a test to spoil."""
    for name in ("events", "keys", "decisions"):
        source = pysqlite3.connect(played.folder / f"{name}.db")
        source.execute("VACUUM INTO ?", [str(tmp_path / f"{name}.db")])
        source.close()
        _execute(tmp_path / f"{name}.db", "PRAGMA journal_mode=WAL")
        (tmp_path / f"{name}.db").chmod(0o600)
    return tmp_path


def _doctor(folder: Path, settings: dict[str, str], *arguments: str) -> Ran:
    given = {name: value for name, value in settings.items() if value}
    return run(folder, "doctor", "--json", *arguments, settings=given)


def _bad(ran: Ran) -> list[tuple[str, str]]:
    return [(row["name"], row["sentence"]) for row in ran.rows if row["level"] == "bad"]


def test_a_sound_installation_is_told_so(played: House) -> None:
    """Of a running service in order nothing is bad, and what widens trust is named."""
    ran = _doctor(played.folder, played.settings, "--internal", played.service.internal_url, "--url", played.url)
    assert (ran.status, _bad(ran)) == (0, [])
    assert {row["name"] for row in ran.rows if row["level"] == "warn"} == {"trust"}
    assert {"sqlite", "settings", "permissions", "master key", "log", "disk", "key host", "clock", "base URL", "ready",
            "refusals"} <= {row["name"] for row in ran.rows if row["level"] == "ok"}  # fmt: skip
    assert all(row["next"] for row in ran.rows if row["level"] != "ok")


def test_nothing_is_changed(store: Path, played: House) -> None:
    """The doctor leaves the store's files byte for byte as they are, and makes none where there is none."""

    def digests() -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(store.glob("*.db"))}

    before = digests()
    _doctor(store, played.settings)
    assert digests() == before
    fresh = store / "fresh"
    fresh.mkdir()
    ran = _doctor(fresh, played.settings)
    assert (ran.status, list(fresh.iterdir())) == (0, [])


def _open_to_others(folder: Path) -> None:
    (folder / "keys.db").chmod(0o644)


def _no_triggers(folder: Path) -> None:
    _execute(folder / "events.db", "DROP TRIGGER events_no_update")


def _wrong_head(folder: Path) -> None:
    _execute(folder / "events.db", "UPDATE log_head SET position = position + 1")


def _keys_gone(folder: Path) -> None:
    (folder / "keys.db").unlink()


def _keys_of_another(folder: Path) -> None:
    _execute(folder / "keys.db", "DELETE FROM data_keys WHERE purpose = 'tenant'")


def _no_log(folder: Path) -> None:
    (folder / "events.db").write_bytes(b"not a database, but long enough to be taken for one" * 20)


def _execute(path: Path, statement: str) -> None:
    database = pysqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("spoil", "name", "said"),
    [
        (_open_to_others, "permissions", "chmod 600"),
        (_no_triggers, "log", "events_no_update"),
        (_wrong_head, "log", "the last event is"),
        (_keys_gone, "master key", "is gone"),
        (_keys_of_another, "master key", "lacks the keys"),
        (_no_log, "log", "could not be looked at"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_spoilt_store_is_found(
    store: Path, played: House, spoil: Callable[[Path], None], name: str, said: str
) -> None:
    """Each way of spoiling a store is found, named and exit 1."""
    assert _bad(_doctor(store, played.settings)) == []
    spoil(store)
    ran = _doctor(store, played.settings)
    assert ran.status == 1
    assert any(found == name and said in sentence for found, sentence in _bad(ran)), _bad(ran)


def test_another_master_key_is_found(store: Path, played: House) -> None:
    """A master key that is not the tenants' is told from a malformed one, from a missing one and from an open file."""
    assert "not the one" in _bad(_doctor(store, {**played.settings, "MASTER_KEY": new_master_key()}))[0][1]
    assert "32 bytes" in _bad(_doctor(store, {**played.settings, "MASTER_KEY": "short"}))[0][1]
    assert "set exactly one" in _bad(_doctor(store, {**played.settings, "MASTER_KEY": ""}))[0][1]
    (store / "master.key").write_text(played.settings["MASTER_KEY"])
    (store / "master.key").chmod(0o640)
    opened = _doctor(store, {**played.settings, "MASTER_KEY": "", "MASTER_KEY_FILE": "master.key"})
    assert "chmod 600 master.key" in _bad(opened)[0][1]


def test_a_wrong_setting_is_a_finding_among_others(store: Path, played: House) -> None:
    """A setting that `serve` would refuse is named, and the rest is looked at all the same."""
    ran = _doctor(store, {**played.settings, "BASE_URL": "http://app.example.com"})
    assert ran.status == 1
    assert _bad(ran) == [("settings", "TENURE_BASE_URL: https (http only on loopback)")]
    assert {"log", "master key", "disk"} <= {row["name"] for row in ran.rows}


def test_an_unsound_sqlite_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A library that loses commits is bad, whatever else is."""
    monkeypatch.setattr(pysqlite3, "sqlite_version_info", (3, 45, 1))
    found = list(doctor.check_sqlite(Installation(StoreSettings(), None, None)))
    assert [finding.level for finding in found] == [Level.BAD]


@pytest.mark.parametrize(("free", "level"), [(50 << 20, Level.BAD), (500 << 20, Level.WARN), (5 << 30, Level.OK)])
def test_a_disk_that_fills_up_is_found(monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    """Little space is a warning, almost none is bad."""
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type(usage)(usage.total, usage.used, free))
    assert [finding.level for finding in doctor.check_disk(Installation(StoreSettings(), None, None))] == [level]


@pytest.mark.parametrize(("off", "level"), [(0, "ok"), (12, "warn"), (-90, "bad"), (90, "bad")])
def test_a_clock_that_is_off_is_found(tmp_path: Path, off: int, level: str) -> None:
    """The clock is held against the Date of the key host: past the tokens' leeway is bad."""
    with KeyHost() as host:
        headers = (("Date", formatdate(time.time() + off, usegmt=True)),)
        host.behave("tenure-doctor", Answer(404, b"", headers))
        settings = _settings(INSTALL_KEYS_URL=host.url)
        ran = _doctor(tmp_path, settings)
    clock = next(row for row in ran.rows if row["name"] == "clock")
    assert (clock["level"], ran.status) == (level, 1 if level == "bad" else 0), clock


def test_a_key_host_that_is_none_is_found(tmp_path: Path) -> None:
    """A key host that is not there, or has an answer other than 404 to a key nobody has, is bad; not with --offline."""
    gone = _settings(INSTALL_KEYS_URL=f"http://127.0.0.1:{free_port()}")
    assert [name for name, _ in _bad(_doctor(tmp_path, gone))] == ["key host"]
    assert _doctor(tmp_path, gone, "--offline").status == 0
    with KeyHost() as portal:
        portal.behave("tenure-doctor", Answer(302, b"", (("Location", "https://login.example"),)))
        ran = _doctor(tmp_path, _settings(INSTALL_KEYS_URL=portal.url))
    assert [(name, "302" in said) for name, said in _bad(ran)] == [("key host", True)]


def test_a_base_url_that_leads_elsewhere_is_found(played: House, tmp_path: Path) -> None:
    """A path the proxy strips, another server and no server at all are told apart."""
    prefixed = _doctor(played.folder, played.settings, "--url", f"{played.url}/jira")
    assert ["/jira" in said for name, said in _bad(prefixed) if name == "base URL"] == [True, True]
    with KeyHost() as other:
        elsewhere = _doctor(played.folder, played.settings, "--url", other.url)
    assert any("answers 404" in said for _, said in _bad(elsewhere))
    nobody = f"http://127.0.0.1:{free_port()}"
    ran = _doctor(played.folder, played.settings, "--url", nobody, "--internal", nobody)
    assert [name for name, _ in _bad(ran)] == ["base URL", "ready"]


def test_refusals_point_to_the_setting(tmp_path: Path) -> None:
    """What honest calls were refused for lately names the setting that is likely wrong."""
    with House(tmp_path) as house:
        site = house.site()
        assert site.install(aud="https://other.example").status == 401
        assert site.install(qsh="0" * 64).status == 401
        assert site.install(body_extra={"baseUrl": "https://acme.example"}).status == 400
        ran = _doctor(tmp_path, house.settings)
    found = {row["sentence"].split(": ")[1].split(",")[0]: row["next"] for row in ran.rows if row["name"] == "refusals"}
    assert set(found) == {"audience_mismatch", "qsh_mismatch", "site_not_allowed"}
    assert "BASE_URL" in found["audience_mismatch"]
    assert ran.status == 0


def test_people_get_marks_and_a_sum(played: House) -> None:
    """Without --json each finding is a line with a mark, its next step below it, and the count at the end."""
    given = {name: value for name, value in played.settings.items() if value}
    ran = run(played.folder, "doctor", settings=given)
    assert ran.status == 0
    assert "✓ sqlite" in ran.out
    assert "! trust" in ran.out
    assert "→ Take it back unless you mean it." in ran.out
    assert ran.out.splitlines()[-1].startswith("0 bad, ")


def _settings(**more: str) -> dict[str, str]:
    return {"APP_KEY": APP_KEY, "BASE_URL": BASE_URL, "MASTER_KEY": new_master_key(), **more}


WIDENING = {
    "LEGACY_INSTALL": "on",
    "EXTRA_BASE_URLS": "https://old.example.com",
    "INSTALL_KEYS_URL": "https://keys.example.com",
    "ALLOWED_SITES": ".atlassian.net,.example.com",
    "STORE_ACCOUNT_IDS": "on",
    "TRUSTED_PROXIES": "0.0.0.0/0",
    "BASE_URL": "http://127.0.0.1:8000",
}


@pytest.mark.parametrize("name", WIDENING)
def test_a_setting_that_widens_trust_is_named(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each setting that trusts more than the default is one sentence that names it; the defaults are none."""
    monkeypatch.chdir(tmp_path)
    for setting, value in _settings().items():
        monkeypatch.setenv(f"TENURE_{setting}", value)
    assert widened(Settings()) == []
    monkeypatch.setenv(f"TENURE_{name}", WIDENING[name])
    found = widened(Settings())
    assert [sentence.split()[0] for sentence in found] == [name]


@pytest.mark.parametrize(("host", "many"), [("127.0.0.1", 0), ("::1", 0), ("0.0.0.0", 1), ("10.0.0.5", 1)])
def test_an_internal_listener_in_the_open_is_named(
    host: str, many: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An internal listener that is not on the loopback widens trust; narrower sites do not."""
    monkeypatch.chdir(tmp_path)
    for setting, value in _settings(ALLOWED_SITES="acme.atlassian.net").items():
        monkeypatch.setenv(f"TENURE_{setting}", value)
    assert len(widened(Settings(), host)) == many
