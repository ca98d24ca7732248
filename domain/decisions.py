"""What is recorded of a decision: the outcome of one check or lifecycle call. Never a token, never a secret."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `decision` is its id, sortable by time; `at` is UTC; `took_ms` milliseconds; `read_position` the
    position of the tenant's context that was read (0: none). `claimed_client_key` is what the token said, `client_key`
    what was proved. `verdict` is `accepted` or `refused`; `path` has no query.
    """

    decision: str
    at: str
    kind: str
    verdict: str
    reason: str
    detail: str
    client_key: str
    claimed_client_key: str
    method: str
    path: str
    status: int
    took_ms: float
    read_position: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook the upstream has taken: (clientKey, identifier) is the same in every retry of Jira's."""

    client_key: str
    identifier: str
