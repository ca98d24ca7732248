"""Looks for tenants in trouble and says so: a line in the log, an item of the live feed, a counter, a POST.

Part of housekeeping, so in one worker of all and never on the path of a call. A round reads on in both logs from where
the last one ended (refused decisions and events only, so many at most), asks by index what was accepted of those who
are watched, and writes what it found at once. What an alarm means is in `domain.alarms`, its cause is the diagnosis's.
"""

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import datetime

import structlog

from tenure.decision_stores import alarm_book_of, decision_reads_of
from tenure.domain.alarms import (
    FORGOTTEN_S,
    SETTLED_S,
    Alarm,
    AlarmKind,
    Watch,
    due,
    ended,
    left,
    refusal,
    refused_install,
    rotated,
    still,
    with_refusal,
)
from tenure.domain.decisions import Stored, Wanted
from tenure.domain.events import Event
from tenure.domain.times import stored_at
from tenure.projections.archive import Archive
from tenure.projections.diagnosis import diagnose
from tenure.projections.security_context import current
from tenure.settings import Settings
from tenure.store.alarms import Looked, Open
from tenure.stores import log_of

READ_AT_ONCE = 5000
MOST_WATCHED = 2000
MOST_OPEN = 1000
RAISED_AT_ONCE = 20
LOOKED_BACK_S = 12 * 3600.0

Watches = dict[tuple[AlarmKind, str], Watch]

log = structlog.get_logger()


class Alarms:
    """The watch over one store, on connections of its own. `clock` gives Unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._app_key = settings.app_key
        self._posts = settings.alarm_url is not None
        self._clock = clock
        self._log = log_of(settings)
        self._decisions = decision_reads_of(settings)
        self._archive = Archive(self._log, self._decisions, settings.app_key)
        self._book = alarm_book_of(settings)

    def close(self) -> None:
        """Closes the connections."""
        for part in (self._log, self._decisions, self._book):
            part.close()

    def round(self) -> list[Alarm]:
        """Reads on, and tells what has begun and what has ended; the items told."""
        now = self._clock()
        looked = self._book.looked() or self._beginning(now)
        read = list(self._log.read(after=looked.position, limit=READ_AT_ONCE))
        events = [event for event in read if event.app_key == self._app_key]
        calls = self._decisions.page(
            Wanted(verdict="refused"), after=looked.number, limit=READ_AT_ONCE, newest_first=False
        )
        watches: Watches = {(watch.kind, watch.client_key): watch for watch in looked.watches}
        self._fold_events(watches, events)
        self._fold_calls(watches, calls, now)
        opened = {one.alarm.client_key: one for one in self._book.open()}
        over = self._over(opened, {event.client_key for event in events if left(event)}, now)
        for item in over:
            del opened[item.alarm.client_key]
        raised = self._raise(watches, opened, now)
        kept = tuple(sorted(watches.values(), key=lambda watch: watch.since)[-MOST_WATCHED:])
        after = Looked(
            calls[-1].number if calls else looked.number, read[-1].position if read else looked.position, kept
        )
        told = []
        if after != looked or over or raised:
            told = self._book.write(after, [*over, *raised], now if self._posts else None)
        for alarm in told:
            _say(alarm)
        return told

    def _beginning(self, now: float) -> Looked:
        edge = stored_at(now - FORGOTTEN_S)
        return Looked(self._book.number_at(edge), self._log.position_at(edge), ())

    # -- what has happened since

    def _fold_events(self, watches: Watches, events: Iterable[Event]) -> None:
        for event in events:
            found = rotated(event)
            if found is not None:
                watches[found.kind, found.client_key] = found
            if left(event):
                for kind in AlarmKind:
                    watches.pop((kind, event.client_key), None)

    def _fold_calls(self, watches: Watches, calls: Iterable[Stored], now: float) -> None:
        edge = stored_at(now - FORGOTTEN_S)
        for stored in calls:
            call = stored.decision
            key = call.client_key or call.claimed_client_key
            if not key or call.at < edge:
                continue
            install = refused_install(stored.number, call)
            if install is not None:
                watches.setdefault((install.kind, install.client_key), install)
                continue
            tenant = current(self._log.connection, self._app_key, key)
            if tenant is None:
                continue
            found = refusal(stored.number, call, _later(tenant.uninstalled_at, SETTLED_S))
            if found is not None:
                place = (AlarmKind.CALLS_REFUSED, key)
                watches[place] = with_refusal(watches.get(place), key, found)

    # -- what is to be told

    def _over(self, opened: dict[str, Open], gone: set[str], now: float) -> list[Open]:
        found = []
        for key, one in opened.items():
            why = ended(one.alarm, one.began, self._book.passed(key), _age(one.alarm.at, now), key in gone)
            if why:
                over = replace(one.alarm, state="ended", at=stored_at(now), says=why, next="Nothing.")
                found.append(Open(over, one.began))
        return found

    def _raise(self, watches: Watches, opened: dict[str, Open], now: float) -> list[Open]:
        found: dict[str, Open] = {}
        for place, watch in list(watches.items()):
            passed, age = self._book.passed(watch.client_key), _age(watch.since, now)
            now_watched = still(watch, passed, age)
            if now_watched is None:
                del watches[place]
                continue
            watches[place] = now_watched
            if not due(now_watched, passed, _age(now_watched.since, now)):
                continue
            if watch.client_key in opened or watch.client_key in found:
                del watches[place]
            elif len(found) < RAISED_AT_ONCE and len(opened) + len(found) < MOST_OPEN:
                found[watch.client_key] = self._alarm(now_watched, now)
                del watches[place]
        return list(found.values())

    def _alarm(self, watch: Watch, now: float) -> Open:
        at = stored_at(now)
        case = self._archive.case(watch.client_key, stored_at(now - LOOKED_BACK_S), at)
        told = diagnose(case)
        alarm = Alarm(
            alarm=str(uuid.uuid4()),
            state="raised",
            kind=watch.kind.value,
            at=at,
            app_key=self._app_key,
            client_key=watch.client_key,
            base_url=told.base_url,
            since=watch.since,
            refused=sum(1 for call in case.refused if call.at >= watch.since),
            cause=told.cause,
            says=told.says if told.cause else _SAYS[watch.kind],
            signs=told.signs,
            next=told.next if told.cause else f"tenure diagnose {watch.client_key}",
        )
        return Open(alarm, self._decisions.last_number())


_SAYS = {
    AlarmKind.CALLS_REFUSED: "Calls of this tenant that were accepted are refused.",
    AlarmKind.SECRET_UNUSED: "Nothing was signed with the new secret in the five minutes after its rotation.",
    AlarmKind.SILENT: "No call of this tenant was accepted since its install was refused.",
}


def _age(since: str, now: float) -> float:
    return now - datetime.fromisoformat(since).timestamp()


def _later(time_: str, seconds: float) -> str:
    return stored_at(datetime.fromisoformat(time_).timestamp() + seconds) if time_ else ""


def _say(alarm: Alarm) -> None:
    tell = log.warning if alarm.state == "raised" else log.info
    fields = {name: value for name, value in asdict(alarm).items() if name not in ("state", "app_key") and value}
    tell(f"alarm {alarm.state}", **fields)
