"""Events to stored columns and back. The stored text is exact: canonical JSON, UTF-8, names sorted.

Stored bytes never change; a later shape of an event is read from them, never written over them. Empty fields are not
stored, so that a field added later reads as "not told" from old events.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import orjson
from pydantic import TypeAdapter

from tenure.domain.events import (
    OPERATOR,
    Cause,
    Changed,
    Data,
    Draft,
    Erased,
    Event,
    EventType,
    Installed,
    Operated,
    Reinstated,
    Switched,
)
from tenure.domain.ports import Append
from tenure.domain.swift import swift

COLUMNS = (
    "position",
    "version",
    "type",
    "app_key",
    "client_key",
    "recorded_at",
    "proof",
    "changed",
    "data",
    "token_fingerprint",
)
STORED = (*COLUMNS, "hash")
JSON = ("proof", "changed", "data")

_SWITCHED: TypeAdapter[Data] = TypeAdapter(Switched)
_OPERATED: TypeAdapter[Data] = TypeAdapter(Operated)
_SHAPES: dict[str, TypeAdapter[Data]] = {
    EventType.INSTALLED: TypeAdapter(Installed),
    EventType.ERASED: TypeAdapter(Erased),
    EventType.REINSTATED: TypeAdapter(Reinstated),
}

_installed = swift(Installed)
_INSTALLED = {one.name: None if one.default is MISSING else one.default for one in fields(Installed)}
_ALWAYS = {name for name, default in _INSTALLED.items() if default is None}
_SWITCHES = frozenset((EventType.UNINSTALLED.value, EventType.ENABLED.value, EventType.DISABLED.value))
_NO_MORE, _NOTHING = Switched(), frozenset(("{}", b"{}"))


def canonical(value: Any) -> str:
    """JSON with sorted names and no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def storable(request: Append) -> None:
    """ValueError for text that not every store keeps as it is: a NUL, or half of a surrogate pair."""
    spend = request.spend
    texts = [request.app_key, request.client_key]
    texts += [spend.fingerprint, spend.body_digest, spend.outcome] if spend else []
    if request.draft is not None:
        texts += [request.draft.token_fingerprint, str(request.draft.type)]
        data = request.draft.data
        texts += [value for field in fields(data) if isinstance(value := getattr(data, field.name), str)]
    together = "".join(texts)
    if "\0" in together:
        raise ValueError("a NUL cannot be stored")
    together.encode("utf-8")  # UnicodeEncodeError is a ValueError


def encode(draft: Draft) -> tuple[str, str, str]:
    """The columns proof, changed and data of a draft."""
    data = {name: value for name in draft.data.__dataclass_fields__ if (value := getattr(draft.data, name))}
    changed = {"cause": draft.changed.cause, "fields": draft.changed.fields} if draft.changed else {}
    return canonical(draft.proof), canonical(changed), canonical(data)


def decode(row: tuple[Any, ...]) -> Event:
    """The event of a stored row (`COLUMNS`, then hash)."""
    return _event_of(row, data_of)


def decode_own(row: tuple[Any, ...]) -> Event:
    """As `decode`, of a row that was made here a moment ago."""
    return _event_of(row, data_of_own)


def _event_of(row: tuple[Any, ...], read: Callable[[str, str], Data]) -> Event:
    position, version, kind, app_key, client_key, recorded_at, proof, changed, data, token_fingerprint, digest = row
    return Event(
        position=position,
        version=version,
        type=kind,
        app_key=app_key,
        client_key=client_key,
        recorded_at=recorded_at,
        proof=orjson.loads(proof),
        changed=_changed(orjson.loads(changed)),
        data=read(kind, data),
        token_fingerprint=token_fingerprint,
        hash=digest,
    )


def data_of(kind: str, text: str | bytes) -> Data:
    """What an event of a type says, from its stored text."""
    return _SHAPES.get(kind, _OPERATED if kind.startswith(OPERATOR) else _SWITCHED).validate_json(text)


def data_of_own(kind: str, text: str | bytes) -> Data:
    """The same, a quarter of the time, of text that is known to be as it was made: its hash holds, or it is new."""
    if kind == EventType.INSTALLED:
        told = orjson.loads(text)
        if _ALWAYS <= told.keys() <= _INSTALLED.keys():
            return _installed(*(_INSTALLED | told).values())
    if text in _NOTHING and kind in _SWITCHES:
        return _NO_MORE
    return data_of(kind, text)


def stored_fields(row: tuple[Any, ...]) -> dict[str, Any]:
    """A stored row (`STORED`) by names; of the three of JSON what they hold, if that gives the same text again."""
    return {name: _held(value) if name in JSON else value for name, value in zip(STORED, row, strict=True)}


def _held(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except ValueError:
        return text
    return value if canonical(value) == text else text


def _changed(value: dict[str, Any]) -> Changed | None:
    return Changed(Cause(value["cause"]), tuple(value["fields"])) if value else None
