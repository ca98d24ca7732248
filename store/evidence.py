"""The log's rows for whoever checks them: exact bytes, from the live file or from an export, whatever state it is in.

An export is NDJSON: an object a line with every stored column and `hash`, no blank and no line between. `proof`,
`changed` and `data` may be the stored text itself or the JSON it holds, whose canonical form is the stored text. A line
that is not byte for byte how its values are written is not accepted, so that no bit of an export is beyond the check.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from tenure.domain.ports import Transaction
from tenure.store.codec import JSON, STORED, canonical

MAX_LINE = 8 * 1024 * 1024
_NUMBERS = ("position", "version")


class UnreadableError(Exception):
    """A line of an export is not that of an event."""


def stored_rows(connection: Transaction) -> Iterator[tuple[bytes, ...]]:
    """Every event's columns and hash as bytes, by position."""
    # as blobs: a text that is no longer UTF-8 must be seen, not raise
    names = ", ".join(f"CAST({name} AS BLOB)" for name in STORED)
    yield from connection.execute(f"SELECT {names} FROM events ORDER BY position")


def exported_rows(path: Path) -> Iterator[tuple[bytes, ...]]:
    """The same from an export; UnreadableError at a line that is none."""
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise UnreadableError(f"a line is longer than {MAX_LINE} bytes, as no event's is")
            yield _row(line)


def _row(line: bytes) -> tuple[bytes, ...]:
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise UnreadableError("a line is not JSON") from None
    if not isinstance(item, dict) or set(item) != set(STORED):
        missing = sorted(set(STORED) - set(item)) if isinstance(item, dict) else list(STORED)
        raise UnreadableError(f"a line is not that of an event (missing: {', '.join(missing) or 'nothing'})")
    if orjson.dumps(item) + b"\n" != line:
        raise UnreadableError("a line is not written as an export writes it")
    return tuple(_bytes(name, item[name]) for name in STORED)


def _bytes(name: str, value: Any) -> bytes:
    if name in _NUMBERS:
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnreadableError(f"{name} is not a number")
        return b"%d" % value
    if name in JSON and isinstance(value, dict):
        return canonical(value).encode()
    if not isinstance(value, str):
        raise UnreadableError(f"{name} is not text")
    return value.encode()


def export_line(row: Sequence[Any]) -> bytes:
    """A stored row (`STORED`) as a line of an export."""
    return orjson.dumps(dict(zip(STORED, row, strict=True))) + b"\n"
