"""What a command says of settings that are missing or wrong."""

from pathlib import Path

import pytest

from support.command import tenure
from tenure.settings import KeySettings, SettingsError, load

USUAL = {"APP_KEY": "com.example.app", "BASE_URL": "https://app.example.com"}


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    """A service without any setting names the three that it needs in one line, and a command that looks at them all."""
    line = tenure(tmp_path, {}, "serve", status=2).stderr
    assert line.count("\n") == 1
    for name in ("TENURE_APP_KEY: is required", "TENURE_BASE_URL: is required", "TENURE_MASTER_KEY or"):
        assert line.count(name) == 1
    assert "tenure doctor" in line


def test_what_is_wrong_is_told_beside_what_is_missing(tmp_path: Path) -> None:
    """Each wrong setting is named once, and none that is right."""
    given = {**USUAL, "BASE_URL": "http://app.example.com", "DECISIONS_DAYS": "0", "MASTER_KEY": "short"}
    line = tenure(tmp_path, given, "serve", status=2).stderr
    for name in ("TENURE_BASE_URL", "TENURE_DECISIONS_DAYS", "TENURE_MASTER_KEY: 32 bytes"):
        assert line.count(name) == 1
    assert "TENURE_APP_KEY" not in line


def test_a_setting_wrong_for_the_store_too_is_told_once(tmp_path: Path) -> None:
    """A setting that both kinds of settings have is not told twice."""
    line = tenure(tmp_path, {**USUAL, "DATABASE_URL": "mysql://db"}, "serve", status=2).stderr
    assert line.count("TENURE_DATABASE_URL") == 1


def test_no_value_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line names settings and rules; what was given, which may be a secret, is not in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENURE_APP_KEY", "a secret/put in the wrong place")
    with pytest.raises(SettingsError) as told:
        load(KeySettings)
    assert "secret/" not in str(told.value)
