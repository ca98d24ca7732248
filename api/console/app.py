"""Handles `/console/…`: lets in, answers with a page, and records each look before it is shown.

What is looked at is asked and rendered on the audit's reading thread, so that no check waits for it. A look is a
decision of kind `audit`, as a read of `/audit` is, with the token's name and the query; an address that was searched
for is recorded as its mark, and what a form carries is not recorded at all. Only login and logout take a POST.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote

from tenure.api.audit import Audit
from tenure.api.audit_pages import DECISION_PARAMETERS, decision_filter
from tenure.api.console import render
from tenure.api.console.pages import PAGES, Asked, Refusal
from tenure.api.console.session import LONGEST_S, Session, Sessions, from_our_page
from tenure.api.http import Answer, Call
from tenure.api.problems import problem, with_decision
from tenure.api.questions import Question, QuestionError
from tenure.api.recorder import Recorder, new_id
from tenure.api.signing import Access
from tenure.domain.refusals import OursError, Reason

SCOPE = "audit"
FORM_LIMIT = 8 * 1024
_REASONS = {401: Reason.ACCESS_DENIED, 403: Reason.ACCESS_DENIED, 429: Reason.ACCESS_DENIED,
            400: Reason.PAYLOAD_INVALID, 404: Reason.TENANT_UNKNOWN, 409: Reason.REQUEST_AMBIGUOUS}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """How the service is: what is not ready, what widens trust, the settings' digest, the decision log's quota."""

    problems: tuple[str, ...]
    notices: tuple[str, ...]
    settings: str
    quota: int


class Console:
    """The console of one worker; `mark` gives the mark of an address, `condition` how the service is."""

    def __init__(
        self, access: Access, recorder: Recorder, audit: Audit, sessions: Sessions, mark: Callable[[str], str],
        condition: Callable[[], Awaitable[Condition]],
    ) -> None:  # fmt: skip
        self._access = access
        self._recorder = recorder
        self._audit = audit
        self._sessions = sessions
        self._mark = mark
        self._condition = condition

    async def handle(self, call: Call) -> Answer:
        """The answer to any call below `/console/`."""
        path, decision = call.path.removeprefix(render.HOME), new_id()
        if path.startswith("static/"):
            return _static(path.removeprefix("static/"))
        if call.method == "POST":
            return await self._posted(call, path, decision)
        if path == "login":
            return _login_page(call)
        session = self._let_in(call)
        if session is None and call.one(b"sec-fetch-site") == "cross-site":
            # a strict cookie does not come with a link from elsewhere; it does when our own page asks again
            return render.page("again.html")
        answer = self._locked(call, decision) if session is None else await self._look(call, path, session)
        return await self._recorded(
            call, decision, answer, f"{session.name if session else ''}: {self._told(call, path)}"
        )

    def _let_in(self, call: Call) -> Session | None:
        session = self._sessions.read(call)
        if session is None or not self._access.holds(session.name, SCOPE) or self._access.ended(session.id):
            return None
        return session

    def _told(self, call: Call, path: str) -> str:
        found = _searched(call) if path == "search" else ""
        return f"q={self._mark(found)}" if _is_address(found) else call.query

    async def _recorded(self, call: Call, decision: str, answer: Answer, detail: str) -> Answer:
        try:
            await self._recorder.record(
                call, decision=decision, kind="audit", status=answer.status, reason=_REASONS.get(answer.status),
                detail=detail,
            )  # fmt: skip
        except OursError:
            if answer.stream is not None:
                await answer.stream.aclose()
            return problem(503, "The decision could not be recorded.", headers=((b"retry-after", b"5"),))
        return with_decision(answer, decision)

    # -- looking

    async def _look(self, call: Call, path: str, session: Session) -> Answer:
        place, _, rest = path.partition("/")
        key = unquote(rest)
        try:
            if path == "feed":
                return await self._follow(call)
            show = PAGES.get((place, bool(rest)))
            if show is None or "\0" in key:
                raise Refusal("There is nothing here", "No page has this address.", 404)
            mark = self._mark(_searched(call)) if place == "search" and _is_address(_searched(call)) else ""
            asked = Asked(call, session.name, key, mark, await self._condition())
            answer = await self._audit.read(lambda archive: show(archive, asked))
        except Refusal as error:
            values = {"title": error.title, "sentence": str(error), "choices": error.choices}
            answer = render.page("problem.html", error.status, here="", who=session.name, **values)
        except QuestionError as error:
            values = {"title": "This cannot be answered as it is asked", "sentence": str(error), "choices": ()}
            answer = render.page("problem.html", error.status, here="", who=session.name, **values)
        return replace(answer, headers=(*answer.headers, *self._sessions.renewed(session)))

    async def _follow(self, call: Call) -> Answer:
        question = Question(call, DECISION_PARAMETERS)
        chosen = await self._audit.read(lambda archive: decision_filter(archive, question))
        return await self._audit.feed.decisions(call, question, chosen, lambda: self._let_in(call) is not None)

    # -- login and logout

    async def _posted(self, call: Call, path: str, decision: str) -> Answer:
        if path not in ("login", "logout"):
            return problem(405, "Only login and logout take a POST.", headers=((b"allow", b"GET, HEAD"),))
        if not from_our_page(call):
            answer = problem(403, "The form was not sent by a page of the console.")
            return await self._recorded(call, decision, answer, f": {path} from elsewhere")
        if path == "logout":
            session = self._let_in(call)
            if session is not None:
                self._access.end(session.id, session.began + LONGEST_S)
            answer = _go("login", self._sessions.end())
            return await self._recorded(call, decision, answer, f"{session.name if session else ''}: logout")
        return await self._login(call, _fields((await call.body(FORM_LIMIT)).decode("latin-1")), decision)

    async def _login(self, call: Call, form: dict[str, str], decision: str) -> Answer:
        token, code, after = form.get("token", "").strip(), form.get("code", ""), _ours(form.get("next", ""))
        if code:
            found = await self._access.redeem(call, code, SCOPE, decision)
            name, denied = (found, None) if isinstance(found, str) else ("", found)
        else:
            denied = await self._access.judge(call, token if token.isascii() else "", SCOPE, decision)
            name = self._access.name_of(token)
        if denied is None:
            answer = _go(after, self._sessions.begin(name))
        else:
            answer = _login_form(_DENIED[denied.status], after, denied)
        return await self._recorded(call, decision, answer, f"{name}: login")

    def _locked(self, call: Call, decision: str) -> Answer:
        denied = self._access.unknown(call, decision)
        if call.path == f"{render.HOME}feed":
            return denied
        after = call.path.removeprefix(render.HOME) + (f"?{call.query}" if call.query else "")
        return _login_form("" if not after else "Log in to see this page.", _ours(after), denied)


_DENIED = {
    401: "No API token in force was given, or the link was used before.",
    403: "This API token lacks the scope audit.",
    429: "Too many failed logins from this address; wait a minute.",
}


def _go(after: str, cookie: tuple[bytes, bytes]) -> Answer:
    return Answer(303, headers=((b"location", f"{render.HOME}{after}".encode()), cookie))


def _login_form(sentence: str, after: str, denied: Answer) -> Answer:
    made = render.page("login.html", denied.status, sentence=sentence, next=after, code="")
    kept = tuple(header for header in denied.headers if header[0] in (b"www-authenticate", b"retry-after"))
    return replace(made, headers=(*made.headers, *kept))


def _login_page(call: Call) -> Answer:
    return render.page("login.html", sentence="", next="", code=_fields(call.query).get("code", "")[:100])


def _ours(after: str) -> str:
    """Where to go after a login: a page below `/console/`, else its first."""
    safe = after.isascii() and after.isprintable() and not any(sign in after for sign in ("..", *"\\ \"'<>"))
    return after if safe and len(after) < 2000 and not after.startswith(("/", "login", "logout")) else ""


def _static(name: str) -> Answer:
    if name not in render.STATIC:
        return problem(404, "There is nothing here.")
    return Answer(200, render.static(name), ((b"content-type", render.STATIC[name]), *render.HEADERS))


def _searched(call: Call) -> str:
    return _fields(call.query).get("q", "").strip()


def _fields(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, max_num_fields=40))
    except ValueError:
        return {}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
