"""Log lines: structlog, JSON on standard error. No tracebacks with locals, no URLs with queries, no inputs."""

import json
import logging
import sys

import structlog


def configure(level: int = logging.INFO) -> None:
    """Sets up this process's log."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_OneLine())


class _OneLine(logging.Formatter):
    """Other libraries' lines as JSON too; of an exception only its kind, because a traceback may hold a secret."""

    def format(self, record: logging.LogRecord) -> str:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        return json.dumps({"event": record.getMessage(), "level": record.levelname.lower(), "logger": record.name,
                           **({"error": kind} if kind else {})})  # fmt: skip
