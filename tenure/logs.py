"""Log lines: structlog, JSON on standard error. No tracebacks with locals, no URLs with queries, no inputs."""

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
        format='{"event": "%(name)s", "level": "%(levelname)s", "message": "%(message)s"}',
    )
