"""The reading room for commands: the log and the decision log, read-only."""

from collections.abc import Iterator
from contextlib import contextmanager

from tenure.cli.output import guarded, settings_of
from tenure.decision_stores import decision_reads_of
from tenure.projections.archive import Archive
from tenure.settings import StoreSettings
from tenure.stores import log_of


@contextmanager
def archive() -> Iterator[Archive]:
    """Everything that was recorded, to be asked."""
    with guarded():
        settings = settings_of(StoreSettings)
        log = log_of(settings)
        decisions = decision_reads_of(settings)
        try:
            yield Archive(log, decisions)
        finally:
            log.close()
            decisions.close()
