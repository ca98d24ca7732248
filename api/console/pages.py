"""What each page shows: from the archive and what was asked to an answer. Reads only; runs on the reading thread."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from markupsafe import Markup

from tenure.api.audit import ago
from tenure.api.audit_pages import (
    DECISION_PARAMETERS,
    EVENT_PARAMETERS,
    decision_filter,
    event_page,
    position_of,
)
from tenure.api.console import render
from tenure.api.http import Answer, Call
from tenure.api.questions import Question
from tenure.domain.decisions import Decision, Wanted
from tenure.domain.refusals import Reason
from tenure.domain.tenant import Tenant
from tenure.domain.times import stored_at
from tenure.projections.archive import Archive
from tenure.projections.diagnosis import diagnose
from tenure.projections.explain import explain
from tenure.projections.shown import decision_fields, event_fields, tenant_fields
from tenure.projections.timeline import BEGINNING, timeline
from tenure.projections.timeline_svg import picture

ROWS = 50
MEGABYTE = 1024 * 1024
_REASONS = tuple(sorted(Reason))
_UNIX = ("now", "iat", "exp", "nbf")


class Conditions(Protocol):
    """How the service is."""

    @property
    def problems(self) -> tuple[str, ...]: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    @property
    def settings(self) -> str: ...

    @property
    def quota(self) -> int: ...


class Refusal(Exception):  # noqa: N818 (it is an answer)
    """No page can be shown: a title, a sentence, an HTTP status, and what may have been meant."""

    def __init__(self, title: str, sentence: str, status: int, choices: tuple[Tenant, ...] = ()) -> None:
        super().__init__(sentence)
        self.title, self.status, self.choices = title, status, choices


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, in whose name, the rest of its path, the mark of the address searched for, and the service's state."""

    call: Call
    who: str
    key: str
    mark: str
    condition: Conditions

    def page(self, template: str, here: str, **values: Any) -> Answer:
        """The page, with what every page needs."""
        return render.page(template, here=here, who=self.who, **values)

    def question(self, *names: str) -> Question:
        """The parameters of the call; only these are known."""
        return Question(self.call, frozenset(names))


def _link(kind: str, key: str) -> str:
    return render.url(f"{kind}s", key)


def _texts(question: Question, *names: str) -> dict[str, str]:
    return {name: question.text(name) or "" for name in names}


def health(archive: Archive, asked: Asked) -> Answer:
    """How the service is, and what vendors are measured on."""
    asked.question()
    day = Wanted(since=ago(hours=24))
    measured = archive.measured(ago(days=28), ago(days=7))
    head, head_hash = archive.events.head()
    failures = sorted((*measured.installs.failures, *measured.webhooks.failures), key=lambda one: one["at"])
    return asked.page(
        "health.html", "health", measured=measured, head=head, head_hash=head_hash, failures=failures[:-11:-1],
        day=archive.decisions.total(day), oldest=archive.decisions.oldest(),
        used_mb=f"{archive.decisions.size()[0] / MEGABYTE:.1f}", quota_mb=asked.condition.quota // MEGABYTE,
        by_reason=archive.decisions.counts("reason", day)[:15], refused=_found(archive, Wanted(verdict="refused"), 10),
        problems=asked.condition.problems, notices=asked.condition.notices, settings=asked.condition.settings,
    )  # fmt: skip


def _found(archive: Archive, wanted: Wanted, limit: int = ROWS) -> list[Decision]:
    return [one.decision for one in archive.decisions.page(wanted, limit=limit)]


def tenants(archive: Archive, asked: Asked) -> Answer:
    """Tenants by client key."""
    after = asked.question("after").text("after") or ""
    found = archive.tenants(after, ROWS + 1)
    beyond = found[ROWS - 1].client_key if len(found) > ROWS else ""
    return asked.page("tenants.html", "tenants", tenants=found[:ROWS], next=beyond, after=after)


def one_tenant(archive: Archive, name: str) -> Tenant:
    """The tenant of a name, or Refusal."""
    found = archive.find(name)
    if not found:
        raise Refusal("Not known", f"No tenant {name[:255]} is known.", 404)
    if len(found) > 1:
        raise Refusal("Several tenants", f"{name[:255]} names several tenants, newest first:", 409, tuple(found))
    return found[0]


def tenant(archive: Archive, asked: Asked) -> Answer:
    """One tenant: its state now or then, its diagnosis, its timeline, its calls and its history."""
    question = asked.question("since", "until", "at", "position")
    now = one_tenant(archive, asked.key)
    position = position_of(archive, question)
    then = archive.tenant_at(now, position)
    case = archive.case(now.client_key, question.time("since") or BEGINNING, question.time("until") or ago())
    recent = case if question.text("since") else archive.case(now.client_key, ago(hours=12), case.now)
    life = timeline(case)
    return asked.page(
        "tenant.html", "tenants", now=now, position=position, then=then and tenant_fields(then), life=life,
        svg=Markup(picture(life, links=_link)),  # noqa: S704 # nosec B704 # the picture escapes its own text
        siblings=case.siblings, diagnosis=diagnose(recent), calls=case.calls[:-26:-1],
        history=[event_fields(event) for event in reversed(case.history)],
        asked_since=question.text("since") or "", asked_until=question.text("until") or "",
    )  # fmt: skip


def events(archive: Archive, asked: Asked) -> Answer:
    """The log, oldest first, filtered."""
    question = Question(asked.call, EVENT_PARAMETERS)
    found = event_page(archive, question)
    shown = _texts(question, "tenant", "type", "kid", "since", "until")
    beyond = question.next_link(found.next) if found.next else ""
    return asked.page("events.html", "events", items=found.items, next=beyond, asked=shown)


def event(archive: Archive, asked: Asked) -> Answer:
    """One event."""
    asked.question()
    number = int(asked.key) if asked.key.isascii() and asked.key.isdigit() and len(asked.key) < 18 else 0
    found = next(archive.events.read(after=max(number, 1) - 1, limit=1), None)
    if found is None or found.position != number:
        raise Refusal("Not known", f"There is no event {asked.key[:40]}.", 404)
    one = event_fields(found)
    data = {name: "sealed" if name in ("secret", "personal") else value for name, value in one["data"].items()}
    chain = {"position": found.position, "hash": found.hash, "token": found.token_fingerprint or "none"}
    return asked.page(
        "event.html", "events", one=one, data=_pairs(data), proof=_pairs(one["proof"]), chain=_pairs(chain),
        last=number == archive.events.head()[0],
    )  # fmt: skip


def _moment(seconds: float) -> str:
    try:
        return f"{seconds} = {stored_at(seconds)}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds}, beyond any calendar"


def _pairs(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, value if isinstance(value, str) else _text(value)) for name, value in values.items()]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return orjson.dumps(value).decode()


def decisions(archive: Archive, asked: Asked) -> Answer:
    """Decisions, newest first, filtered."""
    question = Question(asked.call, DECISION_PARAMETERS | {"mark"} - {"by", "order"})
    chosen = replace(decision_filter(archive, question), address_mark=question.text("mark"))
    found = archive.decisions.page(chosen, after=question.number("after"), limit=ROWS + 1)
    shown = _texts(question, "tenant", "claimed", "verdict", "reason", "kind", "since", "until", "mark")
    return asked.page(
        "decisions.html", "decisions", items=[one.decision for one in found[:ROWS]], asked=shown, reasons=_REASONS,
        next=question.next_link(str(found[ROWS - 1].number)) if len(found) > ROWS else "",
    )  # fmt: skip


def decision(archive: Archive, asked: Asked) -> Answer:
    """One decision, explained."""
    asked.question()
    stored = archive.decisions.one(asked.key)
    if stored is None:
        sentence = f"There is no decision {asked.key[:100]}, or it was only counted, as in a flood."
        raise Refusal("Not known", sentence, 404)
    facts = decision_fields(stored.decision)["facts"]
    facts |= {name: _moment(facts[name]) for name in _UNIX if name in facts}
    hidden = ("address", "address_mark", *(name for name in ("gone", "retry") if not facts.get(name)))
    return asked.page(
        "decision.html", "decisions", one=stored.decision, found=explain(archive.known(stored.decision)),
        facts=_pairs({name: value for name, value in facts.items() if name not in hidden}),
    )  # fmt: skip


def incident(archive: Archive, asked: Asked) -> Answer:
    """What happened between two times, to one tenant or to all."""
    question = asked.question("since", "until", "tenant")
    since, until, name = (
        question.time("since") or ago(hours=24),
        question.time("until") or ago(),
        question.text("tenant"),
    )
    key = one_tenant(archive, name).client_key if name else None
    counted, refused = (
        Wanted(client_key=key, since=since, until=until),
        Wanted(verdict="refused", since=since, until=until),
    )
    if key:
        refused = replace(refused, claimed_client_key=key)
    found = archive.events.read(client_key=key, since=since, until=until, limit=200)
    return asked.page(
        "incident.html", "incident", since=since, until=until,
        by_reason=archive.decisions.counts("reason", counted)[:20],
        by_hour=archive.decisions.counts("hour", counted)[-24:], refused=_found(archive, refused),
        events=[event_fields(event) for event in found],
        diagnosis=diagnose(archive.case(key, since, until)) if key else None,
        asked={"since": question.text("since") or "24h", "until": question.text("until") or "", "tenant": name or ""},
    )  # fmt: skip


def search(archive: Archive, asked: Asked) -> Answer:
    """Finds by site, client key, installation id, decision id, event, webhook or address."""
    q = (asked.question("q").text("q") or "").strip()
    by_address: list[Decision] = []
    if asked.mark:
        refused = _found(archive, Wanted(address_mark=asked.mark, verdict="refused"))
        accepted = _found(archive, Wanted(address_mark=asked.mark, verdict="accepted", since=ago(hours=24)))
        by_address = sorted((*refused, *accepted), key=lambda one: one.at, reverse=True)
    one = archive.decisions.one(q) if q else None
    number = int(q) if q.isascii() and q.isdigit() and len(q) < 18 else 0
    known = 0 < number <= archive.events.head()[0]
    return asked.page(
        "search.html", "", q=q, tenants=archive.find(q)[:ROWS] if q else [],
        decisions=[one.decision] if one else by_address,
        event=number if known else 0, mark=asked.mark,
        webhooks=_found(archive, Wanted(identifier=q, verdict="refused")) if q and not asked.mark else [],
    )  # fmt: skip


def live(archive: Archive, asked: Asked) -> Answer:
    """The newest decisions, and the place from which the feed goes on."""
    asked.question()
    found = archive.decisions.page(limit=ROWS)
    feed = render.url("feed", after=found[0].number if found else 0)
    return asked.page("live.html", "live", items=[one.decision for one in found], feed=feed)


Show = Callable[[Archive, Asked], Answer]
# by the first piece of the path, and whether there is a second
PAGES: dict[tuple[str, bool], Show] = {
    ("", False): health,
    ("tenants", False): tenants,
    ("tenants", True): tenant,
    ("events", False): events,
    ("events", True): event,
    ("decisions", False): decisions,
    ("decisions", True): decision,
    ("incident", False): incident,
    ("search", False): search,
    ("live", False): live,
}
