"""When an alarm is watched for, raised and ended: the rules alone."""

from dataclasses import replace
from typing import Any

import pytest

from support.domain_support import CLIENT, install, numbered, stamp
from tenure.domain.alarms import (
    Alarm,
    AlarmKind,
    Passed,
    Refusal,
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
from tenure.domain.check import Match
from tenure.domain.decisions import Decision, Facts
from tenure.domain.events import Cause, Changed
from tenure.domain.refusals import Reason

# what only the holder of a secret can cause, what anybody can, and what a refused install of Atlassian's shows
PROVED = {
    Reason.SECRET_SUPERSEDED, Reason.QSH_MISMATCH, Reason.QSH_MISSING, Reason.CONTEXT_REQUIRED,
    Reason.CONTEXT_NOT_ALLOWED, Reason.TENANT_UNINSTALLED, Reason.TENANT_DISABLED,
}  # fmt: skip
ANYBODYS = {Reason.SIGNATURE_BAD, Reason.EXPIRED, Reason.NOT_YET_VALID}
INSTALLS = {
    Reason.KEY_UNAVAILABLE, Reason.AUDIENCE_MISMATCH, Reason.QSH_MISMATCH, Reason.PAYLOAD_INVALID,
    Reason.SITE_NOT_ALLOWED, Reason.APP_MISMATCH, Reason.EVENT_TYPE_MISMATCH, Reason.STORE_UNAVAILABLE,
    Reason.UNRECORDABLE, Reason.UNEXPECTED,
}  # fmt: skip
HOUR = 3600.0


def call(reason: Reason | str = Reason.QSH_MISMATCH, facts: Facts | None = None, **more: Any) -> Decision:
    """A refused page of the tenant, signed with its secret, with some of it replaced."""
    seen = facts or Facts(match="current", token_mark="mark")
    refused = Decision("d1", stamp(100), "page", "refused", reason, "", CLIENT, CLIENT, "GET", "/p", 401, 1.0, 3, seen)
    return replace(refused, **more)


def one(number: int, mark: str = "", *, proved: bool = True) -> Refusal:
    """A refusal of its own token."""
    return Refusal(number, stamp(number), mark or f"m{number}", proved)


def watching(*refusals: Refusal) -> Watch:
    """A watch of so many refused calls."""
    return Watch(AlarmKind.CALLS_REFUSED, CLIENT, refusals[0].at, refusals[0].number, refusals=refusals)


ROTATION = Watch(AlarmKind.SECRET_UNUSED, CLIENT, stamp(1), position=7)
SILENCE = Watch(AlarmKind.SILENT, CLIENT, stamp(1), number=50)


@pytest.mark.parametrize("reason", Reason)
def test_which_refusals_count(reason: Reason) -> None:
    """Those that a tenant's own calls meet with count, proved if their secret matched; all others do not."""
    counted = reason in PROVED | ANYBODYS
    for match in Match:
        found = refusal(9, call(reason, Facts(match=match, token_mark="m")), stamp(50))
        proved = reason in PROVED and match is not Match.NONE
        assert found == (Refusal(9, stamp(100), "m", proved) if counted else None)


def test_what_is_still_in_order_does_not_count() -> None:
    """Not a call that passed, not one told to come again after a rotation; a token without a mark is its decision's."""
    assert refusal(9, call(verdict="accepted"), "") is None
    assert refusal(9, call(facts=Facts(match="current", retry=True)), "") is None
    assert refusal(9, call(facts=Facts(match="current")), "") == Refusal(9, stamp(100), "d1", True)


def test_a_webhook_under_way_at_an_uninstall_does_not_count() -> None:
    """Up to the time given, that of the uninstall and a minute, the tenant's last calls are no trouble."""
    gone = call(Reason.TENANT_UNINSTALLED)
    assert refusal(9, gone, stamp(100)) is None
    assert refusal(9, gone, stamp(101)) is None
    assert refusal(9, gone, stamp(99)) is not None
    assert refusal(9, call(Reason.TENANT_DISABLED), stamp(101)) is not None


def test_the_latest_three_different_tokens_are_kept() -> None:
    """A token sent again takes the place of itself; the watch begins with the first and names the oldest kept."""
    watch = with_refusal(None, CLIENT, one(1))
    assert watch == Watch(AlarmKind.CALLS_REFUSED, CLIENT, stamp(1), 1, refusals=(one(1),))
    watch = with_refusal(watch, CLIENT, one(2))
    again = with_refusal(watch, CLIENT, one(3, "m1"))
    assert again == Watch(AlarmKind.CALLS_REFUSED, CLIENT, stamp(1), 2, refusals=(one(2), one(3, "m1")))
    four = with_refusal(with_refusal(watch, CLIENT, one(3)), CLIENT, one(4))
    assert four == Watch(AlarmKind.CALLS_REFUSED, CLIENT, stamp(1), 2, refusals=(one(2), one(3), one(4)))


@pytest.mark.parametrize("reason", Reason)
def test_which_refused_installs_are_watched(reason: Reason) -> None:
    """Those refused for what strangers do not cause, from the time of the call; all others are not."""
    found = refused_install(9, call(reason, kind="installed"))
    assert found == (Watch(AlarmKind.SILENT, CLIENT, stamp(100), 9) if reason in INSTALLS else None)


def test_no_install_no_watch() -> None:
    """Another kind of call, one that passed, one of nobody, and one kept back by the limit of unknown keys: none."""
    install_call = call(Reason.KEY_UNAVAILABLE, kind="installed")
    others: tuple[dict[str, Any], ...] = (
        {"kind": "uninstalled"}, {"verdict": "accepted"}, {"claimed_client_key": ""},
        {"detail": "too many unknown key ids"},
    )  # fmt: skip
    for other in others:
        assert refused_install(9, replace(install_call, **other)) is None
    assert refused_install(9, replace(install_call, detail="timed out", client_key="")) is not None


def test_a_rotation_is_watched() -> None:
    """An `installed` that changed the secret, but not a return, a first one or one without a new secret."""
    event = numbered(7, install())
    for cause, fields, found in (
        (Cause.ROTATION, ("secret",), True),
        (Cause.RENAME, ("base_url", "secret"), True),
        (Cause.REINSTALL, ("secret",), False),
        (Cause.UPGRADE, ("product_type",), False),
        (Cause.FIRST, (), False),
    ):
        expected = Watch(AlarmKind.SECRET_UNUSED, CLIENT, stamp(7), position=7) if found else None
        assert rotated(replace(event, changed=Changed(cause, fields))) == expected
    assert rotated(event) is None
    assert rotated(replace(numbered(7, "enabled"), changed=Changed(Cause.ROTATION, ("secret",)))) is None


def test_who_is_gone() -> None:
    """An uninstall and an erasure end what is expected of a tenant, nothing else does."""
    assert left(numbered(2, "uninstalled"))
    assert left(numbered(2, "erased"))
    assert not any(left(numbered(2, kind)) for kind in ("enabled", "disabled", "reinstated", "operator.started"))
    assert not left(numbered(2, install()))


@pytest.mark.parametrize("watch", [ROTATION, SILENCE, watching(one(1))])
def test_a_watch_is_given_up_after_a_day(watch: Watch) -> None:
    """At a day it goes on, beyond it is forgotten."""
    assert still(watch, Passed(), 24 * HOUR) == watch
    assert still(watch, Passed(), 24 * HOUR + 0.5) is None


def test_what_is_accepted_ends_a_watch() -> None:
    """A rotation: a proof that read it or a later state. A refused install: any later call. Refusals: a later proof."""
    assert still(ROTATION, Passed(900, 900, 6), 1.0) == ROTATION
    assert still(ROTATION, Passed(0, 0, 7), 1.0) is None
    assert still(SILENCE, Passed(50, 99, 99), 1.0) == SILENCE
    assert still(SILENCE, Passed(51), 1.0) is None
    watch = watching(one(10), one(20))
    assert still(watch, Passed(99, 9, 99), 1.0) == watch
    assert still(watch, Passed(0, 20), 1.0) is None
    assert still(watch, Passed(0, 25), 1.0) is None


def test_only_what_was_refused_later_goes_on() -> None:
    """Refusals before the last accepted call are dropped, and the watch begins with the first that is left."""
    watch = watching(one(10), one(20), one(30))
    assert still(watch, Passed(0, 10), 1.0) == watching(one(20), one(30))
    # what began it may have been kept no longer: then it began when it began
    older = replace(watch, since=stamp(5))
    assert still(older, Passed(0, 9), 1.0) == older
    assert still(older, Passed(0, 10), 1.0) == watching(one(20), one(30))


def test_when_it_is_time_to_speak() -> None:
    """Five minutes after a rotation, ten after a refused install."""
    assert [due(ROTATION, Passed(), age) for age in (299.9, 300.0)] == [False, True]
    assert [due(SILENCE, Passed(), age) for age in (599.9, 600.0)] == [False, True]


def test_three_refused_calls_are_spoken_of() -> None:
    """Three tokens after an accepted call: at once if all are proved, else after a minute; never after none."""
    passed, three = Passed(5, 1), watching(one(10), one(20), one(30))
    assert due(three, passed, 0.0)
    assert not due(three, Passed(5, 0), 999.0)
    assert not due(watching(one(10), one(20)), passed, 999.0)
    mixed = watching(one(10), one(20, proved=False), one(30))
    assert [due(mixed, passed, age) for age in (0.0, 59.9, 60.0)] == [False, False, True]


def alarm(kind: AlarmKind) -> Alarm:
    """An open alarm."""
    return Alarm("a1", "raised", kind, stamp(1), "app", CLIENT, "https://a", stamp(0), 3, None, "", (), "")


@pytest.mark.parametrize("kind", AlarmKind)
def test_when_an_alarm_ends(kind: AlarmKind) -> None:
    """With an accepted call since (after a refused install any, else one by the secret), an uninstall, or two weeks."""
    any_call, proof = Passed(number=11, proof_number=10), Passed(number=10, proof_number=11)
    accepted = "Calls are accepted again."
    assert ended(alarm(kind), 10, any_call, HOUR, False) == (accepted if kind is AlarmKind.SILENT else "")
    assert ended(alarm(kind), 10, proof, HOUR, False) == ("" if kind is AlarmKind.SILENT else accepted)
    assert ended(alarm(kind), 10, Passed(11, 11), HOUR, True) == accepted
    assert ended(alarm(kind), 10, Passed(), HOUR, True) == "The app was uninstalled."
    assert ended(alarm(kind), 10, Passed(), 14 * 24 * HOUR, False) == ""
    assert ended(alarm(kind), 10, Passed(), 14 * 24 * HOUR + 1, False) == "Nothing more came of it in two weeks."
