"""What operators do becomes an event in the same chain, in the operators' own stream."""

import getpass
import socket
from typing import Any

from tenure.domain.events import OPERATOR, OPERATORS, Draft, Event, Operated
from tenure.domain.ports import Append, Appended
from tenure.domain.refusals import OursError, Reason
from tenure.settings import SettingsError
from tenure.store.sqlite import SqliteLog

ATTEMPTS = 50


def who() -> tuple[str, str]:
    """The account this process runs under, and its host."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = "unknown"
    return account, socket.gethostname()


def app_key_of(log: SqliteLog, configured: str | None) -> str:
    """The app a command works for: the one configured, else that of the log's last event; empty if there is none."""
    row = log.connection.execute("SELECT app_key FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return configured or (row[0] if row else "")


def note(log: SqliteLog, app_key: str, what: str, **particulars: Any) -> Event:
    """Appends `operator.<what>`; fsynced when it returns. SettingsError without an app key (`app_key_of` gives it),
    OursError if the stream does not hold still.
    """
    if not app_key:
        raise SettingsError("TENURE_APP_KEY: is required while the log is empty (what serve has there)")
    by, origin = who()
    draft = Draft(OPERATOR + what, {"kind": "operator"}, Operated(by, origin, particulars))
    for _ in range(ATTEMPTS):
        version = log.version(app_key, OPERATORS)
        result = log.append([Append(app_key, OPERATORS, version, draft, None)])[0]
        if isinstance(result, Appended) and result.event is not None:
            return result.event
    raise OursError(Reason.STORE_UNAVAILABLE, "the operators' stream does not hold still")
