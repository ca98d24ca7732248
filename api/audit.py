"""`/audit`: everything an investigator asks, over HTTP, with the same filters and field names as on the command line.

Each read is let in by an API token of scope `audit` and is itself a decision (kind `audit`), recorded with what was
asked before anything is shown: what cannot be recorded is not answered. Reading runs on a thread and on connections of
its own, so that no check waits for an investigator. A page goes on by a key that never moves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson

from tenure.api.audit_feed import Feed
from tenure.api.audit_pages import (
    ALARM_PARAMETERS,
    DECISION_PARAMETERS,
    EVENT_PARAMETERS,
    TENANT_PARAMETERS,
    THEN,
    Page,
    alarm_filter,
    alarm_page,
    counted,
    decision_filter,
    decision_page,
    event_filter,
    event_page,
    one_tenant,
    position_of,
    tenant_page,
)
from tenure.api.formats import CLOUD, CSV, JSON, NDJSON, STREAM, csv_lines, ndjson_line, wanted
from tenure.api.http import Answer, Call
from tenure.api.problems import problem, unrecorded, with_decision
from tenure.api.questions import Question, QuestionError, as_cloud_events
from tenure.api.recorder import Recorder, new_id
from tenure.api.signing import Access
from tenure.domain.questions import STORED
from tenure.domain.refusals import OursError, Reason
from tenure.projections.archive import Archive
from tenure.projections.diagnosis import diagnose
from tenure.projections.explain import explain
from tenure.projections.shown import cloud_event, explanation_fields, tenant_fields

T = TypeVar("T")
_REASONS = {
    400: Reason.PAYLOAD_INVALID,
    401: Reason.ACCESS_DENIED,
    403: Reason.ACCESS_DENIED,
    404: Reason.TENANT_UNKNOWN,
    406: Reason.PAYLOAD_INVALID,
    409: Reason.REQUEST_AMBIGUOUS,
    429: Reason.ACCESS_DENIED,
    503: Reason.STORE_UNAVAILABLE,
}
FORMATS = (JSON, CSV, NDJSON)


class Audit:
    """Handles `/audit/…`; `archive` is used by the reading thread alone."""

    def __init__(self, access: Access, recorder: Recorder, archive: Archive) -> None:
        self._access = access
        self._recorder = recorder
        self._archive = archive
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self.feed = Feed(self.read)
        self._routes: dict[str, Callable[[Call], Awaitable[Answer]]] = {
            "/audit/events": self._events,
            "/audit/decisions": self._decisions,
            "/audit/alarms": self._alarms,
            "/audit/tenants": self._tenants,
            "/audit/diagnose": self._diagnose,
            "/audit/measured": self._measured,
        }

    def close(self) -> None:
        """Ends the reading thread."""
        self._thread.shutdown(cancel_futures=True)

    async def read(self, ask: Callable[[Archive], T]) -> T:
        """The answer to a question, from the reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask, self._archive)

    async def handle(self, call: Call) -> Answer:
        """The answer to any read of `/audit`; recorded before it is given."""
        decision = new_id()
        answer = await self._access.deny(call, "audit", decision) or await self._answer(call)
        try:
            await self._recorder.record(
                call, decision=decision, kind="audit", status=answer.status, reason=_REASONS.get(answer.status),
                detail=f"{self._access.holder(call)}: {call.query}",
            )  # fmt: skip
        except OursError:
            if answer.stream is not None:
                await answer.stream.aclose()
            return unrecorded(call)
        return with_decision(answer, decision)

    async def _answer(self, call: Call) -> Answer:
        try:
            if call.path in self._routes:
                return await self._routes[call.path](call)
            for prefix, of_one in (("/audit/tenants/", self._tenant), ("/audit/decisions/", self._decision)):
                name = unquote(call.path.removeprefix(prefix))
                if call.path.startswith(prefix) and name and "\0" not in name:
                    return await of_one(call, name)
        except QuestionError as error:
            return problem(error.status, str(error))
        return problem(404, "There is nothing here.")

    def _allowed(self, call: Call) -> Callable[[], bool]:
        return lambda: self._access.allows(call, "audit")

    # -- lists

    async def _events(self, call: Call) -> Answer:
        question = Question(call, EVENT_PARAMETERS)
        if _follows(call):
            chosen = await self.read(lambda archive: event_filter(archive, question))
            return await self.feed.events(call, question, chosen, self._allowed(call))
        return _page(call, question, await self.read(lambda archive: event_page(archive, question)))

    async def _decisions(self, call: Call) -> Answer:
        question = Question(call, DECISION_PARAMETERS)
        if question.text("by") is not None:
            return _page(call, question, await self.read(lambda archive: counted(archive, question)))
        if _follows(call):
            chosen = await self.read(lambda archive: decision_filter(archive, question))
            return await self.feed.decisions(call, question, chosen, self._allowed(call))
        return _page(call, question, await self.read(lambda archive: decision_page(archive, question)))

    async def _alarms(self, call: Call) -> Answer:
        question = Question(call, ALARM_PARAMETERS)
        if _follows(call):
            chosen = await self.read(lambda archive: alarm_filter(archive, question))
            return await self.feed.alarms(call, question, chosen, self._allowed(call))
        return _page(call, question, await self.read(lambda archive: alarm_page(archive, question)))

    async def _tenants(self, call: Call) -> Answer:
        question = Question(call, TENANT_PARAMETERS)
        return _page(call, question, await self.read(lambda archive: tenant_page(archive, question)))

    # -- one

    async def _tenant(self, call: Call, name: str) -> Answer:
        question = Question(call, frozenset(THEN))

        def ask(archive: Archive) -> Answer:
            then = archive.tenant_at(one_tenant(archive, name), position_of(archive, question))
            return _json(tenant_fields(then)) if then else problem(404, f"{name[:255]} was not known then.")

        return await self.read(ask)

    async def _decision(self, call: Call, name: str) -> Answer:
        Question(call, frozenset())

        def ask(archive: Archive) -> Answer:
            stored = archive.decisions.one(name)
            if stored is None:
                return _not_kept()
            return _json(explanation_fields(stored.decision, explain(archive.known(stored.decision))))

        return await self.read(ask)

    async def _diagnose(self, call: Call) -> Answer:
        question = Question(call, frozenset(("tenant", "since", "until")))
        name = question.text("tenant")
        if name is None:
            raise QuestionError("tenant says which site is meant: a client key, a host name or URL.")
        until = question.time("until") or ago()
        since = question.time("since") or ago(hours=12)
        return _json(asdict(await self.read(lambda archive: diagnose(archive.case(name, since, until)))))

    async def _measured(self, call: Call) -> Answer:
        question = Question(call, frozenset(("since", "quiet")))
        since, quiet = question.time("since") or ago(days=28), question.time("quiet") or ago(days=7)
        return _json(asdict(await self.read(lambda archive: archive.measured(since, quiet))))


def ago(**age: int) -> str:
    """So long ago, as stored."""
    return (datetime.now(UTC) - timedelta(**age)).strftime(STORED)


def _follows(call: Call) -> bool:
    return call.method != "HEAD" and wanted(call.one(b"accept"), (*FORMATS, STREAM, CLOUD)) in (STREAM, CLOUD)


def _json(value: Any) -> Answer:
    return Answer(200, orjson.dumps(value), ((b"content-type", JSON.encode()),))


def _not_kept() -> Answer:
    answer = problem(404, "There is no such decision, or it was only counted.")
    return replace(answer, body=orjson.dumps({**orjson.loads(answer.body), "kept": False}))


def _page(call: Call, question: Question, page: Page) -> Answer:
    kind = wanted(call.one(b"accept"), FORMATS)
    if kind is None:
        return problem(406, f"This route answers in {', '.join(FORMATS)}.")
    if page.told and as_cloud_events(call, question):
        if kind == CSV:
            raise QuestionError("CloudEvents are JSON: ask for application/json or application/x-ndjson.", 406)
        page = replace(page, items=[cloud_event(item) for item in page.items])
    if kind == JSON:
        body = orjson.dumps({"items": page.items, "next": page.next})
    elif kind == CSV:
        body = "".join(csv_lines(page.items, page.columns)).encode()
    else:
        body = "".join(map(ndjson_line, page.items)).encode()
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", kind.encode()),)
    if page.next is not None:
        headers += ((b"link", f'<{question.next_link(page.next)}>; rel="next"'.encode("latin-1")),)
    return Answer(200, body, headers)
