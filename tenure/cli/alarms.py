"""`tenure alarms`: what the service said unasked about its tenants, and whether it is over."""

from enum import StrEnum
from typing import Annotated

import typer

from tenure.cli.audit import Json
from tenure.cli.follow import follow as follow_rows
from tenure.cli.output import fail, guarded, moment, reading, settings_of, table
from tenure.decision_stores import decision_reads_of
from tenure.domain.alarms import AlarmFilter, AlarmKind
from tenure.projections import tenants
from tenure.projections.shown import alarm_fields
from tenure.settings import StoreSettings

MOST = 1_000_000
_SHOWN = ("at", "state", "kind", "client_key", "base_url", "cause", "says")


class States(StrEnum):
    """What becomes of alarms."""

    RAISED = "raised"
    ENDED = "ended"
    OPEN = "open"


def alarms(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    kind: Annotated[AlarmKind | None, typer.Option(help="Only of this kind.")] = None,
    state: Annotated[States | None, typer.Option(help="Only raised, only ended, or raised and not ended.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
    as_json: Json = False,
) -> None:
    """Tenants whose calls stopped passing, with the likely cause, and when it was over.

    Example: tenure alarms --state open
    """
    chosen = AlarmFilter(
        client_key=_client_key(tenant) if tenant else None,
        kind=kind and kind.value,
        state=state and state.value,
        since=moment(since) if since else None,
        until=moment(until) if until else None,
    )
    with guarded():
        store = decision_reads_of(settings_of(StoreSettings))
        try:
            last = store.alarms.last_number()
            rows = [alarm_fields(one) for one in store.alarms.page(chosen, limit=MOST)]
            table(rows, _SHOWN, as_json)
            if follow:
                follow_rows(
                    lambda after: [(one.number, alarm_fields(one)) for one in store.alarms.page(chosen, after=after)],
                    max([last, *(row["number"] for row in rows)]), _SHOWN, as_json,
                )  # fmt: skip
        finally:
            store.close()


def _client_key(name: str) -> str:
    # an alarm may be of a site that never got in, known by its claim alone
    with reading() as log:
        found = tenants.find(log.connection, name)
    if len(found) > 1:
        keys = ", ".join(tenant.client_key for tenant in found)
        raise fail(f"{name} names several tenants, newest first: {keys}; say which by its client key", 2)
    return found[0].client_key if found else name
