"""A file kept beside the store for the day the disk is full: a start gives it up and has room to open what is there.

SQLite needs some for itself (`-shm`, the first pages of a WAL), also to read only, and a start without room could
record nothing. The file is laid at a start while twice as much stays free, and holds nothing. A service that runs into
a full disk leaves it alone: the next minute's decisions would use it up.
"""

import os
import shutil
from pathlib import Path

import structlog

from tenure.settings import Settings, StoreSettings

MB = 1024 * 1024
NEARLY_NOTHING = MB

log = structlog.get_logger()


def ballast_of(settings: StoreSettings) -> Path:
    """Where it lies."""
    return Path(f"{settings.log_path}-ballast")


def missing(settings: Settings) -> str:
    """What to say of one that should be there and is not; empty if all is well."""
    if not settings.ballast_mb or ballast_of(settings).exists():
        return ""
    return (
        f"{ballast_of(settings)} is not there: should the disk be full, nothing may open; make room, then restart "
        "(BALLAST_MB)"
    )


def lay(settings: Settings) -> None:
    """Reserves the file's bytes, if it is not there and there is room."""
    path, size = ballast_of(settings), settings.ballast_mb * MB
    if not size or os.path.lexists(path) or shutil.disk_usage(path.absolute().parent).free < 3 * size:
        return
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)
    except OSError as error:
        path.unlink(missing_ok=True)
        log.warning("no ballast could be laid", error=error.strerror)


def give_up_if_full(settings: Settings) -> None:
    """Before anything is opened: where nothing is free, what the ballast holds becomes free."""
    path = ballast_of(settings)
    if path.is_file() and shutil.disk_usage(path.absolute().parent).free < NEARLY_NOTHING:
        freed = path.stat().st_size
        path.unlink()
        log.error("the disk is full: ballast given up", freed_bytes=freed, next="make room, then restart")
