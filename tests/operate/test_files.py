"""Files that are written whole or not at all, and never somewhere else."""

import os
from pathlib import Path

import pytest

from tenure.housekeeping import write_head
from tenure.settings import Settings, SettingsError, load
from tenure.store.files import replace, write_new
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster, new_master_key, write_master_key
from tenure.store.signed_head import HeadSigner
from tenure.store.sqlite import SqliteLog, open_log


@pytest.fixture
def note(tmp_path: Path) -> str:
    """A signed head."""
    folder = tmp_path / "store"
    folder.mkdir()
    open_log(folder / "events.db")
    signer, log = (
        HeadSigner(KeyFile(folder / "keys.db"), GivenMaster(bytes(32)), "app"),
        SqliteLog(folder / "events.db"),
    )
    text = signer.sign(log).note
    signer.close()
    log.close()
    return text


def test_nothing_is_written_through_a_link(tmp_path: Path, note: str) -> None:
    """A link at the target, or at the name it is written under first, leads nowhere: what it points at stays."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    head = tmp_path / "head.txt"
    (tmp_path / ".head.txt.partial").symlink_to(victim)
    write_head(head, note)
    assert (head.read_text(), head.is_symlink(), oct(head.stat().st_mode & 0o777)) == (note, False, "0o600")
    (tmp_path / "link").symlink_to(victim)
    replace(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    (tmp_path / "key").symlink_to(tmp_path / "nowhere")
    for write in (write_master_key, lambda path: write_new(path, [b"x"])):
        with pytest.raises(FileExistsError):
            write(tmp_path / "key")
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.txt", "key", "link", "store", "victim"]


def test_a_head_is_written_over_a_head_only(tmp_path: Path, note: str) -> None:
    """What is no signed head stays as it is; an older head gives way."""
    head = tmp_path / "head.txt"
    write_head(head, note)
    write_head(head, note)
    for content in ("precious", "", "x" * 100_000):
        head.write_text(content)
        with pytest.raises(OSError, match="not written over"):
            write_head(head, note)
        assert head.read_text() == content


@pytest.mark.parametrize(
    "name",
    ["keys.db", "events.db", "./decisions.db", "events.db-wal", "keys.db-shm", "events.db-lease", "master.key", "link",
     "hard", "notes.txt", "folder"],
)  # fmt: skip
def test_the_heads_file_is_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """HEAD_FILE may not name a file of the store, its sidecars, the key, or anything else that is no head."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "master.key").write_text(new_master_key())
    (tmp_path / "master.key").chmod(0o600)
    (tmp_path / "keys.db").touch()
    (tmp_path / "link").symlink_to("events.db")
    os.link(tmp_path / "keys.db", tmp_path / "hard")
    (tmp_path / "notes.txt").write_text("not a head")
    (tmp_path / "folder").mkdir()
    for variable, value in (
        ("APP_KEY", "a"), ("BASE_URL", "https://a.example.com"), ("MASTER_KEY_FILE", "master.key"), ("HEAD_FILE", name)
    ):  # fmt: skip
        monkeypatch.setenv(f"TENURE_{variable}", value)
    with pytest.raises(SettingsError, match="TENURE_HEAD_FILE"):
        load(Settings)
    monkeypatch.setenv("TENURE_HEAD_FILE", "head.txt")
    load(Settings)
