"""What an attack is, as data, and what must hold after it whatever it was."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from attacks.scene import Reply, Scene, View
from tenure.domain.decisions import Decision

# a key host that fails us is ours to mend, and the sender's to try again
OURS: Final = frozenset(("key_unavailable",))
_ASKED: Final = re.compile(r"/[A-Za-z0-9_-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Attack:
    """`send` makes the request. `reason` is the recorded one, "" where the request is no call of any route and nothing
    is to be recorded; `status` is the last answer's (0: the connection is closed without one); `records` how many
    decisions it leaves, `statuses` how many answers it gets.
    """

    name: str
    reason: str
    send: Callable[..., Reply]  # of a Scene
    status: int = 401
    records: int = 1
    answers: int = 1


@dataclass(frozen=True, slots=True)
class Control:
    """A request that looks odd and is honest: accepted, recorded so, and passed on if it is a webhook."""

    name: str
    send: Callable[..., Reply]  # of a Scene
    status: int = 204


def judge_attack(scene: Scene, attack: Attack, reply: Reply) -> None:
    """Every oracle: the answer, the record, what must not have happened, and who is believed afterwards."""
    view = scene.view
    assert view is not None
    found = scene.recorded(view.number, _records(attack))
    told = [(decision.verdict, decision.reason) for decision in found]
    expected = (attack.status, [("refused", attack.reason)] * _records(attack))
    assert (reply.status, told) == expected, f"{reply.statuses} {told} {reply.raw[:300]!r}"
    assert len(reply.statuses) == (attack.answers if attack.status else 0)
    assert all(status < 500 for status in reply.statuses) or attack.reason in OURS
    _nothing_happened(scene, view)
    _nothing_leaked(scene, reply, found)
    _who_is_believed(scene)


def judge_control(scene: Scene, control: Control, reply: Reply) -> None:
    """Accepted, recorded so, no leak; and the honest site still passes, the stranger still does not."""
    view = scene.view
    assert view is not None
    found = scene.decisions(view.number)
    assert reply.status == control.status, (reply.raw[:300], found)
    assert [(decision.verdict, decision.reason) for decision in found] == [("accepted", "")]
    assert len(scene.trap.requests) == view.trapped
    _nothing_leaked(scene, reply, found)
    _who_is_believed(scene)


def _records(attack: Attack) -> int:
    return attack.records if attack.reason else 0


def _nothing_happened(scene: Scene, view: View) -> None:
    after = scene.begin()
    assert (after.head, after.tenant) == (view.head, view.tenant), "the log or the victim's context moved"
    assert after.received == view.received, "it reached the app"
    assert after.trapped == view.trapped, "the stranger's server was asked"
    asked = scene.house.keys.requests[view.asked :]
    assert all(_ASKED.match(path) for path in asked), f"the key host was asked for {asked}"


def _nothing_leaked(scene: Scene, reply: Reply, found: Iterable[Decision]) -> None:
    texts = (reply.raw.decode("latin-1"), repr(list(found)), "".join(map(str, scene.house.service.lines[-20:])))
    for secret in scene.sent:
        if len(secret) > 20:
            assert not any(secret in text for text in texts), "a secret or signature shows"


def _who_is_believed(scene: Scene) -> None:
    assert scene.victim.webhook(secret=scene.attacker.secret).status == 401, "the stranger is believed"
    assert scene.victim.webhook().status == 200, "the honest site is not believed any more"
