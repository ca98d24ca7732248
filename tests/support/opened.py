"""A house's files and what lies in them, looked at from outside the service."""

from pathlib import Path

from support.house import House
from tenure.opening import open_writer
from tenure.store.masters import from_text
from tenure.store.vault import Vault
from tenure.stores import Log


def readable(folder: Path, text: bytes) -> list[str]:
    """The files of a folder that hold the text."""
    return [path.name for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def opener(house: House) -> Vault:
    """The vault as whoever has the master key opens it."""
    return Vault(house.key_database(), from_text(house.settings["MASTER_KEY"]))


def open_writer_of(house: House) -> Log:
    """The house's log, to append to."""
    return open_writer(house.store)
