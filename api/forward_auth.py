"""Forward auth: a proxy asks whether the request it holds may pass.

Proxies lie by omission: nginx passes a client's `X-Forwarded-Uri` into its sub-request, Traefik a client's
`X-Original-URI`. So one family is configured, only that one is believed, and each of its headers must be there exactly
once. The token is taken from the original URI's `jwt` parameter or from `Authorization: JWT`.
"""

import re

from tenure.api.evidence import Asked
from tenure.api.gate import Gate, Passage
from tenure.api.http import Answer, Call, only_token
from tenure.api.identity import identity_headers
from tenure.api.problems import problem
from tenure.api.recorder import Recorder
from tenure.domain.check import Purpose
from tenure.domain.refusals import Reason

KIND = "forward-auth"
_FORWARDED = (b"x-forwarded-method", b"x-forwarded-uri")
FAMILIES: dict[str, tuple[bytes, bytes]] = {
    "traefik": _FORWARDED,
    "caddy": _FORWARDED,
    "nginx": (b"x-original-method", b"x-original-uri"),
}
_METHOD = re.compile(r"[A-Za-z]{1,20}\Z")
_URI = re.compile(r"/(?!/)[\x21-\x7e]*\Z")


class ForwardAuth:
    """Handles `/forward-auth` for one proxy family; 404 without one."""

    def __init__(self, app_key: str, gate: Gate, recorder: Recorder, family: str | None) -> None:
        self._app_key = app_key
        self._gate = gate
        self._recorder = recorder
        self._headers = FAMILIES[family] if family else None

    async def handle(self, call: Call) -> Answer:
        """200 with the identity headers, or a refusal."""
        if self._headers is None:
            return problem(404, "FORWARD_AUTH names no proxy.")
        method, uri = (call.all(name) for name in self._headers)
        original = _original(method, uri)
        if original is None:
            return await self._settle(call, Passage.refused(Reason.REQUEST_AMBIGUOUS), Asked(query=""))
        verb, path, query = original
        purpose = Purpose.CONTEXT if "accept=context" in call.query.split("&") else Purpose.TRAFFIC
        passage = await self._gate.check(
            lambda: only_token(call.all(b"authorization"), query), verb, path, query, purpose
        )
        return await self._settle(call, passage, Asked(verb, path, query))

    async def _settle(self, call: Call, passage: Passage, asked: Asked) -> Answer:
        def accepted(decision: str) -> Answer:
            return Answer(200, headers=identity_headers(passage.context, passage.token, self._app_key, decision))

        return await self._recorder.settle(call, passage, KIND, self._app_key, accepted, asked)


def _original(methods: list[str], uris: list[str]) -> tuple[str, str, str] | None:
    """Method, raw path and raw query of the request the proxy holds, if said exactly once and well-formed."""
    if len(methods) != 1 or len(uris) != 1 or not _METHOD.match(methods[0]) or not _URI.match(uris[0]):
        return None
    path, _, query = uris[0].partition("?")
    return methods[0], path, query
