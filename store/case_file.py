"""The file of an incident: JSON with a manifest, gzipped if its name ends in `.gz`; read wherever it lies, by anybody.

`digest` is a SHA-256 over the canonical JSON of everything else. It shows damage and careless edits; it is no
signature: whoever changes the file can make it anew. The signed head in it can be checked with the log's public key.
A file comes from somewhere, so that it is read as a stranger's: its size is bounded, its shape checked, and what it
says is text.
"""

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from tenure.domain.decisions import Decision, Facts
from tenure.domain.events import Event, Operated
from tenure.domain.questions import MAX_POSITION
from tenure.domain.tenant import Tenant
from tenure.store.codec import canonical, decode

FORMAT = "tenure-incident/1"
LIMIT = 256 * 1024 * 1024
_MAGIC = b"\x1f\x8b"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z\Z")
_DECISION = TypeAdapter(Decision)
_TENANT = TypeAdapter(Tenant)
_AUDIENCES = TypeAdapter(tuple[str, ...])


class NotAnIncidentError(Exception):
    """The file is no incident file that this version can read; the message says why."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a file says. `intact`: its digest is that of its content."""

    manifest: dict[str, Any]
    cannot_show: tuple[str, ...]
    intact: bool
    name: str
    since: str
    until: str
    history: tuple[Event, ...]
    calls: tuple[Decision, ...]
    last_accepted: Decision | None
    siblings: tuple[Tenant, ...]
    elsewhere: tuple[Decision, ...]
    others: int
    around: tuple[Event, ...]
    diagnosis: dict[str, Any]


def packed(name: str, content: Mapping[str, Any]) -> tuple[bytes, str]:
    """The bytes of a file, and its digest: `content` has `manifest`, `cannot_show`, `case` and `diagnosis`."""
    digest = _digest(content)
    raw = orjson.dumps({"format": FORMAT, **content, "digest": digest}, option=orjson.OPT_INDENT_2) + b"\n"
    return gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw, digest


def _digest(content: Mapping[str, Any]) -> str:
    return f"sha256:{hashlib.sha256(canonical(content).encode()).hexdigest()}"


def unpacked(path: Path) -> Unpacked:
    """What a file says, or NotAnIncidentError."""
    try:
        whole = orjson.loads(_raw(path))
        if not isinstance(whole, dict) or whole.get("format") != FORMAT:
            raise NotAnIncidentError(f"its format is not {FORMAT}")
        content = {name: whole[name] for name in ("manifest", "cannot_show", "case", "diagnosis")}
        return _read(content, whole.get("digest") == _digest(content))
    except (KeyError, TypeError, ValueError, ValidationError, AttributeError, RecursionError) as error:
        raise NotAnIncidentError(f"it lacks what an incident file has ({type(error).__name__})") from None


def _raw(path: Path) -> bytes:
    with path.open("rb") as stranger:
        raw = stranger.read(LIMIT + 1)
    if raw.startswith(_MAGIC):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
                raw = file.read(LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise NotAnIncidentError("it is cut or damaged") from error
    if len(raw) > LIMIT:
        raise NotAnIncidentError("it is larger than 256 MiB")
    return raw


def _read(content: Mapping[str, Any], intact: bool) -> Unpacked:
    case = content["case"]
    found = Unpacked(
        manifest={str(name): value for name, value in content["manifest"].items()},
        cannot_show=tuple(str(one) for one in content["cannot_show"]),
        intact=intact,
        name=str(case["name"]),
        since=_time(case["since"]),
        until=_time(case["until"]),
        history=tuple(map(_event, case["history"])),
        calls=tuple(map(_decision, case["calls"])),
        last_accepted=_decision(case["last_accepted"]) if case["last_accepted"] else None,
        siblings=tuple(_TENANT.validate_python(one) for one in case["siblings"]),
        elsewhere=tuple(map(_decision, case["elsewhere"])),
        others=int(case["others"]),
        around=tuple(map(_event, case["around"])),
        diagnosis=dict(content["diagnosis"]),
    )
    for tenant in found.siblings:
        _time(tenant.installed_at)
    return found


def _time(text: Any) -> str:
    if not isinstance(text, str) or not _TIME.match(text):
        raise ValueError("not a stored time")
    datetime.fromisoformat(text)  # a form alone is no day of the calendar
    return text


def _position(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value <= MAX_POSITION:
        raise ValueError("not a position")
    return value


def _event(item: Mapping[str, Any]) -> Event:
    texts = [str(item[name]) for name in ("type", "app_key", "client_key")]
    shapes = [orjson.dumps(item[name] or {}).decode() for name in ("proof", "changed", "data")]
    if not isinstance(item["proof"], dict):
        raise ValueError("not a proof")
    row = (
        _position(item["position"]),
        _position(item["version"]),
        *texts,
        _time(item["recorded_at"]),
        *shapes,
        "",
        str(item["hash"]),
    )
    event = decode(row)
    if isinstance(event.data, Operated):
        _settings(event.data.particulars.get("deciding") or {})
    return event


def _settings(deciding: Any) -> None:
    if not isinstance(deciding, dict):
        raise ValueError("not settings")
    _AUDIENCES.validate_python(deciding.get("audiences") or ())
    for name in ("leeway", "max_lifetime", "rotation_grace"):
        int(deciding.get(name, 0))


def _decision(item: Mapping[str, Any]) -> Decision:
    known = {name: value for name, value in item["facts"].items() if name in Facts.__dataclass_fields__}
    found = _DECISION.validate_python({**item, "facts": known})
    _time(found.at)
    return found
