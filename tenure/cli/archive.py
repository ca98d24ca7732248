"""The reading room for commands: log and decision log, read-only, and the settings in force as far as they are set."""

from collections.abc import Iterator
from contextlib import contextmanager

from tenure.cli.output import guarded, settings_of
from tenure.domain.check import Policy
from tenure.projections.archive import Archive
from tenure.settings import Settings, SettingsError, StoreSettings, load
from tenure.store.connection import connect
from tenure.store.decisions import SqliteDecisions
from tenure.store.measures import DecisionMeasures
from tenure.store.sqlite import SqliteLog


@contextmanager
def archive() -> Iterator[Archive]:
    """Everything that was recorded, to be asked."""
    with guarded():
        settings = settings_of(StoreSettings)
        log = SqliteLog(settings.log_path, read_only=True)
        decisions = SqliteDecisions(settings.beside("decisions"), read_only=True)
        measures = connect(settings.beside("decisions"), read_only=True)
        policy, base_path = _in_force()
        try:
            yield Archive(
                log, decisions, DecisionMeasures(measures.conn.execute), policy=policy, base_path=base_path
            )  # fmt: skip
        finally:
            for part in (log, decisions, measures):
                part.close()


def _in_force() -> tuple[Policy | None, str]:
    # reading needs only the store's settings; an explanation says more with the others
    try:
        settings = load(Settings)
    except SettingsError:
        return None, ""
    assert isinstance(settings, Settings)  # noqa: S101 (for the type checker)
    return Policy(settings.audiences, settings.refuse_disabled, settings.legacy_install), settings.base_path
