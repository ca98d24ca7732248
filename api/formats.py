"""Items as JSON, CSV, NDJSON and CloudEvents: one way to write each, for pages, exports and the live feed.

CSV is opened by spreadsheets, which run what begins with = + - @ (or a tab, or a carriage return): such a cell gets an
apostrophe in front (OWASP, "CSV injection"). Values that are no text are JSON, so that nothing is lost.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from tenure.projections.shown import cloud_event

JSON = "application/json"
CSV = "text/csv"
NDJSON = "application/x-ndjson"
CLOUD = "application/cloudevents+json"
STREAM = "text/event-stream"

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")

Item = Mapping[str, Any]


def wanted(accept: str, offered: Sequence[str]) -> str | None:
    """The media type to answer in: the offered one that `Accept` names first with the highest q, JSON for any."""
    best, best_q = None, 0.0
    for piece in accept.split(",") if accept.strip() else ("*/*",):
        name, *parameters = (part.strip().lower() for part in piece.split(";"))
        q = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        match = next((o for o in offered if name in (o, "*/*", f"{o.partition('/')[0]}/*")), None)
        if match is not None and q > best_q:
            best, best_q = match, q
    return best


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def cell(value: Any) -> str:
    """A value as a CSV cell that no spreadsheet runs."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    # a number may begin with a minus and stays one
    risky = isinstance(value, str) and text.lstrip(" ").startswith(_DANGEROUS)
    return f"'{text}" if risky else text


def csv_lines(items: Iterable[Item], columns: Sequence[str], *, header: bool = True) -> Iterable[str]:
    """The lines of a CSV file (RFC 4180), the header first."""
    out = io.StringIO()
    writer = csv.writer(out)
    if header:
        writer.writerow(columns)
    for item in items:
        writer.writerow([cell(item.get(name)) for name in columns])
        yield _taken(out)
    yield _taken(out)


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def ndjson_line(item: Item) -> str:
    """One object a line."""
    return orjson.dumps(item).decode() + "\n"


def cloud_line(item: Item) -> str:
    """One CloudEvent a line."""
    return orjson.dumps(cloud_event(dict(item))).decode() + "\n"


def lines(name: str, items: Iterable[Item], columns: Sequence[str]) -> Iterable[str]:
    """The lines of an export: `name` is csv, ndjson or cloudevents."""
    if name == "csv":
        return csv_lines(items, columns)
    return map({"ndjson": ndjson_line, "cloudevents": cloud_line}[name], items)


def sse(key: str, kind: str, item: Item) -> bytes:
    """One message of the live feed (WHATWG, "Server-sent events"); JSON has no raw line break."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (key.encode(), kind.encode(), orjson.dumps(item))
