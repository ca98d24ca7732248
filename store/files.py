"""How a file is written that must be whole or not there: never through a link, 0600 from its first byte, fsynced.

What is written goes to a new file beside the target (`.name.partial`), opened with O_EXCL and O_NOFOLLOW after whatever
stood at that name was unlinked, so that nobody who can write to the folder has it written elsewhere. Then it gets the
target's name at once.
"""

import os
from collections.abc import Iterable
from pathlib import Path

_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY


def write_new(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a new file; FileExistsError if there is one, or a link. What was written stays if a piece fails."""
    with os.fdopen(os.open(path, _NEW, 0o600), "wb") as out:
        out.writelines(pieces)
        out.flush()
        os.fsync(out.fileno())
    sync(path.absolute().parent)


def place_new(path: Path, raw: bytes) -> None:
    """Writes a new file whole or not at all, also when killed here; FileExistsError if there is one, or a link."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write_new(partial, [raw])
        os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.absolute().parent)


def partial_of(path: Path) -> Path:
    """The name beside a target under which it is written; nothing stands there when this returns."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    return partial


def replace(path: Path, raw: bytes) -> None:
    """Puts new content in place of a file's, at once: whoever reads has the old one or the new one whole."""
    partial = partial_of(path)
    try:
        write_new(partial, [raw])
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.absolute().parent)


def sync(path: Path) -> None:
    """Fsyncs a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
