"""What the service does by itself, in one worker of all: forget what is due, vouch for decisions, sign the head.

- Every 5 seconds: tenants whose calls stop passing are told (`tenure.alarms`; ALARM_URL by `tenure.posting`).
- Every minute: erasures that were left half done are completed.
- At the start and every day: tenants uninstalled longer than ERASE_AFTER_DAYS are erased, if the clock may be believed.
- Every hour: an `operator.decisions` event with count and digest of the decisions since the last one.
- Every HEAD_EVERY_MINUTES: the head is signed, written to HEAD_FILE and posted to HEAD_URL where those are set.

Which worker: whoever holds the lease (`tenure.lease`); it is asked before each step whether it still does.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import structlog

from tenure import operators
from tenure.alarms import Alarms
from tenure.counting import DECISIONS, last_count
from tenure.decision_stores import alarm_book_of, decisions_of, digests_of
from tenure.forgetting import clear, due, due_before, forget, in_turns, overwrite, reapply
from tenure.keydesk import keys_of
from tenure.lease import lease_of
from tenure.projections.clock import ClockWatch
from tenure.settings import Settings, holds_head
from tenure.store.alarms import AlarmBook
from tenure.store.files import replace
from tenure.store.keyring import KeyRing
from tenure.store.signed_head import HeadRefusedError, HeadSigner
from tenure.stores import log_of

if TYPE_CHECKING:
    from tenure.posting import Poster

TICK_S = 5.0
MINUTE_S = 60.0
DAY_S = 24 * 3600.0
HOUR_S = 3600.0
SETTLED_S = 60.0  # a call is answered, and its decision stored, well within this
POST_S = 10.0

log = structlog.get_logger()


class ImplausibleClockError(Exception):
    """The clock may have jumped: nobody is due by it."""


class Housekeeping:
    """A thread with connections of its own. `clock` gives Unix seconds, `steady` seconds that only count on."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._lease = lease_of(settings)
        self._stop = threading.Event()
        self._holding = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._log = log_of(settings, read_only=False)
        self._watch = ClockWatch(self._log, clock, steady)
        keys = keys_of(settings)
        self._ring, self._signer = KeyRing(keys), HeadSigner(keys, settings.master(), settings.app_key)
        self._digests = digests_of(settings)
        self._alarms = Alarms(settings, clock)
        self._poster: Poster | None = None
        if settings.alarm_url is not None:
            self._poster = _poster(alarm_book_of(settings), settings.alarm_url, self._holding.is_set)
        self._decisions = decisions_of(settings)
        self._last_mark = 0
        self._cleared, _ = self._ring.generation()
        self._last_number: int | None = None
        self._posting: threading.Thread | None = None
        self._done: dict[str, float] = {}

    def start(self) -> None:
        """Begins."""
        self._thread.start()
        if self._poster is not None:
            self._poster.start()

    def stop(self) -> None:
        """Ends after the step under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        if self._poster is not None:
            self._poster.stop()
        self._lease.close()
        for part in (self._log, self._ring, self._signer, self._digests, self._decisions, self._alarms):
            part.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._holds():
                self.tick()
            self._stop.wait(TICK_S)

    def _holds(self) -> bool:
        held = self._lease.take()
        self._holding.set() if held else self._holding.clear()
        return held

    def tick(self) -> None:
        """Does what is due now; what fails is logged and tried again when it is due again."""
        self._step("look for alarms", 0, self._alarms.round)
        self._step("complete erasures", MINUTE_S, self._complete)
        self._step("erase", DAY_S, self._erase)
        self._step("count decisions", MINUTE_S, self._count)
        self._step("sign head", self._settings.head_every_minutes * 60.0, self._sign)

    def _step(self, name: str, every: float, step: Callable[[], object]) -> None:
        now = self._steady()
        if self._stop.is_set() or (every and name in self._done and now < self._done[name] + every):
            return
        if not self._holds():
            return
        self._done[name] = now
        try:
            step()
        except ImplausibleClockError as error:
            log.error("nobody erased", why=str(error), next="check the clock; by hand: tenure erase --due")
        except HeadRefusedError as error:
            log.error("head not signed", why=str(error), next="tenure log verify")
        except Exception as error:
            log.error("housekeeping failed", step=name, error=type(error).__name__)

    def _complete(self) -> None:
        found, self._last_mark = reapply(self._log, self._ring, self._last_mark)
        for one in found:
            log.warning("erasure completed", client_key=one.client_key, position=one.position)
        # once more of whoever was erased by hand meanwhile: a decision may have been under way
        if clear(self._decisions, self._ring, self._cleared):
            self._cleared = self._last_mark
        overwrite(self._ring)

    def _erase(self) -> None:
        days = self._settings.erase_after_days
        _, origin = operators.who()
        why = f"uninstalled for more than {days} days"
        chosen = due(self._log, days, self._settings.app_key, datetime.fromtimestamp(self._clock(), UTC))
        why_not = self._watch.problem() if chosen else ""
        if why_not:
            raise ImplausibleClockError(why_not)
        for some in in_turns(chosen, self._settings):
            if self._stop.is_set() or not self._holds():
                return
            before = due_before(days, datetime.fromtimestamp(self._clock(), UTC))
            found = forget(self._log, self._ring, some, by="tenure", origin=origin, why=why, before=before)
            for one in found:
                self._decisions.forget(one.client_key)
                log.info("erased", client_key=one.client_key, position=one.position, why=why)

    def _count(self) -> None:
        now, last = self._clock(), last_count(self._log)
        # what was not there at the step before is not settled, whatever the clock says
        number, seen = self._digests.last_number(), self._last_number
        self._last_number = number
        if last is not None and abs(now - last.at) < HOUR_S:
            return
        # a file that is younger than the log is counted from its beginning
        after = last.span.until if last is not None and last.span.until <= number else 0
        until = min(self._digests.settled(now, SETTLED_S), number if seen is None else seen)
        if until <= after:
            return
        # what is counted is changed no more
        self._decisions.seal(until)
        span = self._digests.span(after, until)
        if span.count:
            operators.note(self._log, self._settings.app_key, DECISIONS, **asdict(span))

    def _sign(self) -> None:
        signed = self._signer.sign(self._log)
        if self._settings.head_file is not None:
            write_head(self._settings.head_file, signed.note)
        if self._settings.head_url is not None:
            self._post(self._settings.head_url, signed.note)

    def _post(self, url: str, note: str) -> None:
        if self._posting is not None and self._posting.is_alive():
            log.error("head not taken", why="the one before is still under way")
            return
        # on a thread of its own: how long names, connections and answers take there is not for us to say
        self._posting = threading.Thread(target=post_head, args=(url, note), name="head", daemon=True)
        self._posting.start()


def post_head(url: str, note: str, within: float = POST_S) -> None:
    """Posts a head within so many seconds in all: no redirect, no proxy, and of the answer only the status is read."""
    try:
        status = asyncio.run(_posted(url, note, within))
    except (TimeoutError, OSError, ValueError, aiohttp.ClientError) as error:
        log.error("head not taken", why=type(error).__name__)
        return
    if not 200 <= status < 300:
        log.error("head not taken", status=status)


async def _posted(url: str, note: str, within: float) -> int:
    whole = aiohttp.ClientTimeout(total=within)
    headers = {"content-type": "text/plain; charset=utf-8"}
    async with (
        aiohttp.ClientSession(timeout=whole) as session,
        session.post(url, data=note.encode(), headers=headers, allow_redirects=False) as answer,
    ):
        answer.close()
        return answer.status


def write_head(path: Path, note: str) -> None:
    """Puts a head in place of the file's content at once; OSError, also if what stands there is no head."""
    if not holds_head(path):
        raise OSError(f"{path} is no signed head, and is not written over")
    replace(path, note.encode())


def _poster(book: AlarmBook, url: str, holds: Callable[[], bool]) -> "Poster":
    from tenure.posting import Poster  # noqa: PLC0415 (it brings a client that only this setting needs)

    return Poster(book, url, holds)
