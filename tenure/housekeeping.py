"""What the service does by itself, in one worker of all: forget what is due, vouch for decisions, sign the head.

- Every minute: erasures that were left half done are completed.
- At the start and every day: tenants uninstalled longer than ERASE_AFTER_DAYS are erased.
- Every hour: an `operator.decisions` event with count and digest of the decisions since the last one.
- Every HEAD_EVERY_MINUTES: the head is signed, written to HEAD_FILE and posted to HEAD_URL where those are set.

Which worker: whoever holds the lock on a file beside the log; the system frees it when its holder dies.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import structlog

from tenure import operators
from tenure.domain.events import OPERATOR, OPERATORS, Operated
from tenure.forgetting import due, forget, reapply
from tenure.settings import Settings
from tenure.store.decision_digest import DecisionDigests, Span, id_at
from tenure.store.keyring import KeyRing
from tenure.store.signed_head import HeadRefusedError, HeadSigner
from tenure.stores import Log, log_of

TICK_S = 60.0
DAY_S = 24 * 3600.0
HOUR_S = 3600.0
SETTLED_S = 60.0  # a call is answered, and its decision stored, well within this
DECISIONS = "decisions"
ERASED_AT_ONCE = 100

log = structlog.get_logger()


class Lease:
    """The lock on a file, held by at most one process."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Whether this process holds it now."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Frees it."""
        os.close(self._handle)


class Housekeeping:
    """A thread with connections of its own. `clock` gives Unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._lease = Lease(Path(f"{settings.log_path}-lease"))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._log = log_of(settings, read_only=False)
        self._ring = KeyRing(settings.beside("keys"))
        self._signer = HeadSigner(settings.beside("keys"), settings.master(), settings.app_key)
        self._digests = DecisionDigests(settings.beside("decisions"))
        self._last_mark = 0
        self._done: dict[str, float] = {}

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the step under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._lease.close()
        for part in (self._log, self._ring, self._signer, self._digests):
            part.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._lease.take():
                self.tick()
            self._stop.wait(TICK_S)

    def tick(self) -> None:
        """Does what is due now; what fails is logged and tried again when it is due again."""
        self._step("complete erasures", 0, self._complete)
        self._step("erase", DAY_S, self._erase)
        self._step("count decisions", 0, self._count)
        self._step("sign head", self._settings.head_every_minutes * 60.0, self._sign)

    def _step(self, name: str, every: float, step: Callable[[], None]) -> None:
        now = self._clock()
        if self._stop.is_set() or (every and now < self._done.get(name, 0.0) + every):
            return
        self._done[name] = now
        try:
            step()
        except HeadRefusedError as error:
            log.error("head not signed", why=str(error), next="tenure log verify")
        except Exception as error:
            log.error("housekeeping failed", step=name, error=type(error).__name__)

    def _complete(self) -> None:
        found, self._last_mark = reapply(self._log, self._ring, self._last_mark)
        for one in found:
            log.warning("erasure completed", client_key=one.client_key, position=one.position)

    def _erase(self) -> None:
        days = self._settings.erase_after_days
        _, origin = operators.who()
        why = f"uninstalled for more than {days} days"
        chosen = due(self._log, days, self._settings.app_key)
        while chosen and not self._stop.is_set():
            some, chosen = chosen[:ERASED_AT_ONCE], chosen[ERASED_AT_ONCE:]
            for one in forget(self._log, self._ring, some, by="tenure", origin=origin, why=why):
                log.info("erased", client_key=one.client_key, position=one.position, why=why)

    def _count(self) -> None:
        now, last = self._clock(), last_count(self._log)
        after = last.until if last else ""
        if last and id_at(now - HOUR_S - SETTLED_S) < after:
            return
        span = self._digests.span(after, id_at(now - SETTLED_S))
        if span.count:
            operators.note(self._log, self._settings.app_key, DECISIONS, **asdict(span))

    def _sign(self) -> None:
        signed = self._signer.sign(self._log)
        if self._settings.head_file is not None:
            write_head(self._settings.head_file, signed.note)
        if self._settings.head_url is not None:
            answer = httpx.post(
                self._settings.head_url, content=signed.note, headers={"content-type": "text/plain; charset=utf-8"},
                timeout=10, trust_env=False,
            )  # fmt: skip
            if not answer.is_success:
                log.error("head not taken", status=answer.status_code)


def span_of(particulars: dict[str, Any]) -> Span:
    """The span that an `operator.decisions` event speaks of."""
    given = {**particulars, "columns": tuple(particulars["columns"])}
    return Span(**{name: given[name] for name in Span.__dataclass_fields__})


def last_count(events: Log) -> Span | None:
    """The span of the last `operator.decisions` event."""
    found = None
    for event in events.read(client_key=OPERATORS, kind=OPERATOR + DECISIONS):
        if isinstance(event.data, Operated):
            found = span_of(event.data.particulars)
    return found


def write_head(path: Path, note: str) -> None:
    """Puts a head in place of the file's content at once; 0600, fsynced."""
    partial = path.with_name(f".{path.name}.partial")
    handle = os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(note)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
