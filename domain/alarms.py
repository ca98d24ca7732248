"""When the service speaks unasked: a tenant whose calls stop passing. Rules without I/O.

- `calls_refused`: after an accepted call of its secret, three different tokens of the tenant were refused and none was
  accepted since. What anybody could have sent (a bad signature, a wrong time) counts only once it is a minute old
  with no accepted call since; what was refused while it is still in order (425 after a rotation, webhooks under way
  when an uninstall was believed) does not count.
- `secret_unused`: five minutes after a rotation no call was accepted under the new secret.
- `silent_after_refused_install`: ten minutes after an `installed` was refused for a reason that strangers do not
  cause, no call of the tenant was accepted.

One alarm a tenant and episode: while one is open, no other is raised. It ends with the next call that is accepted, with
the app's uninstall, or after two weeks.
"""

from dataclasses import dataclass
from enum import StrEnum

from tenure.domain.check import Match
from tenure.domain.decisions import Decision
from tenure.domain.events import Cause, Event, EventType
from tenure.domain.refusals import Reason

DIFFERENT = 3
SETTLED_S = 60.0
UNUSED_S = 300.0
SILENT_S = 600.0
FORGOTTEN_S = 24 * 3600.0
ABANDONED_S = 14 * 24 * 3600.0


class AlarmKind(StrEnum):
    """Stable names of what is told."""

    CALLS_REFUSED = "calls_refused"
    SECRET_UNUSED = "secret_unused"
    SILENT = "silent_after_refused_install"


_PROVED = frozenset(
    (Reason.SECRET_SUPERSEDED, Reason.QSH_MISMATCH, Reason.QSH_MISSING, Reason.CONTEXT_REQUIRED,
     Reason.CONTEXT_NOT_ALLOWED, Reason.TENANT_UNINSTALLED, Reason.TENANT_DISABLED)
)  # fmt: skip
_ANYBODYS = frozenset((Reason.SIGNATURE_BAD, Reason.EXPIRED, Reason.NOT_YET_VALID))
# reasons that show a signature of Atlassian's, or that the key to it could not be had
_INSTALLS = frozenset(
    (Reason.KEY_UNAVAILABLE, Reason.AUDIENCE_MISMATCH, Reason.QSH_MISMATCH, Reason.PAYLOAD_INVALID,
     Reason.SITE_NOT_ALLOWED, Reason.APP_MISMATCH, Reason.EVENT_TYPE_MISMATCH, Reason.STORE_UNAVAILABLE,
     Reason.UNRECORDABLE, Reason.UNEXPECTED)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused call as far as it is watched: its place in the decision log, its time, which token, who can send it."""

    number: int
    at: str
    mark: str
    proved: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """A tenant that may be in trouble. `number` is the decision, `position` the event it began with (0: none);
    `refusals` are the latest of different tokens, at most three.
    """

    kind: AlarmKind
    client_key: str
    since: str
    number: int = 0
    position: int = 0
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """The last accepted calls of a tenant: of any kind (`number`), and of one signed with its secret in force
    (`proof_number`, and the position it read). 0: none is kept.
    """

    number: int = 0
    proof_number: int = 0
    proof_position: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """One item: `state` is `raised` or `ended`. `since` is when it began, `refused` how many kept calls were refused
    since the last accepted one; `cause`, `signs` and `next` are the diagnosis's (cause None: none is seen). `number` is
    the item's place in the order of items. Never a secret.
    """

    alarm: str
    state: str
    kind: str
    at: str
    app_key: str
    client_key: str
    base_url: str
    since: str
    refused: int
    cause: str | None
    says: str
    signs: tuple[str, ...]
    next: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which items; None: any. `state` is raised, ended or open (raised and not ended)."""

    client_key: str | None = None
    kind: str | None = None
    state: str | None = None
    since: str | None = None
    until: str | None = None


def refusal(number: int, call: Decision, uninstalled_at: str) -> Refusal | None:
    """The call as one that counts for `calls_refused`, or None. `uninstalled_at` is a minute after the uninstall."""
    if call.verdict != "refused" or call.reason not in _PROVED | _ANYBODYS or call.facts.retry:
        return None
    if call.reason == Reason.TENANT_UNINSTALLED and call.at <= uninstalled_at:
        return None
    proved = call.reason in _PROVED and call.facts.match in (Match.CURRENT, Match.PREVIOUS)
    return Refusal(number, call.at, call.facts.token_mark or call.decision, proved)


def with_refusal(watch: Watch | None, client_key: str, found: Refusal) -> Watch:
    """The watch with one more refused call."""
    before = watch.refusals if watch is not None else ()
    others = tuple(one for one in before if one.mark != found.mark)
    kept = (*others, found)[-DIFFERENT:]
    since = watch.since if watch is not None else found.at
    return Watch(AlarmKind.CALLS_REFUSED, client_key, since, kept[0].number, refusals=kept)


def refused_install(number: int, call: Decision) -> Watch | None:
    """The watch that a refused `installed` begins, or None if strangers cause such."""
    wanted = call.kind == "installed" and call.verdict == "refused" and call.reason in _INSTALLS
    # past the limit of unknown key ids everyone waits: that is not this install's trouble
    if not wanted or not call.claimed_client_key or call.detail.startswith("too many"):
        return None
    return Watch(AlarmKind.SILENT, call.claimed_client_key, call.at, number)


def rotated(event: Event) -> Watch | None:
    """The watch that a rotation begins, or None."""
    changed = event.changed
    fresh = changed is not None and "secret" in changed.fields and changed.cause is not Cause.REINSTALL
    if event.type != EventType.INSTALLED or not fresh:
        return None
    return Watch(AlarmKind.SECRET_UNUSED, event.client_key, event.recorded_at, position=event.position)


def left(event: Event) -> bool:
    """Whether the tenant is gone, so that nothing is expected of it."""
    return event.type in (EventType.UNINSTALLED, EventType.ERASED)


def still(watch: Watch, passed: Passed, age_s: float) -> Watch | None:
    """The watch after what was accepted since, or None if all is well again; `age_s` is how old it is."""
    if age_s > FORGOTTEN_S:
        return None
    if watch.kind is AlarmKind.SECRET_UNUSED:
        return None if passed.proof_position >= watch.position else watch
    if watch.kind is AlarmKind.SILENT:
        return None if passed.number > watch.number else watch
    late = tuple(one for one in watch.refusals if one.number > passed.proof_number)
    if not late:
        return None
    since = watch.since if late == watch.refusals else late[0].at
    return Watch(watch.kind, watch.client_key, since, late[0].number, refusals=late)


def due(watch: Watch, passed: Passed, age_s: float) -> bool:
    """Whether it is time to speak; `passed` and `age_s` as for `still`, which said that it goes on."""
    match watch.kind:
        case AlarmKind.SECRET_UNUSED:
            return age_s >= UNUSED_S
        case AlarmKind.SILENT:
            return age_s >= SILENT_S
    enough = len(watch.refusals) == DIFFERENT and passed.proof_number > 0
    return enough and (age_s >= SETTLED_S or all(one.proved for one in watch.refusals))


def ended(alarm: Alarm, began: int, passed: Passed, age_s: float, gone: bool) -> str:
    """Why an open alarm ends; empty if it does not. `began` is the decision log's last number when it was raised."""
    accepted = passed.number if alarm.kind == AlarmKind.SILENT else passed.proof_number
    if accepted > began:
        return "Calls are accepted again."
    if gone:
        return "The app was uninstalled."
    return "Nothing more came of it in two weeks." if age_s > ABANDONED_S else ""
