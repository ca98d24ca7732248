"""Builds the record of a decision from a call and what was found out about it: the one place where Facts are filled.

What is kept is bounded and holds no token: query strings only by their names, and whatever looks like a token in a
path, a name or a header is blotted out. Addresses and accounts are in the clear here; the log's writer veils them.
On the path of every check, so no model is validated and no text is serialised.
"""

import hashlib
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import unquote_plus

from tenure.api.gate import Passage
from tenure.api.http import Call
from tenure.domain.check import Match
from tenure.domain.decisions import Decision, Facts
from tenure.domain.qsh_doctor import diagnose_hash
from tenure.domain.refusals import Reason
from tenure.domain.swift import swift
from tenure.domain.times import stored_at

TEXT, SHORT, NAMES = 500, 200, 40
BLOT = "[token]"

# A JWS: a long part, one that begins as base64url of "{" does, and a third; the dots perhaps escaped. Host names are
# never so long and so begun. Possessive and anchored at a part's start: a stranger's 64 KiB must cost linear time.
_DOT = r"(?:\.|%2[eE])"
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{{16,}}+{_DOT}e[w-z0-9_-][A-Za-z0-9_-]{{14,}}+{_DOT}[A-Za-z0-9_=-]*+"
    r"|tnr_[A-Za-z0-9_-]{16,}+"
)
_MOST = 8192  # a token's own length: one that begins within the limit is seen whole
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?\Z")
_NAME = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,40}\Z")
_NO_TRACE = "0" * 32

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Asked:
    """What a decision is about where that is not the call itself: a proxy's original request, a webhook's name."""

    method: str = ""
    path: str = ""
    query: str | None = None
    identifier: str = ""


NOTHING = Asked()
# every check makes one of each
_decision, _facts = swift(Decision), swift(Facts)


def clean(text: str, limit: int = TEXT) -> str:
    """The text as it may be stored: bounded, no NUL, no lone surrogate, nothing that looks like a token."""
    text = text[: limit + 2 * _MOST]
    if "." in text or "%2" in text or "tnr_" in text:
        text = _TOKEN.sub(BLOT, text)
    text = text[:limit]
    if not text.isascii() or "\0" in text:
        text = text.encode(errors="replace").decode().replace("\0", "\ufffd")
    return text


def identifier_of(text: str) -> str:
    """A webhook's identifier as it is kept: as sent, or a digest of one that is too long or too strange to keep."""
    if not text or (len(text) <= SHORT and clean(text) == text):
        return text
    return f"sha256:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def query_names(query: str) -> tuple[str, ...]:
    """The names in a query string, each once, at most 40; what is no plain name is only told to be there."""
    if not query:
        return ()
    names: dict[str, None] = {}
    for piece in query.split("&", NAMES)[:NAMES]:
        name = piece.partition("=")[0]
        if not name.isalnum():
            name = unquote_plus(name)
        # a token has more than 40 characters
        names[name if _NAME.match(name) else "(odd)"] = None
    return tuple(names)


def trace_of(call: Call) -> str:
    """The trace id of a well-formed `traceparent` (W3C Trace Context), or empty text."""
    value = call.one(b"traceparent")
    found = _TRACE.match(value) if value and not value.startswith("ff") else None
    return found[1] if found and found[1] != _NO_TRACE else ""


@lru_cache(maxsize=1024)
def addresses(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> tuple[str, str]:
    """The caller's address and, if it came through a trusted proxy, the peer's. The caller is the right-most address
    of X-Forwarded-For that is not a trusted proxy's own."""
    if not trusted or not _within(peer, trusted):
        return peer, ""
    for hop in map(str.strip, reversed(forwarded.split(","))):
        if not _is_address(hop):
            break
        if not _within(hop, trusted):
            return hop, peer
    return peer, peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(text: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Witness:
    """What is the same for every decision of this service: the settings' digest, whose X-Forwarded-For counts, and the
    base URL's path."""

    settings: str = ""
    trusted: tuple[Network, ...] = ()
    base_path: str = ""

    def caller(self, call: Call) -> str:
        """The caller's address, behind trusted proxies the one they tell."""
        forwarded = ",".join(call.all(b"x-forwarded-for"))[-1000:] if self.trusted else ""
        return addresses(call.peer, forwarded, self.trusted)[0]

    def decision(
        self, call: Call, passage: Passage, *, decision: str, kind: str, status: int, asked: Asked = NOTHING,
        client_key: str | None = None, claimed: str | None = None, read_position: int | None = None,
    ) -> Decision:  # fmt: skip
        """The record of one decision. What is not given comes from the passage."""
        verdict = passage.verdict
        return _decision(
            decision=decision,
            at=stored_at(time.time()),
            kind=kind,
            verdict="refused" if verdict.reason or status >= 400 else "accepted",
            reason=verdict.reason.value if verdict.reason else "",
            detail=clean(verdict.detail),
            client_key=clean(proved_client_key(passage) if client_key is None else client_key),
            claimed_client_key=clean(passage.claimed if claimed is None else claimed),
            method=clean(asked.method or call.method, 20),
            path=clean(asked.path or call.path),
            status=status,
            took_ms=round((time.perf_counter() - call.started) * 1000, 3),
            read_position=passage.position if read_position is None else read_position,
            facts=self.facts(call, passage, asked),
        )

    def facts(self, call: Call, passage: Passage, asked: Asked) -> Facts:
        """What was seen of the call."""
        token, seen = passage.token, passage.evidence
        forwarded = ",".join(call.all(b"x-forwarded-for"))[-1000:] if self.trusted else ""
        address, peer = addresses(call.peer, forwarded, self.trusted)
        body_client_key = seen.body_client_key if seen else None
        return _facts(
            purpose=passage.purpose,
            now=passage.now,
            alg=token.alg if token else "",
            kid=clean(token.kid, SHORT) if token and token.kid else "",
            iat=token.iat if token else None,
            exp=token.exp if token else None,
            nbf=token.nbf if token else None,
            aud=tuple(clean(name) for name in token.aud[:4]) if token and token.aud is not None else None,
            qsh=token.qsh if token else None,
            expected_qsh=seen.expected_qsh if seen else (),
            match=seen.match.value if seen else "",
            secret_position=passage.secret_position,
            body_client_key=None if body_client_key is None else clean(body_client_key, 300),
            query_names=query_names(call.query if asked.query is None else asked.query),
            account=token.sub or "" if token else "",
            address=address,
            peer=peer,
            user_agent=clean(call.one(b"user-agent"), SHORT),
            identifier=asked.identifier,
            trace=trace_of(call),
            gone=call.gone,
            retry=passage.verdict.retry,
            settings=self.settings,
            token_mark=token.fingerprint[:32] if token else "",
            mistakes=self._mistakes(call, passage, asked) if passage.verdict.reason is Reason.QSH_MISMATCH else (),
        )

    def _mistakes(self, call: Call, passage: Passage, asked: Asked) -> tuple[str, ...]:
        """What was done wrong to the hash: asked now, because the query is not kept. Only of calls whose signature
        held, so that no stranger can have it asked."""
        if passage.token is None or passage.token.qsh is None:
            return ()
        query = call.query if asked.query is None else asked.query
        method, path = asked.method or call.method, asked.path or call.path
        found = diagnose_hash(passage.token.qsh, method, path, query, self.base_path)
        return tuple(mistake.code for mistake in found)


# Refused only for what comes after the signature: whose call it was is proved all the same.
_LATE = frozenset(
    (Reason.QSH_MISMATCH, Reason.QSH_MISSING, Reason.CONTEXT_REQUIRED, Reason.CONTEXT_NOT_ALLOWED,
     Reason.TENANT_UNINSTALLED, Reason.TENANT_DISABLED, Reason.PAYLOAD_TOO_LARGE, Reason.BODY_INCOMPLETE)
)  # fmt: skip


def proved_client_key(passage: Passage) -> str:
    """The proved client key: that of an accepted call, or of one refused only for what comes after its signature."""
    evidence, reason = passage.evidence, passage.verdict.reason
    if evidence is None or evidence.match is not Match.CURRENT:
        return ""
    return passage.claimed if reason is None or reason in _LATE else ""
