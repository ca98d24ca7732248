"""What is laid on the table when someone asks what happened to a site: its history, its calls, and what went on around.

`calls` are checks and lifecycle calls that named the tenant, proved or not, oldest first; reads of the audit and
signed outgoing tokens are none. A call that was refused before its signature held may be anybody's, so that no cause
rests on a single one of these.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure.domain.callbacks import Callback
from tenure.domain.decisions import Decision
from tenure.domain.events import Event, Operated
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant
from tenure.projections.secrets import Generation, generations

LIFECYCLE = frozenset(Callback)
STARTED = "operator.started"
CALLS = frozenset((*(c.value for c in Callback), "webhook", "forward-auth"))


@dataclass(frozen=True, slots=True)
class Case:
    """`tenant` is None if the name is unknown; `siblings` share its baseUrl under other client keys; `elsewhere` are
    refused calls of other tenants in the same time, `others` how many calls of theirs were accepted; `around` are the
    operators' events. Times are stored ones; `now` is the end of the time that is looked at.
    """

    name: str
    since: str
    now: str
    tenant: Tenant | None = None
    history: tuple[Event, ...] = ()
    calls: tuple[Decision, ...] = ()
    last_accepted: Decision | None = None
    siblings: tuple[Tenant, ...] = ()
    elsewhere: tuple[Decision, ...] = ()
    others: int = 0
    around: tuple[Event, ...] = ()
    secrets: tuple[Generation, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", tuple(generations(self.history)))

    @property
    def refused(self) -> tuple[Decision, ...]:
        """The refused calls."""
        return tuple(call for call in self.calls if call.verdict == "refused")

    @property
    def last_proof(self) -> Decision | None:
        """The last accepted call that was signed with the tenant's secret, as far as is kept."""
        found = next((call for call in reversed(self.calls) if is_proof(call)), None)
        before = self.last_accepted
        return found or (before if before is not None and is_proof(before) else None)

    def since_proof(self, *reasons: Reason) -> tuple[Decision, ...]:
        """The calls refused for these reasons after the last accepted one of the tenant's secret.

        By their order, not by their times: the clock may be what is wrong.
        """
        return tuple(call for call in after_last(self.calls, is_proof) if _refused_for(call, reasons))

    def lifecycle_since(self, *reasons: Reason) -> tuple[Decision, ...]:
        """The lifecycle calls refused for these reasons after the last accepted call of any kind."""
        late = after_last(self.calls, lambda call: call.verdict == "accepted")
        return tuple(call for call in late if call.kind in LIFECYCLE and _refused_for(call, reasons))

    def tenants_elsewhere(self, *reasons: Reason) -> int:
        """How many other tenants were refused for these reasons in the same time."""
        return len({call.claimed_client_key for call in self.elsewhere if call.reason in reasons})


def after_last(calls: Sequence[Decision], mark: Callable[[Decision], bool]) -> Sequence[Decision]:
    """The calls behind the last one that bears the mark; all, if none does."""
    behind = next((index + 1 for index in reversed(range(len(calls))) if mark(calls[index])), 0)
    return calls[behind:]


def _refused_for(call: Decision, reasons: tuple[Reason, ...]) -> bool:
    return call.verdict == "refused" and call.reason in reasons


def is_proof(call: Decision) -> bool:
    """Whether an accepted call shows that the sender holds the secret in force."""
    return call.verdict == "accepted" and call.kind in CALLS and call.kind not in ("installed", "uninstalled")


def distinct(calls: Iterable[Decision]) -> int:
    """How many different tokens the calls came with: one that is sent again is one."""
    return len({call.facts.token_mark or call.decision for call in calls})


def settings_changes(around: Iterable[Event]) -> dict[int, tuple[str, ...]]:
    """The starts of the service with other settings than the start before: position, and the settings that differ."""
    found: dict[int, tuple[str, ...]] = {}
    before: dict[str, Any] | None = None
    for event in around:
        if event.type != STARTED or not isinstance(event.data, Operated):
            continue
        now = dict(event.data.particulars.get("deciding") or {})
        if before is not None and now != before:
            found[event.position] = tuple(sorted(name for name in now | before if now.get(name) != before.get(name)))
        before = now
    return found
