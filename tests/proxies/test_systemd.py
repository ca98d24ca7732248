"""The how-to's systemd unit: systemd's own reading of it, and the service started as it says."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.house import House
from support.proxies import HOW_TO
from support.settings_files import settings_in
from tenure.store.vault import new_master_key

UNIT = HOW_TO / "systemd" / "tenure.service"
SETTINGS = settings_in(HOW_TO / "systemd" / "tenure.env")
PROGRAM = "/opt/tenure/.venv/bin/tenure"


def _entries() -> list[tuple[str, str]]:
    lines = [line.partition("=") for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in lines]


def _analyze(tmp_path: Path, *arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        sentence = "systemd-analyze is not here: the unit is only read (.ci/run installs it)"
        if os.environ.get("TENURE_REQUIRE_PROXIES") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    unit = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert PROGRAM in text
    unit.write_text(text.replace(PROGRAM, sys.executable))
    done = subprocess.run([program, *arguments, str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """`systemd-analyze verify` has not a word to say about the unit."""
    assert _analyze(tmp_path, "verify", "--man=no") == ""


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    """`systemd-analyze security` puts the unit below 1.5 of 10."""
    last = _analyze(tmp_path, "security", "--offline=yes").strip().splitlines()[-1]
    assert float(last.partition(":")[2].split()[0]) < 1.5


def test_the_unit_says_what_the_how_to_promises() -> None:
    """Also where systemd is not: one program, its settings file, no restart on wrong settings, no rights to gain."""
    entries = _entries()
    said = dict(entries)
    assert said["ExecStart"].startswith(f"{PROGRAM} serve ")
    assert said["EnvironmentFile"] == "/etc/tenure/tenure.env"
    assert said["RestartPreventExitStatus"].split() == ["2", "3"]
    assert (said["User"], said["NoNewPrivileges"], said["CapabilityBoundingSet"]) == ("tenure", "yes", "")
    once = [name for name, _ in entries if name != "SystemCallFilter"]
    assert len(once) == len(set(once))
    assert SETTINGS["DATABASE_URL"].startswith(said["WorkingDirectory"] + "/")
    assert said["WorkingDirectory"] == f"/var/lib/{said['StateDirectory']}"


def test_the_service_starts_with_the_units_arguments_and_settings(tmp_path: Path) -> None:
    """`serve` takes the unit's arguments and the file's settings, reads the key file, and lets a site in."""
    key = tmp_path / "master.key"
    key.touch(0o600)
    key.write_text(new_master_key())
    state = {"DATABASE_URL": str(tmp_path / "events.db"), "MASTER_KEY_FILE": str(key), "MASTER_KEY": ""}
    arguments = [
        word if word not in ("8000", "8001") else "0" for word in shlex.split(dict(_entries())["ExecStart"])[2:]
    ]
    with House(tmp_path, SETTINGS | state | {"UPSTREAM_URL": ""}, *arguments) as house:
        assert house.page(house.installed()).status_code == 200
