"""An application on PyPI eventsourcing with its SQLite recorder: tenants as aggregates, `installed` as their event."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Tenant(Aggregate):  # type: ignore[misc]
    """A tenant; the fields are those of our `installed`."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    @event("Installed")  # type: ignore[untyped-decorator]
    def install(self, fields: dict[str, Any]) -> None:
        """One event."""
        self.fields = fields


class Peer:
    """The application on one file."""

    def __init__(self, path: Path) -> None:
        self.app: Any = Application(
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path), "SQLITE_LOCK_TIMEOUT": "60"}
        )

    def save(self, tenant: Any, fields: dict[str, Any]) -> None:
        """One event in one save."""
        tenant.install(fields)
        self.app.save(tenant)

    def fill(self, count: int, fields: dict[str, Any]) -> None:
        """So many events, many a transaction."""
        for start in range(0, count, 2000):
            tenants = [Tenant(fields) for _ in range(min(2000, count - start))]
            events = [found for tenant in tenants for found in tenant.collect_events()]
            self.app.recorder.insert_events([self.app.mapper.to_stored_event(found) for found in events])

    def read(self) -> Iterator[Any]:
        """Every event in the order of the log, mapped to its class."""
        start: int | None = None
        while found := self.app.recorder.select_notifications(start, 1000, inclusive_of_start=False):
            yield from map(self.app.mapper.to_domain_event, found)
            start = found[-1].id

    def close(self) -> None:
        """Closes the file."""
        self.app.close()
