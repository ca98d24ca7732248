"""`tenure simulate` against a real service: what it sends, remembers and says, and when it exits 1."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from support.commands import Ran, ended, free_port, run
from support.house import APP_KEY, BASE_URL, House
from tenure.cli.simulate import Forgery
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.state import STATE_FILE, State


class Drive:
    """A service whose key host and upstream is the simulator, and a folder to drive it from."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        host = f"http://127.0.0.1:{self.port}"
        self.house = House(folder, {"INSTALL_KEYS_URL": host, "UPSTREAM_URL": host, **settings})
        self.folder = folder

    def simulate(self, command: str, *arguments: str, folder: Path | None = None, app_key: str = APP_KEY) -> Ran:
        """`tenure simulate …` in the service's own folder, unless another is given."""
        where = ("--url", BASE_URL, "--connect", self.house.url, "--key-port", str(self.port), "--app-key", app_key)
        return run(folder or self.folder, "simulate", command, *arguments, *where)

    def step(self, command: str, *arguments: str) -> tuple[int, str]:
        """Exit status, and what came back at last."""
        ran = self.simulate(command, *arguments, "--json")
        return ran.status, str(ran.rows[-1]["came"])


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A service driven by the simulator."""
    made = Drive(tmp_path_factory.mktemp("drive"))
    with made.house:
        yield made


def test_a_site_lives_its_life_by_single_commands(drive: Drive) -> None:
    """Each action is remembered for the next: the site's secret, its address and where it stands."""
    internal = ("--internal", drive.house.service.internal_url)
    assert drive.step("enable", "life") == (0, "401 tenant_unknown")
    assert drive.step("webhook", "life") == (0, "401 tenant_unknown")
    assert drive.step("install", "life") == (0, "204")
    assert drive.step("enable", "life") == (0, "204")
    assert drive.step("webhook", "life", "--count", "2", "--path", "/issues", "--query", "a=1&b=2") == (0, "200")
    assert drive.step("page", "life", *internal) == (0, "200")
    assert drive.step("page", "life", *internal, "--context") == (0, "200")
    assert drive.step("page", "life", "--through", "webhooks") == (0, "200")
    assert drive.step("rotate", "life") == (0, "204")
    assert drive.step("webhook", "life", "--old-secret") == (0, "425 secret_superseded")
    assert drive.step("rename", "life", "life-moved") == (0, "204")
    assert drive.step("disable", "life") == (0, "204")
    assert drive.step("uninstall", "life") == (0, "204")
    assert drive.step("page", "life", *internal) == (0, "401 tenant_uninstalled")
    assert drive.step("disable", "life") == (0, "204")
    assert drive.step("install", "life", "--query", "user_key=admin") == (0, "204")
    assert drive.step("webhook", "life") == (0, "200")
    kept = State(drive.folder / STATE_FILE).sites["life"]
    assert drive.house.kinds(kept.client_key) == [
        "installed", "enabled", "installed", "installed", "disabled", "uninstalled", "installed",
    ]  # fmt: skip
    assert drive.house.known(kept.client_key).base_url == "https://life-moved.atlassian.net"


def test_a_rotation_rolled_back_leaves_the_site_with_its_old_secret(drive: Drive) -> None:
    """After `rotate --rolled-back` the site signs as before, and the command expects what that brings."""
    assert drive.step("install", "rolled") == (0, "204")
    assert drive.step("rotate", "rolled", "--rolled-back") == (0, "204")
    assert drive.step("webhook", "rolled") == (0, "425 secret_superseded")
    assert drive.step("install", "rolled") == (0, "204")
    assert drive.step("webhook", "rolled") == (0, "200")


def test_a_site_import_is_another_tenant_at_the_same_address(drive: Drive) -> None:
    """`import-site` installs under a new client key and keeps the base URL."""
    assert drive.step("install", "moved") == (0, "204")
    before = State(drive.folder / STATE_FILE).sites["moved"]
    assert drive.step("import-site", "moved") == (0, "204")
    after = State(drive.folder / STATE_FILE).sites["moved"]
    assert (after.base_url, after.client_key != before.client_key) == (before.base_url, True)
    assert [drive.house.kinds(site.client_key) for site in (before, after)] == [["installed"], ["installed"]]


def test_several_sites_at_once(drive: Drive) -> None:
    """An action takes many sites, does them at the same time and tells of each in their order."""
    names = [f"many{number}" for number in range(6)]
    ran = drive.simulate("install", *names, "--json")
    assert (ran.status, [row["site"] for row in ran.rows]) == (0, names)
    assert {row["came"] for row in ran.rows} == {"204"}
    assert set(names) <= set(State(drive.folder / STATE_FILE).sites)


@pytest.mark.parametrize("what", list(Forgery))
def test_a_forged_call_is_refused(drive: Drive, what: Forgery) -> None:
    """Whatever is forged comes back 401, of a site that has installed and of one that has not, and that is exit 0."""
    drive.simulate("install", "victim")
    ran = drive.simulate("forge", what.value, "victim", f"unknown-to-all-{what.value}", "--json")
    assert ran.status == 0, ran.out
    forged = [row for row in ran.rows if not row["what"].startswith("installed, honest")]
    assert {row["status"] for row in forged} == {401}


def test_a_forged_call_that_is_believed_is_exit_1(tmp_path: Path) -> None:
    """Where the service believes a forged first install (here by a setting), the command says so and exits 1."""
    drive = Drive(tmp_path, LEGACY_INSTALL="on")
    with drive.house:
        ran = drive.simulate("forge", "unsigned", "fresh")
        story = drive.simulate("story", "forged-first-install")
    assert (ran.status, story.status) == (1, 1)
    assert "✗ fresh: installed without a token" in ran.out
    assert "✗ installed without a token, tenant unknown" in story.out


def test_stories_by_the_command(drive: Drive) -> None:
    """`story` plays what is named, tells each step and exits 0 when all came back as it should."""
    ran = drive.simulate("story", "rotation", "simultaneous-first-installs")
    assert ran.status == 0, ran.out
    assert "✓ webhook by the old secret" in ran.out
    assert "2 of 2 stories as they should be" in ran.out
    rows = drive.simulate("story", "late-disabled", "--json").rows
    assert {row["site"] for row in rows} == {"late-disabled"}
    assert rows[-1]["came"] == "installed, enabled, uninstalled"


def test_a_wrong_answer_is_exit_1_with_a_next_step(drive: Drive) -> None:
    """An answer that is not what it should be is told with what to do about it, by actions and by stories."""
    ran = drive.simulate("install", "other", app_key="com.example.other")
    assert ran.status == 1
    assert "400 app_mismatch" in ran.out
    assert "--app-key" in ran.out
    assert drive.simulate("story", "first-install", app_key="com.example.other").status == 1


def test_a_page_without_a_proxy_is_told(tmp_path: Path) -> None:
    """Where FORWARD_AUTH names no proxy, or the internal listener is elsewhere, the command says which."""
    drive = Drive(tmp_path, FORWARD_AUTH="")
    with drive.house:
        drive.simulate("install", "acme")
        unset = drive.simulate("page", "acme", "--internal", drive.house.service.internal_url)
        nobody = f"http://127.0.0.1:{free_port()}"
        gone = drive.simulate("page", "acme", "--internal", nobody)
    assert (unset.status, "TENURE_FORWARD_AUTH=nginx" in unset.out) == (1, True)
    assert (gone.status, nobody in gone.err) == (1, True)


def test_records_of_another_service_are_not_believed(drive: Drive, tmp_path: Path) -> None:
    """A store in the working directory that is not the driven service's says nothing of it."""
    with House(tmp_path) as other:
        other.installed()
    rows = drive.simulate("story", "second-install", "--json", folder=tmp_path).rows
    assert [row["right"] for row in rows] == [True] * len(rows)
    assert rows[-1]["came"] == "not readable from here"


@pytest.mark.parametrize("known", ["another host", "no host"])
def test_a_service_that_asks_another_key_host_is_told(tmp_path: Path, known: str) -> None:
    """If INSTALL_KEYS_URL is not the simulator, the install fails and the next step names the setting and its value."""
    with KeyHost() as other:
        address = other.url if known == "another host" else f"http://127.0.0.1:{free_port()}"
        drive = Drive(tmp_path, INSTALL_KEYS_URL=address)
        with drive.house:
            ran = drive.simulate("install", "acme")
            elsewhere = drive.simulate("install", "acme", folder=_empty(tmp_path))
    expected = "401 kid_unknown" if known == "another host" else "503 key_unavailable"
    assert (ran.status, elsewhere.status) == (1, 1)
    assert expected in ran.out
    for told in (ran.out, elsewhere.out):
        assert f"TENURE_INSTALL_KEYS_URL=http://127.0.0.1:{drive.port}" in told


def _empty(folder: Path) -> Path:
    made = folder / "elsewhere"
    made.mkdir()
    return made


def test_mistakes_of_use_say_what_to_do(tmp_path: Path) -> None:
    """A service that is not there, a taken port, an open state file, an unknown story: one line each, never a trace."""
    nobody = ("--url", f"http://127.0.0.1:{free_port()}", "--key-port", str(free_port()))
    gone = run(tmp_path, "simulate", "install", "acme", *nobody)
    assert (gone.status, gone.out) == (1, "")
    assert "tenure serve" in gone.err
    assert run(tmp_path, "simulate", "install", "acme", "--url", "nonsense", *nobody[2:]).status == 2
    with KeyHost() as other:
        taken = run(tmp_path, "simulate", "install", "acme", "--key-port", str(other.port))
    assert (taken.status, "--key-port" in taken.err) == (2, True)
    story = run(tmp_path, "simulate", "story", "rotatoin", *nobody)
    assert (story.status, "rotation" in story.err) == (2, True)
    assert run(tmp_path, "simulate", "story", *nobody).status == 2
    (tmp_path / STATE_FILE).chmod(0o644)
    opened = run(tmp_path, "simulate", "sites")
    assert (opened.status, "chmod 600" in opened.err) == (2, True)
    (tmp_path / STATE_FILE).chmod(0o600)
    (tmp_path / STATE_FILE).write_text("{}")
    assert "no state of the simulator" in run(tmp_path, "simulate", "sites").err


def test_the_state_file_is_private_and_keeps_what_others_wrote(tmp_path: Path) -> None:
    """The file is 0600 from its first byte, and two commands at once lose nothing of each other."""
    path = tmp_path / STATE_FILE
    first, second = State(path), State(path)
    assert path.stat().st_mode & 0o777 == 0o600
    for state, name in ((first, "a"), (second, "b")):
        state.site(name)
        state.remember(name)
    assert set(State(path).sites) == {"a", "b"}
    assert State(path).key.kid == first.key.kid
    rows = run(tmp_path, "simulate", "sites", "--json").rows
    assert {row["site"]: row["standing"] for row in rows} == {"a": "new", "b": "new"}
    assert "secret" not in run(tmp_path, "simulate", "sites").out


def test_load_counts_what_came_back(drive: Drive) -> None:
    """`load` sends at the rate asked for, from as many sites, and prints counts and percentiles."""
    ran = drive.simulate("load", "--sites", "3", "--rate", "60", "--seconds", "1", "--json")
    assert ran.status == 0, ran.out
    found = ran.rows[0]
    assert (found["sent"], found["accepted"], found["refused"], found["failed"]) == (60, 60, 0, 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert drive.simulate("load", "--rate", "20", "--seconds", "0.5", "--call", "installed", "--sites", "2").status == 0


def test_no_upstream_is_told_with_the_setting_to_set(tmp_path: Path) -> None:
    """Webhooks that are 404 for want of an upstream are counted as refused; `story --all` says it once, up front."""
    drive = Drive(tmp_path, UPSTREAM_URL="")
    with drive.house:
        ran = drive.simulate("load", "--sites", "1", "--rate", "10", "--seconds", "0.5", "--json")
        one = drive.simulate("webhook", "acme", folder=drive.folder) if drive.simulate("install", "acme") else None
        every = drive.simulate("story", "--all")
    assert (every.status, every.out) == (1, "")
    assert every.err.count("TENURE_UPSTREAM_URL") == 1
    assert (ran.status, ran.rows[0]["statuses"]) == (1, {"404": 5})
    assert "TENURE_UPSTREAM_URL" in ran.err
    assert one is not None
    assert (one.status, "TENURE_UPSTREAM_URL" in one.out) == (1, True)


def test_the_key_host_of_its_own_serves_and_ends(drive: Drive, tmp_path: Path) -> None:
    """`simulate keys` publishes the key, takes webhooks, serves the actions beside it and ends on Ctrl-C."""
    port = free_port()
    command = [sys.executable, "-m", "tenure", "simulate", "keys", "--key-port", str(port)]
    with ended(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == (
            f"The key host is http://127.0.0.1:{port}. For the service, beside its own settings:\n"
        )
        key = State(tmp_path / STATE_FILE).key
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/{key.kid}", trust_env=False, timeout=30).content == key.public_pem(key.kid)
        assert httpx.get(f"{url}/other", trust_env=False, timeout=30).status_code == 404
        assert httpx.post(f"{url}/webhooks", trust_env=False, timeout=30).status_code == 200
        beside = run(tmp_path, "simulate", "install", "acme", "--url", BASE_URL, "--connect", drive.house.url,
                     "--key-port", str(port), "--app-key", APP_KEY)  # fmt: skip
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        told = process.stdout.read()
    assert beside.status == 1  # the driven service asks another key host
    assert "as the key host: GET /other: 404" in told
    assert "as the app's receiver: POST /webhooks" in told


def test_stories_are_listed(tmp_path: Path) -> None:
    """`stories` prints each with what it teaches, for people and for programs."""
    rows = run(tmp_path, "simulate", "stories", "--json").rows
    assert {"story": "rotation"}.items() <= next(row for row in rows if row["story"] == "rotation").items()
    assert orjson.dumps(rows)
    assert run(tmp_path, "simulate", "stories").out.startswith("story")
