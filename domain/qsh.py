"""The query-string hash: what binds a token to one method, one path, one query.

    qsh = hex(SHA-256(METHOD & "&" & path & "&" & query))

Method in upper case. Path as the caller addressed it, less the path of the base URL (at a segment boundary), one
leading slash, no trailing slash, empty is "/", "&" written %26, otherwise raw. Query: the `jwt` parameter dropped;
names and values decoded ("+" is a space) and encoded again as RFC 3986 has it; the decoded values of a repeated name
sorted, then joined by a literal comma; sorted by encoded name, as the Jira host does (the npm package sorts raw names).
Source: Atlassian, "Understanding JWT for Connect apps", and the vectors its libraries publish.
"""

import hashlib
from urllib.parse import quote, unquote, unquote_to_bytes

CONTEXT_QSH = "context-qsh"
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def _decode(text: str) -> bytes:
    # Bytes, not text: what is not UTF-8 hashes as what was sent, and nothing raises.
    raw = text.encode(errors="replace")
    return unquote_to_bytes(raw.replace(b"+", b" ")) if "%" in text or "+" in text else raw


def _encode(raw: bytes) -> str:
    # most names and values have nothing to encode: the common case does not go through quote
    return quote(raw, safe="-._~") if raw.strip(_UNRESERVED) else raw.decode()


def _below(path: str, base_path: str) -> str:
    base = base_path.rstrip("/")
    inside = base and (path == base or path.startswith(base + "/"))
    return path[len(base) :] if inside else path


def canonical_path(path: str, base_path: str = "") -> str:
    """The path as it is hashed; `base_path` is the path of the app's (or the site's) base URL."""
    return "/" + _below(path, base_path).strip("/").replace("&", "%26")


def canonical_query(query: str) -> str:
    """The raw query string as it is hashed."""
    values: dict[str, list[bytes]] = {}
    for piece in query.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        name = _encode(_decode(name))
        if name != "jwt":
            values.setdefault(name, []).append(_decode(value))
    return "&".join(f"{name}={','.join(map(_encode, sorted(values[name])))}" for name in sorted(values))


def canonical_request(method: str, path: str, query: str, base_path: str = "") -> str:
    """The text that is hashed, for a raw path and a raw query string (without the question mark)."""
    return f"{method.upper()}&{canonical_path(path, base_path)}&{canonical_query(query) if query else ''}"


def request_hash(method: str, path: str, query: str, base_path: str = "") -> str:
    """The hash, in hex, of the request as addressed."""
    return hashlib.sha256(canonical_request(method, path, query, base_path).encode(errors="replace")).hexdigest()


def accepted_hashes(method: str, path: str, query: str, base_path: str = "") -> tuple[str, ...]:
    """Every hash an honest sender may have made: the Java host hashes the decoded path, others the raw one."""
    raw = request_hash(method, path, query, base_path)
    if "%" not in path:
        return (raw,)
    # the base path goes first: an escaped slash is no segment boundary
    return raw, request_hash(method, unquote(_below(path, base_path), errors="replace"), query)
