"""How events, tenants and decisions are shown: the same names on the command line, over HTTP and in exports.

Never a secret: sealed values stay sealed, and fingerprints are keyed.
"""

from dataclasses import asdict
from typing import Any

from tenure.domain.decisions import Decision
from tenure.domain.events import Event
from tenure.domain.tenant import Tenant
from tenure.projections.explain import Explanation

EVENT_FIELDS = (
    "position",
    "version",
    "type",
    "app_key",
    "client_key",
    "recorded_at",
    "proof",
    "changed",
    "data",
    "hash",
)
DECISION_FIELDS = tuple(name for name in Decision.__dataclass_fields__ if name != "facts")
TENANT_FIELDS = (
    "app_key",
    "client_key",
    "installed",
    "enabled",
    "base_url",
    "display_url",
    "product_type",
    "installation_id",
    "version",
    "position",
    "secret_fingerprint",
    "secret_position",
    "installed_at",
    "uninstalled_at",
    "erased_at",
)


def tenant_fields(tenant: Tenant) -> dict[str, Any]:
    """A tenant as it is shown."""
    own = {name: getattr(tenant, name) for name in TENANT_FIELDS if not name.startswith("secret_")}
    own["uninstalled_at"], own["erased_at"] = tenant.uninstalled_at or None, tenant.erased_at or None
    secret = {"secret_fingerprint": tenant.secret.fingerprint, "secret_position": tenant.secret.position}
    return {name: (own | secret)[name] for name in TENANT_FIELDS}


def event_fields(event: Event) -> dict[str, Any]:
    """An event as it is shown."""
    fields = {name: getattr(event, name) for name in EVENT_FIELDS}
    fields["changed"] = asdict(event.changed) if event.changed else None
    fields["data"] = {name: value for name, value in asdict(event.data).items() if value}
    return fields


def decision_fields(decision: Decision) -> dict[str, Any]:
    """A decision as it is shown; of its facts, those that hold something."""
    fields = {name: getattr(decision, name) for name in DECISION_FIELDS}
    fields["facts"] = {name: value for name, value in asdict(decision.facts).items() if value or value is False}
    return fields


def explanation_fields(decision: Decision, found: Explanation) -> dict[str, Any]:
    """A decision with its explanation: what was recorded, the steps, the state it read, why, and what to do."""
    return {**decision_fields(decision), **asdict(found)}


def cloud_event(fields: dict[str, Any]) -> dict[str, Any]:
    """An event or decision as a CloudEvent 1.0 in JSON; its id is the position, or the decision's id."""
    event = "position" in fields
    return {
        "specversion": "1.0",
        "id": str(fields["position"] if event else fields["decision"]),
        "source": f"/tenure/{fields['app_key']}/events" if event else "/tenure/decisions",
        "type": f"tenure.{fields['type']}" if event else f"tenure.decision.{fields['verdict']}",
        "subject": fields["client_key"],
        "time": fields["recorded_at"] if event else fields["at"],
        "datacontenttype": "application/json",
        "data": fields,
    }
