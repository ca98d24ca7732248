"""The reasons for which a call is refused, in the order in which they are looked for.

Where several hold, the one reported is the first in this order: size, token syntax, algorithm, the claims'
shape and times, key or secret, signature, audience, query-string hash, issuer against the body's clientKey,
reuse, payload, state of the tenant. A reason is stable: programs may match on it. It is told to the operator
(decision log) and, once a proof has been believed, to the caller; an unproven caller learns only the id of the
decision.

Two families: `Refused` is theirs (the call is wrong, and says so), `OursError` is ours (the store or the key host
failed us; the caller may try again).
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Step(IntEnum):
    """The checks in their order; a refusal at one step means that all earlier ones passed."""

    SIZE = 1
    SYNTAX = 2
    ALGORITHM = 3
    CLAIMS = 4
    TIMES = 5
    KEY = 6
    SIGNATURE = 7
    AUDIENCE = 8
    QSH = 9
    ISSUER = 10
    REUSE = 11
    PAYLOAD = 12
    STATE = 13


class Reason(StrEnum):
    """Stable codes of a refusal."""

    TOKEN_MISSING = "token_missing"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_AMBIGUOUS = "token_ambiguous"
    TOKEN_TOO_LARGE = "token_too_large"
    TOKEN_REUSED = "token_reused"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    KID_MALFORMED = "kid_malformed"
    KID_UNKNOWN = "kid_unknown"
    KEY_UNAVAILABLE = "key_unavailable"
    SIGNATURE_BAD = "signature_bad"
    SECRET_SUPERSEDED = "secret_superseded"
    TENANT_UNKNOWN = "tenant_unknown"
    TENANT_UNINSTALLED = "tenant_uninstalled"
    TENANT_DISABLED = "tenant_disabled"
    ISSUER_MISMATCH = "issuer_mismatch"
    AUDIENCE_MISMATCH = "audience_mismatch"
    APP_MISMATCH = "app_mismatch"
    SITE_NOT_ALLOWED = "site_not_allowed"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    CLAIM_MISSING = "claim_missing"
    CLAIM_MALFORMED = "claim_malformed"
    QSH_MISSING = "qsh_missing"
    QSH_MISMATCH = "qsh_mismatch"
    CONTEXT_NOT_ALLOWED = "context_not_allowed"
    CONTEXT_REQUIRED = "context_required"
    EVENT_TYPE_MISMATCH = "event_type_mismatch"
    PAYLOAD_INVALID = "payload_invalid"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    BODY_INCOMPLETE = "body_incomplete"
    REQUEST_AMBIGUOUS = "request_ambiguous"
    ACCESS_DENIED = "access_denied"
    STORE_UNAVAILABLE = "store_unavailable"
    UNRECORDABLE = "unrecordable"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a reason means and what to do about it; `step` is where it is found."""

    step: Step
    sentence: str
    next: str


REASONS: dict[Reason, Entry] = {
    Reason.PAYLOAD_TOO_LARGE: Entry(
        Step.SIZE, "The body is larger than this route takes.", "Send less, or raise WEBHOOK_LIMIT."
    ),
    Reason.BODY_INCOMPLETE: Entry(
        Step.SIZE,
        "The body did not arrive in time or broke off (a broken chunk is answered 400), or the caller hung up.",
        "Look at the way between the sender and here.",
    ),
    Reason.TOKEN_TOO_LARGE: Entry(
        Step.SIZE, "The token is longer than 8 KiB.", "No honest token is; look at who sends it."
    ),
    Reason.REQUEST_AMBIGUOUS: Entry(
        Step.SYNTAX,
        "The proxy's headers do not say exactly once which request is meant.",
        "Check FORWARD_AUTH and the proxy's configuration.",
    ),
    Reason.ACCESS_DENIED: Entry(
        Step.SYNTAX,
        "The caller showed no API token in force with the scope this route asks for.",
        "Make one: tenure tokens create NAME --scope SCOPE.",
    ),
    Reason.TOKEN_MISSING: Entry(
        Step.SYNTAX, "The call carries no token.", "Send Authorization: JWT, or the jwt parameter."
    ),
    Reason.TOKEN_AMBIGUOUS: Entry(
        Step.SYNTAX, "The call carries more than one token.", "Send exactly one; see what adds the second."
    ),
    Reason.TOKEN_MALFORMED: Entry(
        Step.SYNTAX,
        "The token is not a strictly encoded JWS.",
        "Look at who sends it; honest senders never do.",
    ),
    Reason.ALGORITHM_NOT_ALLOWED: Entry(
        Step.ALGORITHM,
        "The token's algorithm is not the one this route takes.",
        "Lifecycle calls: see signed install; a host without it needs LEGACY_INSTALL.",
    ),
    Reason.CLAIM_MISSING: Entry(Step.CLAIMS, "A required claim is missing.", "Send iss, iat, exp (and aud)."),
    Reason.CLAIM_MALFORMED: Entry(
        Step.CLAIMS, "A claim has the wrong type or range.", "Times are whole seconds, names plain strings."
    ),
    Reason.EXPIRED: Entry(Step.TIMES, "The token has expired.", "Compare the clocks of both machines."),
    Reason.NOT_YET_VALID: Entry(
        Step.TIMES, "The token is dated in the future.", "Compare the clocks of both machines."
    ),
    Reason.LIFETIME_TOO_LONG: Entry(
        Step.TIMES, "The token lives longer than an hour.", "Make tokens of minutes, one per call."
    ),
    Reason.KID_MALFORMED: Entry(
        Step.KEY,
        "The token names no well-formed key id.",
        "Look at who sends it; Atlassian's kids are UUIDs.",
    ),
    Reason.KID_UNKNOWN: Entry(
        Step.KEY, "No configured key host knows this key id.", "Check INSTALL_KEYS_URL (staging, FedRAMP)."
    ),
    Reason.KEY_UNAVAILABLE: Entry(
        Step.KEY,
        "The key host did not give a sound key.",
        "Try again; check the way out to INSTALL_KEYS_URL.",
    ),
    Reason.TENANT_UNKNOWN: Entry(
        Step.KEY, "No tenant of this client key is known.", "Ask the admin to install the app again."
    ),
    Reason.SIGNATURE_BAD: Entry(
        Step.SIGNATURE, "The signature does not hold.", "The sender has another secret, or is a stranger."
    ),
    Reason.SECRET_SUPERSEDED: Entry(
        Step.SIGNATURE,
        "The token is signed with the secret that was replaced.",
        "The sender must take the new secret; if Jira rolled it back, reinstate the old one.",
    ),
    Reason.AUDIENCE_MISMATCH: Entry(
        Step.AUDIENCE, "The token is meant for another app.", "Check BASE_URL and EXTRA_BASE_URLS."
    ),
    Reason.QSH_MISSING: Entry(Step.QSH, "The token is not bound to a URL.", "Add the qsh claim."),
    Reason.QSH_MISMATCH: Entry(
        Step.QSH,
        "The token is bound to another URL.",
        "Compare method, path, base path and query as received.",
    ),
    Reason.CONTEXT_NOT_ALLOWED: Entry(
        Step.QSH, "A context token was sent to a route that does not take one.", "Send a URL-bound token."
    ),
    Reason.CONTEXT_REQUIRED: Entry(
        Step.QSH, "This route takes context tokens only.", "Use the token of AP.context.getToken()."
    ),
    Reason.ISSUER_MISMATCH: Entry(
        Step.ISSUER,
        "The token speaks for another tenant than the body.",
        "Someone mixes two tenants; refuse them.",
    ),
    Reason.TOKEN_REUSED: Entry(
        Step.REUSE, "The token was used before, with another body.", "Treat the token as captured."
    ),
    Reason.PAYLOAD_INVALID: Entry(
        Step.PAYLOAD,
        "The body is not a lifecycle payload.",
        "Compare it with the fields Atlassian documents.",
    ),
    Reason.APP_MISMATCH: Entry(Step.PAYLOAD, "The body names another app.", "Check APP_KEY."),
    Reason.EVENT_TYPE_MISMATCH: Entry(
        Step.PAYLOAD, "The body's eventType is not this URL's.", "Check the paths in the descriptor."
    ),
    Reason.SITE_NOT_ALLOWED: Entry(
        Step.PAYLOAD, "The body's baseUrl is not a site the keys vouch for.", "Check ALLOWED_SITES."
    ),
    Reason.TENANT_UNINSTALLED: Entry(
        Step.STATE, "The tenant has uninstalled the app.", "Nothing; a return brings a new secret."
    ),
    Reason.TENANT_DISABLED: Entry(
        Step.STATE,
        "The tenant has disabled the app.",
        "Ask the admin to enable it, or set REFUSE_DISABLED off.",
    ),
    Reason.STORE_UNAVAILABLE: Entry(Step.STATE, "The store did not answer.", "Look at disk and log; try again."),
    Reason.UNRECORDABLE: Entry(
        Step.STATE, "The decision could not be recorded in time.", "Look at the disk; try again."
    ),
    Reason.UNEXPECTED: Entry(
        Step.STATE, "Something went wrong in Tenure itself.", "Look at the log for the place; try again."
    ),
}


class Refused(Exception):  # noqa: N818 (a refusal is an answer, not an error)
    """Theirs: the call is refused, for `reason`; `detail` is for the operator and never holds a secret."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


class OursError(Exception):
    """Ours: the call could not be decided (`store_unavailable`, `key_unavailable`, `unrecordable`, `unexpected`)."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
