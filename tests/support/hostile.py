"""A house in which every field that a stranger can fill, and some that he cannot, holds hostile text."""

from dataclasses import fields
from typing import Any

from support.house import APP_KEY, House
from tenure.api.recorder import new_id
from tenure.domain.decisions import Decision, Entry, Facts
from tenure.domain.events import Cause, Changed, Draft, EventType, Installed, Operated, Switched
from tenure.domain.ports import Append
from tenure.projections.security_context import SecurityContextProjector
from tenure.store.clock import utc_now
from tenure.store.decisions import SqliteDecisions
from tenure.store.sqlite import SqliteLog

MARKUP = "\"'></title></style></textarea></bdi><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
STRANGE = "\u202eturned\u2066 {{7*7}} ${7*7} javascript:window.hacked=1 ]]> --> &lt; Z" + "\u0334\u0353" * 40
LONG = "W" * 300
HOSTILE = f"{MARKUP}{STRANGE}{LONG}"
KEY = "evil\"'><script>window.hacked=1</script>/../?#%2e"
TWIN = f"twin{MARKUP}"  # another tenant of the same site


def _filled(shape: type[Any], /, **given: Any) -> Any:
    texts = {field.name: HOSTILE for field in fields(shape) if field.type in (str, "str") and field.name not in given}
    return shape(**texts, **given)


def decision(client_key: str = KEY, **given: Any) -> Decision:
    """A decision with hostile text in every field of text."""
    facts = _filled(
        Facts, now=1.8e9, iat=1 << 60, exp=(1 << 60) + 60, aud=(HOSTILE, HOSTILE), expected_qsh=(HOSTILE,),
        query_names=(HOSTILE,), mistakes=(HOSTILE,), alg="HS256", purpose="traffic", match="none",
        address_mark="0" * 16,
    )  # fmt: skip
    usual = {
        "decision": new_id(), "at": utc_now(), "kind": "webhook", "verdict": "refused", "reason": "signature_bad",
        "client_key": client_key, "claimed_client_key": client_key, "status": 401, "took_ms": 0.5, "read_position": 1,
        "facts": facts,
    }  # fmt: skip
    made: Decision = _filled(Decision, **(usual | given))
    return made


def record(house: House, *decisions: Decision) -> None:
    """Puts decisions into the house's log."""
    store = SqliteDecisions(house.folder / "decisions.db")
    try:
        store.record([Entry(one) for one in decisions])
    finally:
        store.close()


def append(house: House, client_key: str, *drafts: Draft) -> None:
    """Puts events into the house's log."""
    log = SqliteLog(house.folder / "events.db", [SecurityContextProjector()])
    try:
        for draft in drafts:
            log.append([Append(APP_KEY, client_key, log.version(APP_KEY, client_key), draft, None)])
    finally:
        log.close()


def fill(house: House) -> None:
    """Hostile events and decisions, and an honest tenant beside them."""
    site = house.installed(base_url="https://honest.atlassian.net")
    site.webhook(headers={"User-Agent": MARKUP})
    installed = _filled(Installed, base_url=f"https://x.atlassian.net/{MARKUP}", secret="sealed", personal="")
    proof = {"kind": HOSTILE, "kid": HOSTILE}
    append(
        house, KEY, Draft(EventType.INSTALLED, proof, installed, Changed(Cause.FIRST, (HOSTILE,))),
        Draft(EventType.ENABLED, proof, Switched()), Draft(HOSTILE, proof, Switched()),
    )  # fmt: skip
    append(house, TWIN, Draft(EventType.INSTALLED, proof, installed, Changed(Cause.FIRST, (HOSTILE,))))
    append(house, "", Draft(f"operator.{MARKUP}", proof, Operated(HOSTILE, HOSTILE, {HOSTILE: HOSTILE})))
    record(
        house, decision(), decision(kind=MARKUP, reason=HOSTILE), decision(verdict="accepted", reason="", status=204),
        decision(reason="secret_superseded"), decision(client_key=HOSTILE),
    )  # fmt: skip
