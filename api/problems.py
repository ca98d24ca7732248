"""Reasons to statuses, in one table, and the bodies of refusals (RFC 9457).

An unproven caller learns nothing but the id of the decision: 401 has always the same body but for that id. Once a
proof has been believed, the reason is told (400). What is ours is 503 with Retry-After; 425 asks Jira to come again.
"""

import html
from dataclasses import replace

import orjson

from tenure.api.http import Answer, Call
from tenure.domain.refusals import REASONS, Reason

STATUS: dict[Reason, int] = dict.fromkeys(Reason, 401) | {
    Reason.PAYLOAD_TOO_LARGE: 413,
    Reason.PAYLOAD_INVALID: 400,
    Reason.APP_MISMATCH: 400,
    Reason.EVENT_TYPE_MISMATCH: 400,
    Reason.SITE_NOT_ALLOWED: 400,
    Reason.KEY_UNAVAILABLE: 503,
    Reason.STORE_UNAVAILABLE: 503,
    Reason.UNRECORDABLE: 503,
    Reason.UNEXPECTED: 503,
    Reason.BODY_INCOMPLETE: 408,
}
RETRY = 425

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    425: "Too Early",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_TOLD = frozenset((400, 408, 413, 503))
_PLAIN = {
    401: "This request could not be authenticated. Whoever runs this app can find out why by the decision's id.",
    425: "Please send this request again in a moment.",
}
_JSON = (b"content-type", b"application/problem+json")
_HTML = (
    (b"content-type", b"text/html; charset=utf-8"),
    # framed it may be: Jira shows what a refused page load gets in its frame, and there is nothing in it to click
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'"),
)


def problem(status: int, detail: str, *, html_wanted: bool = False, headers: tuple[tuple[bytes, bytes], ...] = (),
            **members: str) -> Answer:  # fmt: skip
    """A refusal or error as problem+json, or as a plain page for a browser."""
    title = _TITLES[status]
    if html_wanted:
        reference = (
            f"<p>Reference: <code>{html.escape(members['decision'])}</code></p>" if "decision" in members else ""
        )
        page = f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{html.escape(detail)}</p>{reference}"
        return Answer(status, page.encode(), (*_HTML, *headers))
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Answer(status, orjson.dumps(body), (_JSON, *headers))


def refusal(reason: Reason, decision: str, app_key: str, *, retry: bool = False, html_wanted: bool = False) -> Answer:
    """The answer to a refused call."""
    status = RETRY if retry else STATUS[reason]
    headers: tuple[tuple[bytes, bytes], ...] = ((b"x-tenure-decision", decision.encode()),)
    if status == 401:
        challenge = f'JWT realm="{app_key}", decision="{decision}"'
        if reason is Reason.ACCESS_DENIED:
            challenge += ', Bearer realm="tenure"'
        headers += ((b"www-authenticate", challenge.encode("latin-1", "replace")),)
    if status == 408:
        headers += ((b"connection", b"close"),)
    if status in (425, 503):
        headers += ((b"retry-after", b"5"),)
    if status in _TOLD:
        entry = REASONS[reason]
        return problem(
            status, entry.sentence, html_wanted=html_wanted, headers=headers, reason=reason.value, decision=decision
        )
    return problem(status, _PLAIN[status], html_wanted=html_wanted, headers=headers, decision=decision)


def unrecorded(call: Call) -> Answer:
    """The answer to a call whose decision could not be recorded."""
    retry = ((b"retry-after", b"5"),)
    return problem(503, "The decision could not be recorded.", html_wanted=call.wants_html, headers=retry)


def with_decision(answer: Answer, decision: str) -> Answer:
    """The answer with the decision's id in its headers."""
    name = b"x-tenure-decision"
    if any(header == name for header, _ in answer.headers):
        return answer
    return replace(answer, headers=(*answer.headers, (name, decision.encode())))
