"""Log lines: structlog, one JSON object a line on standard error. Fields: docs/reference/log-lines.md.

A line cannot break on what a stranger sent, and holds no secret: every text is bounded and scrubbed of what looks like
a token or a `jwt=` parameter; of an exception only its kind and place are told, never its message, locals or input,
because a validation error prints its input and a traceback's locals hold secrets. Other libraries' lines go the same
way, and so does what nobody caught.
"""

import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from tenure.api.evidence import clean
from tenure.api.lines import where

LIMIT = 1000

_PARAMETER = re.compile(r"(?i)\bjwt=[^&\s\"']*")
_AUTHORIZATION = re.compile(r"(?i)\b(jwt|bearer)\s+[A-Za-z0-9._=-]{16,}")


def scrub(text: str) -> str:
    """The text, bounded, without tokens."""
    if "=" in text or " " in text:
        text = _AUTHORIZATION.sub(r"\1 [token]", _PARAMETER.sub("jwt=[token]", text[:65536]))
    return clean(text, LIMIT)


def _scrubbed(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict) and depth < 4:
        return {scrub(str(name)): _scrubbed(item, depth + 1) for name, item in list(value.items())[:50]}
    if isinstance(value, list | tuple) and depth < 4:
        return [_scrubbed(item, depth + 1) for item in value[:50]]
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "where": where(value)}
    return type(value).__name__


def render(_: Any, __: str, fields: MutableMapping[str, Any]) -> str:
    """A line's text: ASCII JSON, whatever the fields hold."""
    found = fields.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found if isinstance(found, BaseException) else None
    if error is None and found:
        error = sys.exc_info()[1]
    line = {scrub(str(name)): _scrubbed(value) for name, value in fields.items()}
    if error is not None:
        line |= {"error": type(error).__name__, "where": where(error)}
    return json.dumps(line, default=str, allow_nan=True)


def configure(level: int = logging.INFO) -> None:
    """Sets up this process's log, and what becomes of errors that nobody caught."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_OneLine())
    logging.getLogger("uvicorn.error").setLevel(
        logging.ERROR
    )  # a warning for each bit of garbage is a stranger's to ask
    logging.raiseExceptions = False  # logging's own report of a line that failed would print a traceback
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    warnings.simplefilter("ignore", ResourceWarning)  # as Python itself: what the end closes is no news
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().error("uncaught", error=kind.__name__, where=where(error))


class _OneLine(logging.Formatter):
    """Other libraries' lines: their first line only (asyncio puts the text of exceptions into the next ones)."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit, or that cannot be shown
            message = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Any] = {"event": message.partition("\n")[0], "level": record.levelname.lower(),
                                  "logger": record.name}  # fmt: skip
        if error is not None:
            fields["exc_info"] = error
        return render(None, "", fields)
