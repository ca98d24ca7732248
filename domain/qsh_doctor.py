"""The doctor of the query-string hash: on a mismatch, which of the known ways to get it wrong gives the sender's hash.

A hash says nothing of what went into it, so each known mistake is made in turn on the request as received and its hash
compared with the one sent. One mistake is tried before two at once, and what an honest sender may do is none. Where
the request is long only single mistakes are tried: a refusal must not cost more than the call.
Sources: Atlassian's "Understanding JWT for Connect apps" and the rules its libraries differ in (npm atlassian-jwt
sorts raw names, Java's URLEncoder writes + and %7E), and what proxies do to a path.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from tenure.domain.qsh import CONTEXT_QSH, accepted_hashes, canonical_path, canonical_query

PAIRS_UP_TO = 4096
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PREFIXES = ("/api", "/app", "/connect", "/jira", "/wiki", "/tenure", "/v1")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A known way to get the hash wrong: a stable code, what was done, and what to do."""

    code: str
    sentence: str
    next: str


_SENDER = "Correct it at the sender."
_PROXY = "Pass method, path and query on as received, and mount the app where BASE_URL says."
_BASE = "Set BASE_URL to the URL the sender knows, its path included."

MISTAKES: dict[str, Mistake] = {
    mistake.code: mistake
    for mistake in (
        Mistake("base_path_kept", "The sender left the base URL's path in front of the path.", _BASE),
        Mistake("base_path_stripped", "The sender stripped a part of the path as if it were the base URL's.", _BASE),
        Mistake("prefix_removed", "Something on the way removed a prefix from the path.", _PROXY),
        Mistake("prefix_added", "Something on the way put a prefix in front of the path.", _PROXY),
        Mistake("trailing_slash", "The sender kept a slash at the end of the path.", _SENDER),
        Mistake("slash_missing", "The sender hashed the path without its leading slash.", _SENDER),
        Mistake("path_encoded", "The sender escaped the path once more than it was sent.", _SENDER),
        Mistake("path_lower_case", "Something on the way, or the sender, wrote the path in lower case.", _PROXY),
        Mistake("ampersand_in_path", "The sender left & in the path as it is, where it is to be %26.", _SENDER),
        Mistake("query_in_path", "The sender hashed the query as a part of the path.", _SENDER),
        Mistake("method_rewritten", "The sender signed another method than the one received.", _PROXY),
        Mistake("method_lower_case", "The sender wrote the method in lower case.", _SENDER),
        Mistake("query_dropped", "The sender signed no query at all.", _SENDER),
        Mistake("query_raw", "The sender hashed the query as it stands, without ordering it.", _SENDER),
        Mistake("jwt_included", "The sender left the jwt parameter in the query.", _SENDER),
        Mistake("raw_name_order", "The sender sorted the parameters by raw, not by encoded name.", _SENDER),
        Mistake("not_sorted", "The sender left the parameters in their order.", _SENDER),
        Mistake("plus_for_space", "The sender wrote a space as +, where it is to be %20.", _SENDER),
        Mistake("plus_kept", "The sender took + for a plus sign, where it is a space.", _SENDER),
        Mistake("not_encoded", "The sender hashed the parameters decoded.", _SENDER),
        Mistake("encoded_twice", "The sender escaped the parameters twice.", _SENDER),
        Mistake("lower_case_escapes", "The sender wrote escapes in lower case (%2f, where it is %2F).", _SENDER),
        Mistake("java_encoding", "The sender encoded as Java's URLEncoder does: + for a space, %7E, * kept.", _SENDER),
        Mistake("repeated_apart", "The sender did not join the values of a repeated parameter.", _SENDER),
        Mistake("repeated_unsorted", "The sender joined the values of a repeated parameter unsorted.", _SENDER),
        Mistake("repeated_comma_encoded", "The sender joined repeated values by %2C, not a literal comma.", _SENDER),
        Mistake("upper_case_hash", "The sender wrote the hash in upper case.", _SENDER),
        Mistake("context_token", "The sender used a context token, which is bound to no URL.", "Send a bound token."),
    )
}  # fmt: skip

Variant = tuple[str, str]
Pair = tuple[str, str]


def diagnose_hash(received: str, method: str, path: str, query: str, base_path: str = "") -> tuple[Mistake, ...]:
    """The mistakes that together give `received` for this raw request: none if it is right or unknown, one, or two."""
    right = accepted_hashes(method, path, query, base_path)
    if received in right:
        return ()
    if received == CONTEXT_QSH:
        return (MISTAKES["context_token"],)
    if received.lower() in right:
        return (MISTAKES["upper_case_hash"],)
    for codes, text in _attempts(method, path, query, base_path):
        if hashlib.sha256(text.encode(errors="replace")).hexdigest() == received:
            return tuple(MISTAKES[code] for code in codes)
    return ()


def _attempts(method: str, path: str, query: str, base_path: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text a sender may have hashed, those with one mistake first."""
    verb, good_path, good_query = method.upper(), canonical_path(path, base_path), canonical_query(query)
    methods, paths, queries = list(_methods(verb)), list(_paths(path, query, base_path)), list(_queries(query))
    for code, text in methods:
        yield (code,), f"{text}&{good_path}&{good_query}"
    for code, text in paths:
        yield (code,), f"{verb}&{text}&{'' if code == 'query_in_path' else good_query}"
    for code, text in queries:
        yield (code,), f"{verb}&{good_path}&{text}"
    if len(path) + len(query) > PAIRS_UP_TO:
        return
    for path_code, path_text in paths:
        for code, text in methods:
            yield (code, path_code), f"{text}&{path_text}&{good_query}"
        for code, text in queries:
            yield (path_code, code), f"{verb}&{path_text}&{text}"
    for method_code, method_text in methods:
        for code, text in queries:
            yield (method_code, code), f"{method_text}&{good_path}&{text}"


def _methods(verb: str) -> Iterator[Variant]:
    yield "method_lower_case", verb.lower()
    for other in METHODS:
        if other != verb:
            yield "method_rewritten", other


def _paths(path: str, query: str, base_path: str) -> Iterator[Variant]:
    good, base = canonical_path(path, base_path), base_path.rstrip("/")
    kept = canonical_path(path)
    if kept != good:
        yield "base_path_kept", kept
    yield "trailing_slash", good.rstrip("/") + "/"
    yield "slash_missing", good.lstrip("/")
    yield "path_encoded", quote(good, safe="/~-._!$&'()*+,;=:@", errors="replace")
    yield "path_encoded", quote(unquote(good), safe="/~-._", errors="replace")
    yield "path_lower_case", good.lower()
    yield "ampersand_in_path", good.replace("%26", "&")
    if query:
        yield "query_in_path", f"{good}?{query}"
    for prefix in (*_heads(base), *PREFIXES):
        yield "prefix_removed", prefix + ("" if good == "/" else good)
    pieces = good.strip("/").split("/")
    for count in range(1, min(3, len(pieces) - 1) + 1):
        code = "base_path_stripped" if count == 1 and not base else "prefix_added"
        yield code, "/" + "/".join(pieces[count:])


def _heads(base: str) -> Iterator[str]:
    """The base path and its beginnings, the longest first."""
    while base:
        yield base
        base = base.rpartition("/")[0]


def _queries(query: str) -> Iterator[Variant]:
    if not query:
        return
    yield "query_dropped", ""
    pairs = [(name, value) for name, value in _pairs(query, unquote_plus) if name != "jwt"]
    yield "jwt_included", _built(_pairs(query, unquote_plus))
    yield "raw_name_order", _built(pairs, order=lambda pair: pair[0])
    yield "not_sorted", _built(pairs, order=None)
    yield "plus_for_space", _built(pairs, encode=lambda text: quote_plus(text, safe="-._~", errors="replace"))
    yield "plus_kept", _built([pair for pair in _pairs(query, unquote) if pair[0] != "jwt"])
    yield "not_encoded", _built(pairs, encode=str)
    yield "encoded_twice", _built(pairs, encode=lambda text: _encode(_encode(text)))
    yield "lower_case_escapes", _built(pairs, encode=_lower_escapes)
    yield "java_encoding", _built(pairs, encode=_as_java)
    yield "repeated_apart", _apart(pairs)
    yield "repeated_unsorted", _built(pairs, sort_values=False)
    yield "repeated_comma_encoded", _built(pairs, comma="%2C")
    yield "query_raw", query
    yield "query_raw", "&".join(piece for piece in query.split("&") if not piece.startswith("jwt="))


def _pairs(query: str, decode: Callable[[str], str]) -> list[Pair]:
    pieces = (piece.partition("=") for piece in query.split("&") if piece)
    return [(decode(name), decode(value)) for name, _, value in pieces]


def _encode(text: str) -> str:
    return quote(text, safe="-._~", errors="replace")


def _lower_escapes(text: str) -> str:
    pieces = _encode(text).split("%")
    return pieces[0] + "".join(f"%{piece[:2].lower()}{piece[2:]}" for piece in pieces[1:])


def _as_java(text: str) -> str:
    return quote_plus(text, safe="-._*", errors="replace").replace("~", "%7E")


def _by_encoded_name(pair: Pair) -> str:
    return _encode(pair[0])


def _built(
    pairs: Iterable[Pair],
    *,
    order: Callable[[Pair], str] | None = _by_encoded_name,
    encode: Callable[[str], str] = _encode,
    sort_values: bool = True,
    comma: str = ",",
) -> str:
    """The canonical query, but for what is given otherwise."""
    values: dict[str, list[str]] = {}
    for name, value in sorted(pairs, key=order) if order else pairs:
        values.setdefault(name, []).append(value)
    return "&".join(
        f"{encode(name)}={comma.join(map(encode, sorted(found) if sort_values else found))}"
        for name, found in values.items()
    )


def _apart(pairs: Iterable[Pair]) -> str:
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(pairs))
