"""What `/openapi.json` says: the routes of both listeners (OpenAPI 3.1)."""

from typing import Any

from tenure.api import openapi_audit
from tenure.api.signing import SignRequest


def _responses(*statuses: tuple[int, str]) -> dict[str, Any]:
    return {str(status): {"description": text} for status, text in statuses}


_REFUSED = ((401, "No proof that holds."), (503, "Try again; see Retry-After."))
_LIFECYCLE = _responses(
    (204, "Believed, durable and in force."),
    (400, "Believed, but not a good payload."),
    (408, "The body did not arrive in time."),
    (413, "Over 256 KiB."),
    *_REFUSED,
)


def _lifecycle(name: str) -> dict[str, Any]:
    return {"post": {"summary": f"Jira says: {name}", "tags": ["public"], "responses": _LIFECYCLE}}


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Tenure", "version": "0.1.0"},
    "paths": {
        **{f"/{name}": _lifecycle(name) for name in ("installed", "uninstalled", "enabled", "disabled")},
        "/webhooks/{anything}": {
            "post": {
                "summary": "A webhook: checked, de-duplicated, passed on",
                "tags": ["public"],
                "parameters": [
                    {"name": "anything", "in": "path", "required": True, "schema": {"type": "string"}},
                ],
                "responses": _responses(
                    (200, "The upstream's own status."),
                    (204, "A duplicate of one the upstream took."),
                    (404, "No upstream."),
                    (408, "The body did not arrive in time."),
                    (413, "Too large."),
                    (425, "The secret was just replaced: send again."),
                    (502, "The upstream cannot be reached."),
                    (504, "The upstream takes too long."),
                    *_REFUSED,
                ),
            }
        },
        "/atlassian-connect.json": {
            "get": {
                "summary": "The app's descriptor",
                "tags": ["public"],
                "responses": _responses((200, "As configured (DESCRIPTOR_FILE)."), (404, "None is configured.")),
            }
        },
        "/healthz": {"get": {"tags": ["public"], "responses": _responses((200, "The process is up."))}},
        "/metrics": {
            "get": {
                "summary": "Counters of all workers, for Prometheus",
                "tags": ["internal"],
                "security": [{"token": []}],
                "responses": _responses(
                    (200, "Prometheus text."), (401, "No API token in force."), (429, "Too many."), (503, "Try again.")
                ),
            }
        },
        "/forward-auth": {
            "get": {
                "summary": "May the request that the proxy holds pass?",
                "tags": ["internal"],
                "parameters": [
                    {"name": "accept", "in": "query", "schema": {"type": "string", "enum": ["context"]}},
                ],
                "responses": _responses(
                    (200, "It may; identity in X-Tenure-*."),
                    (404, "FORWARD_AUTH is not set."),
                    (425, "The secret was just replaced: send again."),
                    *_REFUSED,
                ),
            }
        },
        "/sign": {
            "post": {
                "summary": "A token for a call to a site",
                "tags": ["internal"],
                "security": [{"token": []}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": SignRequest.model_json_schema()}},
                },
                "responses": _responses(
                    (200, "token, expires_at, base_url"),
                    (400, "Not a good request."),
                    (401, "No API token."),
                    (403, "Scope sign is missing."),
                    (404, "No such tenant."),
                    (409, "Uninstalled, or several."),
                    (429, "Too many failures."),
                    (503, "Try again."),
                ),
            }
        },
        "/readyz": {
            "get": {"tags": ["internal"], "responses": _responses((200, "Ready."), (503, "Not ready."))},
        },
        "/console/": {
            "get": {
                "summary": "Pages for people",
                "tags": ["internal"],
                "responses": _responses((200, "The page."), (401, "The login form."), (503, "Try again.")),
            }
        },
        "/console/login": {
            "post": {
                "summary": "Begins a session of the console, from a form of its own page",
                "tags": ["internal"],
                "responses": _responses(
                    (303, "In; with the session's cookie."),
                    (401, "No API token in force."),
                    (403, "Scope audit is missing, or the form came from elsewhere."),
                    (429, "Too many failures."),
                ),
            }
        },
        "/console/logout": {
            "post": {
                "summary": "Ends it in this browser",
                "tags": ["internal"],
                "responses": _responses((303, "Out."), (403, "The form came from elsewhere.")),
            }
        },
        **openapi_audit.PATHS,
        "/openapi.json": {"get": {"tags": ["internal"], "responses": _responses((200, "This document."))}},
    },
    "components": {
        "schemas": {"Problem": openapi_audit.PROBLEM},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}
