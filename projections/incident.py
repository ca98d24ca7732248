"""A case as it may leave the house: what explains it, and nothing known to open, name or place a person.

Kept: the tenant's history, its calls with their facts, the service's starts with the settings that decide, tenants of
the same site, and from elsewhere only what the causes count (when, what kind, which reason).
- Sealed texts (secrets, personal fields, addresses) are left out: a key that turns up later opens nothing.
- Accounts are marks of this file alone: equal ones are equal, and nobody can trace them back, not even by the log.
- Addresses are the marks that the decision log filters by; a proxy's own address is left out.
- Paths and user agents are as they were called, and the file says so: only the app knows what it puts into a path.
- Who operates the service and on which host, and their free words, are left out; other tenants are marks.
Opening the file builds the same case anew and asks the same diagnosis, timeline and explanations of it.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from tenure.domain.decisions import Decision, Facts
from tenure.domain.events import Erased, Event, Installed, Operated, Reinstated, Switched
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant
from tenure.projections.case import STARTED, Case
from tenure.projections.shown import decision_fields, event_fields

LEFT_OUT = "left out"
_TOLD = ("version", "settings", "deciding")


class Redactor:
    """Takes out of one case what is not to leave; its marks are made under a key that is then forgotten."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def mark(self, text: str) -> str:
        """The same for the same text in this file, and nowhere else."""
        return hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()[:12] if text else ""

    def event(self, event: Event) -> Event:
        """The event without what is sealed, and without operators."""
        data = event.data
        if isinstance(data, Installed):
            data = replace(data, secret=LEFT_OUT, personal="", oauth_client_id="", public_key="")
        elif isinstance(data, Switched):
            data = replace(data, personal="")
        elif isinstance(data, Reinstated):
            data = replace(data, by=LEFT_OUT, origin=LEFT_OUT, secret=LEFT_OUT, why="")
        elif isinstance(data, Erased):
            data = replace(data, by=LEFT_OUT, origin=LEFT_OUT, why="")
        else:
            data = Operated(LEFT_OUT, LEFT_OUT, _particulars(event, data.particulars))
        return replace(event, data=data, token_fingerprint="")  # nosec B106 # left out, no password

    def call(self, call: Decision) -> Decision:
        """The call of this tenant: its account and any other tenant it named are marks, its addresses are gone."""
        facts = replace(call.facts, address="", peer="", account=self.mark(call.facts.account))
        if facts.body_client_key not in (None, "", call.claimed_client_key):
            facts = replace(facts, body_client_key=self.mark(facts.body_client_key or ""))
        return replace(call, facts=facts)

    def elsewhere(self, call: Decision) -> Decision:
        """Another tenant's call: when, which kind, which reason."""
        # of a key host that gave no key it is told which, because that is ours
        detail = call.detail if call.reason == Reason.KEY_UNAVAILABLE else ""
        return replace(
            call, decision=self.mark(call.decision), client_key="", detail=detail, method="", path="", took_ms=0.0,
            claimed_client_key=self.mark(call.claimed_client_key), read_position=0, facts=Facts(),
        )  # fmt: skip

    def tenant(self, tenant: Tenant) -> Tenant:
        """A tenant of the same site, without its sealed secrets."""
        previous = replace(tenant.previous, sealed="") if tenant.previous else None
        return replace(tenant, secret=replace(tenant.secret, sealed=""), previous=previous)


def _particulars(event: Event, particulars: Mapping[str, Any]) -> dict[str, Any]:
    if event.type != STARTED:
        return {}
    told = {name: particulars[name] for name in _TOLD if name in particulars}
    if isinstance(told.get("deciding"), dict):
        told["deciding"] = {**told["deciding"], "trusted_proxies": []}
    return told


def redacted(case: Case) -> Case:
    """The case as it may leave."""
    by = Redactor()
    return Case(
        name=case.name,
        since=case.since,
        now=case.now,
        tenant=by.tenant(case.tenant) if case.tenant else None,
        history=tuple(map(by.event, case.history)),
        calls=tuple(map(by.call, case.calls)),
        last_accepted=by.call(case.last_accepted) if case.last_accepted else None,
        siblings=tuple(map(by.tenant, case.siblings)),
        elsewhere=tuple(map(by.elsewhere, case.elsewhere)),
        others=case.others,
        around=tuple(map(by.event, case.around)),
    )


def plain(case: Case) -> dict[str, Any]:
    """A case as plain values; the tenant is not among them, because its history says it all."""
    return {
        "name": case.name,
        "since": case.since,
        "until": case.now,
        "history": list(map(event_fields, case.history)),
        "calls": list(map(decision_fields, case.calls)),
        "last_accepted": decision_fields(case.last_accepted) if case.last_accepted else None,
        "siblings": [asdict(other) for other in case.siblings],
        "elsewhere": list(map(decision_fields, case.elsewhere)),
        "others": case.others,
        "around": list(map(event_fields, case.around)),
    }


ALWAYS = (
    "Secrets, account ids, descriptions and other personal fields: they are sealed in the log and left out here.",
    "Addresses: only their marks; the log's own filter finds calls by them.",
    "Accounts: marks of this file alone.",
    "Whether a path or a user agent names a person: both are in here as they were called. An app that puts account ids "
    "into its paths has them here; read them before you hand the file on.",
    "Webhook bodies, header fields, query values and tokens: they are never recorded.",
    "Whether the log is intact: the hashes are those of the log, but the sealed texts they cover are not here. "
    "Compare the head with one that was kept (tenure log verify --head).",
    "Who operates the service, from where, and why in their words.",
    "Calls of other tenants, but for when they were refused and why.",
)


def cannot_show(counted: int, kept: int, calls: int, most: int, oldest: str, since: str) -> Iterable[str]:
    """What this file cannot show, a sentence each. `counted` and `kept` are the tenant's decisions in the whole hours
    of the time, `calls` how many are in the file, `most` how many are read at most, `oldest` the first one kept.
    """
    yield from ALWAYS
    if counted > kept:
        yield f"{counted - kept} of {counted} decisions of these hours: they were counted and not kept."
    if calls >= most:
        yield f"Calls before the newest {most} of this time."
    if not oldest or oldest > since:
        yield f"Calls before {oldest or 'now'}: decisions are kept from then on."
