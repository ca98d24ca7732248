"""The page of the reasons, from `domain/refusals.py` and the statuses of `api/problems.py`."""

from tenure.api.problems import STATUS
from tenure.domain.refusals import REASONS, Reason, Step

HEAD = """# Reasons

<!-- Made by `make pictures` from domain/refusals.py and api/problems.py. Change those, then make it again. -->

Why a call was refused. The code is stable: programs may match on it. It stands in the decision log
(`tenure decisions`), in the service's own log, and in the answer to a caller whose proof was believed (400, 413, 503).
A caller whose proof was not believed gets a 401 that names no reason, only the id of the decision.

A call is checked step by step, in the order below; the first step that fails gives the reason, so every earlier one
has passed. Where a status is 503 the fault is ours, not the caller's, and the answer has a `Retry-After`.
`secret_superseded` is answered 425 instead of 401 for 60 seconds after a rotation, when the call is a webhook or a
page: Jira retries that, and a 401 would lose it.
"""
STEPS = {
    Step.SIZE: "Size",
    Step.SYNTAX: "Which request, which token",
    Step.ALGORITHM: "Algorithm",
    Step.CLAIMS: "Claims",
    Step.TIMES: "Times",
    Step.KEY: "Key or secret",
    Step.SIGNATURE: "Signature",
    Step.AUDIENCE: "Audience",
    Step.QSH: "Bound to this URL",
    Step.ISSUER: "Issuer against the body",
    Step.REUSE: "Used before",
    Step.PAYLOAD: "Payload",
    Step.STATE: "State of the tenant, and of the store",
}


def page() -> str:
    """The Markdown text: a table for each step that gives reasons."""
    parts = [HEAD]
    for number, step in enumerate(Step, start=1):
        reasons = [reason for reason in Reason if REASONS[reason].step is step]
        parts.append(
            f"\n## {number}. {STEPS[step]}\n\n| Reason | Status | What it means | What to do |\n|---|---|---|---|\n"
        )
        for reason in reasons:
            entry = REASONS[reason]
            parts.append(f"| `{reason.value}` | {STATUS[reason]} | {entry.sentence} | {entry.next} |\n")
    return "".join(parts)
