"""What happened: the events of a tenant's stream and the envelope they are kept in.

An event is a fact that was believed; it is never changed. Secrets and personal fields are in it only sealed (see
`ports.Vault`), so that the log can be kept for ever and a tenant be forgotten all the same. A stream is
(app key, clientKey); `position` is the place in the whole log, `version` the place in the stream, both gapless from 1.
What operators do is in the same chain, in a stream of its own: that of the empty client key, which no tenant can have.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """The types of a tenant's stream."""

    INSTALLED = "installed"
    UNINSTALLED = "uninstalled"
    ENABLED = "enabled"
    DISABLED = "disabled"
    ERASED = "erased"
    REINSTATED = "reinstated"


OPERATOR = "operator."
OPERATORS = ""


class Cause(StrEnum):
    """Why `installed` came (again)."""

    FIRST = "first"
    UPGRADE = "upgrade"
    ROTATION = "rotation"
    RENAME = "rename"
    REINSTALL = "reinstall"


@dataclass(frozen=True, slots=True)
class Changed:
    """What an `installed` changed against the state before it, and why it came."""

    cause: Cause
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Installed:
    """The site's description and its sealed secret. Empty text: not told.

    `secret` and `personal` (account id, description, unknown fields, as JSON) are sealed texts; `secret_fingerprint`
    is a keyed hash that people may see and compare.
    """

    base_url: str
    secret: str
    secret_fingerprint: str
    display_url: str = ""
    display_url_servicedesk: str = ""
    product_type: str = ""
    oauth_client_id: str = ""
    installation_id: str = ""
    cloud_id: str = ""
    entitlement_id: str = ""
    entitlement_number: str = ""
    service_entitlement_number: str = ""
    public_key: str = ""
    server_version: str = ""
    plugins_version: str = ""
    personal: str = ""


@dataclass(frozen=True, slots=True)
class Switched:
    """`uninstalled`, `enabled` or `disabled`: nothing but that it happened; what else was sent is sealed."""

    personal: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """The tenant's data key `key_id` was destroyed: what was sealed under it can never be read again."""

    by: str
    origin: str
    key_id: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reinstated:
    """The secret of the event at `secret_position` is in force again, sealed anew for this event's version."""

    by: str
    origin: str
    secret_position: int
    secret: str
    secret_fingerprint: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Operated:
    """What an operator did: the account and host it was done from, and the particulars; never a secret."""

    by: str
    origin: str
    particulars: dict[str, Any] = field(default_factory=dict)


Data = Installed | Switched | Erased | Reinstated | Operated


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the log holds it. `recorded_at` is UTC with microseconds; `proof` says how it was believed."""

    position: int
    version: int
    type: str
    app_key: str
    client_key: str
    recorded_at: str
    proof: dict[str, Any]
    changed: Changed | None
    data: Data
    token_fingerprint: str
    hash: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that has been decided and sealed, but has no position yet. `type`: EventType or `operator.…`."""

    type: str
    proof: dict[str, Any]
    data: Data
    changed: Changed | None = None
    token_fingerprint: str = field(default="")
