"""`tenure reinstate`: an earlier secret in force again, where Jira rolled a rotation back."""

import sys
from typing import Annotated

import typer

from tenure import operators
from tenure.cli.audit import Json, TenantName, one_tenant
from tenure.cli.output import emit, fail, guarded, settings_of
from tenure.domain.questions import MAX_POSITION
from tenure.keydesk import keys_are_there
from tenure.opening import open_vault, open_writer
from tenure.reinstating import NotReinstatedError
from tenure.reinstating import reinstate as put_in_force
from tenure.settings import KeySettings
from tenure.stores import is_there


def reinstate(
    name: TenantName,
    secret: Annotated[
        int, typer.Option("--secret", help="Position of the event that brought it.", min=1, max=MAX_POSITION)
    ],
    why: Annotated[str, typer.Option("--reason", help="Kept in the event.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask back.")] = False,
    as_json: Json = False,
) -> None:
    """An earlier secret in force again until the next `installed`: for a rotation that Jira rolled back.
    Example: tenure reinstate acme.atlassian.net --secret 2 --reason "install rolled back at 09:12"
    """
    settings = settings_of(KeySettings)
    with guarded():
        if not is_there(settings) or not keys_are_there(settings):
            raise FileNotFoundError("there is no log, or there are no keys (TENURE_DATABASE_URL)")
        log, vault = open_writer(settings), open_vault(settings)
        try:
            tenant = one_tenant(log, name)
            if not yes and sys.stdin.isatty():
                told = f"position {secret} instead of position {tenant.secret.position}"
                typer.confirm(f"{tenant.client_key} {tenant.base_url}: secret of {told}?", abort=True, err=True)
            by, origin = operators.who()
            event = put_in_force(log, vault, tenant, secret, by=by, origin=origin, why=why)
        except NotReinstatedError as error:
            raise fail(str(error), 2) from None
        finally:
            log.close()
            vault.close()
    told_fields = {"client_key": event.client_key, "position": event.position, "secret_position": secret, "by": by}
    if as_json:
        emit(told_fields, True)
        return
    typer.echo(f"event {event.position}: the secret of position {secret} is in force again, until the next installed")
