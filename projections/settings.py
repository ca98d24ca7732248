"""The settings in force at a decision: it names their digest, the start of the service that listed them tells them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenure.domain.check import ROTATION_GRACE, Policy
from tenure.domain.events import Event, Operated
from tenure.domain.token import LEEWAY, MAX_LIFETIME

# audiences beside those that a start listed: only a what-if has them
EXTRA = "extra_audiences"


@dataclass(frozen=True, slots=True)
class Start:
    """A start of the service: when, of which app and version, with which settings, and their digest."""

    position: int
    at: str
    app_key: str
    version: str
    digest: str
    deciding: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Event) -> "Start":
        """The start that an `operator.started` tells of."""
        told = event.data.particulars if isinstance(event.data, Operated) else {}
        return cls(
            event.position, event.recorded_at, event.app_key, str(told.get("version") or ""),
            str(told.get("settings") or ""), told.get("deciding") or {},
        )  # fmt: skip


def policy_of(deciding: Mapping[str, Any]) -> Policy:
    """The policy of settings as a start listed them; what it did not list is as in this version."""
    return Policy(
        audiences=frozenset((*(deciding.get("audiences") or ()), *(deciding.get(EXTRA) or ()))),
        refuse_disabled=bool(deciding.get("refuse_disabled")),
        legacy_install=bool(deciding.get("legacy_install")),
        leeway=int(deciding.get("leeway", LEEWAY)),
        max_lifetime=int(deciding.get("max_lifetime", MAX_LIFETIME)),
        rotation_grace=int(deciding.get("rotation_grace", ROTATION_GRACE)),
    )
