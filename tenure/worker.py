"""What each server process runs."""

import gc
import os
import threading
import time

from tenure import logs
from tenure.api.app import App
from tenure.settings import Settings, load
from tenure.wiring import build

PARENT = "TENURE_PARENT_PID"


def application() -> App:
    """The application, with settings from the environment."""
    logs.configure()
    _end_with_parent()
    settings = load(Settings)
    assert isinstance(settings, Settings)  # noqa: S101 (for the type checker)
    built = build(settings)
    # what is there now stays: a full collection would go through all of it while every call waits, 20 to 50 ms
    gc.freeze()
    return built


def _end_with_parent() -> None:
    # a worker whose parent was killed would go on with nobody to end it
    if os.environ.get(PARENT, str(os.getpid())) != str(os.getpid()):
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
