"""How events, tenants and decisions are shown: the same names on the command line, over HTTP and in exports.

Never a secret: sealed values stay sealed, and fingerprints are keyed.
"""

from dataclasses import asdict
from typing import Any

from tenure.domain.alarms import Alarm
from tenure.domain.decisions import Decision, Facts
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
_FACTS = tuple(Facts.__dataclass_fields__)
DECISION_FIELDS = tuple(name for name in Decision.__dataclass_fields__ if name != "facts")
ALARM_FIELDS = ("number", *(name for name in Alarm.__dataclass_fields__ if name != "number"))
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
    facts = ((name, getattr(decision.facts, name)) for name in _FACTS)
    fields["facts"] = {name: value for name, value in facts if value or value is False}
    return fields


def alarm_fields(alarm: Alarm) -> dict[str, Any]:
    """An alarm's item as it is shown."""
    fields = asdict(alarm)
    return {name: fields[name] for name in ALARM_FIELDS}


def explanation_fields(decision: Decision, found: Explanation) -> dict[str, Any]:
    """A decision with its explanation: what was recorded, the steps, the state it read, why, and what to do."""
    return {**decision_fields(decision), **asdict(found)}


def cloud_event(fields: dict[str, Any]) -> dict[str, Any]:
    """An event, decision or alarm as a CloudEvent 1.0 in JSON; its id is the position, the decision's id or the number
    of the item.
    """
    if "alarm" in fields:
        name, kind, when = str(fields["number"]), f"tenure.alarm.{fields['state']}", fields["at"]
        source = f"/tenure/{fields['app_key']}/alarms"
    elif "position" in fields:
        name, kind, when = str(fields["position"]), f"tenure.{fields['type']}", fields["recorded_at"]
        source = f"/tenure/{fields['app_key']}/events"
    else:
        name, kind, when = fields["decision"], f"tenure.decision.{fields['verdict']}", fields["at"]
        source = "/tenure/decisions"
    return {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": kind,
        "subject": fields["client_key"],
        "time": when,
        "datacontenttype": "application/json",
        "data": fields,
    }
