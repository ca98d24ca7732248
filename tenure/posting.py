"""Posts alarms to ALARM_URL, from a thread of its own: what that address does holds nothing up.

One item at a time, in JSON, as documented in docs/how-to/alarms.md. Five seconds each, no redirect is followed, of the
answer only the status is read. Anything but a 2xx is tried again after 5 s, 10 s, 20 s … up to an hour, 12 times in
all; which items are due is kept with the decisions, so a restart forgets none. An item may come twice (its answer was
lost): `alarm` and `state` say which it is.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict

import httpx
import orjson
import structlog

from tenure.domain.alarms import Alarm
from tenure.store.alarms import AlarmBook, Unposted

TIMEOUT_S = 5.0
LOOK_EVERY_S = 1.0
FIRST_S, MOST_S, ATTEMPTS = 5.0, 3600.0, 12
AT_ONCE = 20

log = structlog.get_logger()


def body_of(alarm: Alarm) -> bytes:
    """What is posted."""
    whose = alarm.base_url or alarm.client_key
    cause = f" ({alarm.cause})" if alarm.cause and alarm.state == "raised" else ""
    return orjson.dumps({"text": f"{whose}: {alarm.kind} {alarm.state}{cause}. {alarm.says}", **asdict(alarm)})


class Poster:
    """Posts what is due while `holds` says that this worker does."""

    def __init__(
        self, book: AlarmBook, url: str, holds: Callable[[], bool], clock: Callable[[], float] = time.time
    ) -> None:
        self._book = book
        self._url = url
        self._holds = holds
        self._clock = clock
        self._stop = threading.Event()
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the item under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=TIMEOUT_S + 1)
        self._client.close()
        if not self._thread.is_alive():
            self._book.close()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                if self._holds():
                    self.post_due()
            except Exception as error:
                log.error("housekeeping failed", step="post alarms", error=type(error).__name__)

    def post_due(self) -> None:
        """Tries each item that is due, once."""
        for item in self._book.unposted(self._clock(), AT_ONCE):
            if self._stop.is_set():
                return
            answer = self._post(item.alarm)
            again = None if answer == "" else self._again(item, answer)
            self._book.posted(item.alarm.number, again)

    def _again(self, item: Unposted, answer: str) -> float | None:
        last = item.attempts + 1 >= ATTEMPTS
        log.error("alarm not taken", alarm=item.alarm.alarm, answer=answer, attempts=item.attempts + 1, given_up=last)
        return None if last else self._clock() + min(MOST_S, FIRST_S * 2**item.attempts)

    def _post(self, alarm: Alarm) -> str:
        """Empty if it was taken, else what was answered. The address itself is told to nobody: it may hold a key."""
        headers = {"content-type": "application/json", "user-agent": "Tenure"}
        try:
            with self._client.stream("POST", self._url, content=body_of(alarm), headers=headers) as answer:
                return "" if answer.is_success else str(answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
