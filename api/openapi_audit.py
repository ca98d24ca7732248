"""The part of `/openapi.json` that describes `/audit`: each route, its parameters, and the shapes of its answers."""

from typing import Any

from tenure.api.questions import LIMIT, MAX_LIMIT
from tenure.domain.alarms import AlarmKind
from tenure.domain.questions import MAX_POSITION
from tenure.domain.refusals import Reason
from tenure.projections.shown import DECISION_FIELDS, TENANT_FIELDS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "description": "ISO 8601 with zone, or an age such as 12h, 28d."}
_POSITION: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_POSITION}
_PARAMETERS: dict[str, tuple[Schema, str]] = {
    "after": (_POSITION, "Go on behind this: `next` of the page before."),
    "limit": ({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": LIMIT}, "At most so many items."),
    "at": (_TIME, "As of a time; what was recorded at that very time is included."),
    "position": (_POSITION, "As of a position of the log; past the head: the head."),
    "tenant": (_TEXT, "Client key, site's host name or URL, or installation id."),
    "claimed": (_TEXT, "The client key that the token claims."),
    "type": (_TEXT, "Only events of this type."),
    "since": (_TIME, "From this time on."),
    "until": (_TIME, "Up to this time."),
    "kid": (_TEXT, "The install key that proved it."),
    "verdict": ({"type": "string", "enum": ["accepted", "refused"]}, "Only these."),
    "reason": ({"type": "string", "enum": [reason.value for reason in Reason]}, "Only refused for this reason."),
    "kind": (_TEXT, "webhook, forward-auth, installed, uninstalled, enabled, disabled, sign, audit."),
    "identifier": (_TEXT, "The webhook's X-Atlassian-Webhook-Identifier."),
    "by": ({"type": "string", "enum": ["reason", "tenant", "hour"]}, "Counts instead of rows."),
    "order": ({"type": "string", "enum": ["oldest", "newest"], "default": "oldest"}, "Which come first."),
    "state": ({"type": "string", "enum": ["raised", "ended", "open"]}, "Raised, ended, or raised and not ended."),
    "format": ({"type": "string", "enum": ["cloudevents"]}, "Each item as a CloudEvent."),
    "quiet": (_TIME, "Tenants are quiet that were last accepted before this."),
}
_PROBLEMS = {
    "400": "Not a question this route takes; the sentence says why.",
    "401": "No API token in force.",
    "403": "The API token lacks the scope audit.",
    "404": "No such tenant, decision or route.",
    "406": "Only other formats are accepted.",
    "409": "The name means several tenants, which are listed; or the log has lost what was signed before.",
    "429": "Too many failed API tokens.",
    "503": "Try again; see Retry-After.",
}


PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "decision": _TEXT,
        "reason": _TEXT,
    },
}


def _object(names: tuple[str, ...], more: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(names), "properties": {name: {} for name in names} | (more or {})}


def _list_of(item: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": item}, "next": {"type": ["string", "null"]}},
    }


def _parameter(name: str, **changed: Any) -> Schema:
    schema, text = _PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": schema} | changed


def _route(summary: str, parameters: list[Schema], answer: Schema | None, *types: str) -> Schema:
    content: Schema = {name: {"schema": _TEXT} for name in types}
    if answer is not None:
        content = {"application/json": {"schema": answer}} | content
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refused = {status: {"description": text, "content": problem} for status, text in _PROBLEMS.items()}
    operation = {
        "summary": summary,
        "tags": ["audit"],
        "security": [{"token": []}],
        "parameters": parameters,
        "responses": {"200": {"description": summary, "content": content}, **refused},
    }
    return {"get": operation}


def _listed(*names: str) -> list[Schema]:
    return [_parameter(name) for name in names]


_IN_PATH: Schema = {"in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_TABLES = ("text/csv", "application/x-ndjson")
_DECISION = _object((*DECISION_FIELDS, "facts"))
_EXPLAINED = _object((*DECISION_FIELDS, "facts", "steps", "context", "why", "next", "flips", "turns"))
_DIAGNOSIS = _object(
    ("tenant", "client_key", "base_url", "since", "until", "last_accepted", "refused", "around", "cause", "says",
     "signs", "also", "is_not", "next", "webhooks_lost", "webhooks_to_come")
)  # fmt: skip

PATHS: dict[str, Schema] = {
    "/audit/events": _route(
        "Events, oldest first; text/event-stream follows live",
        _listed("tenant", "type", "since", "until", "kid", "format", "at", "position", "after", "limit"),
        _list_of({"type": "object"}), *_TABLES, "text/event-stream",
    ),
    "/audit/decisions": _route(
        "Decisions, or counts of them; text/event-stream follows live",
        _listed("tenant", "claimed", "verdict", "reason", "kind", "since", "until", "identifier", "kid", "by", "order",
                "format", "at", "position", "after", "limit"),
        _list_of({"type": "object"}), *_TABLES, "text/event-stream",
    ),
    "/audit/decisions/{id}": _route(
        "One decision, explained; 404 with kept: false if it was only counted",
        [_IN_PATH | {"name": "id", "description": "The id in X-Tenure-Decision."}], _EXPLAINED,
    ),
    "/audit/alarms": _route(
        "Tenants whose calls stopped passing, and when it was over; text/event-stream follows live",
        [*_listed("tenant"), _parameter("kind", schema={"type": "string", "enum": [kind.value for kind in AlarmKind]}),
         *_listed("state", "since", "until", "format", "after", "limit")],
        _list_of({"type": "object"}), *_TABLES, "text/event-stream",
    ),
    "/audit/tenants": _route(
        "Tenants by client key, now or then",
        [*_listed("kid", "at", "position", "limit"), _parameter("after", schema=_TEXT)],
        _list_of(_object(TENANT_FIELDS)), *_TABLES,
    ),
    "/audit/tenants/{tenant}": _route(
        "One tenant, now or then",
        [_IN_PATH | {"name": "tenant", "description": "As the parameter tenant."}, *_listed("at", "position")],
        _object(TENANT_FIELDS),
    ),
    "/audit/head": _route("The log's head as a signed note, to be kept elsewhere", [], None, "text/plain"),
    "/audit/diagnose": _route(
        "What happened to a site, the likely cause, what to do next",
        [_parameter("tenant", required=True), *_listed("since", "until")], _DIAGNOSIS,
    ),
    "/audit/measured": _route(
        "What vendors are measured on, over 28 days or since a time", _listed("since", "quiet"),
        _object(("since", "installs", "webhooks", "twins", "quiet", "scanner", "strangers")),
    ),
}  # fmt: skip
