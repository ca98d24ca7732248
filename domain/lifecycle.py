"""THE table: callback x proof x where the tenant stands -> what happens.

The rules in prose. A lifecycle call is believed by its token alone. With signed install (enforced by Atlassian since
29 October 2021) `installed` and `uninstalled`, the very first included, are RS256 by a key of Atlassian's; `enabled`
and `disabled` are HS256 by the tenant's stored secret. There is no fall-back from one to the other, or to unsigned,
after a failure. In legacy mode, for hosts without signed install, the very first `installed` of a tenant may be
unsigned and every later call is HS256 by the secret stored before it, never by the one in its body; an unsigned call
of a known tenant is refused, also after an uninstall. Uninstall marks a tenant and never deletes it. Order is the
order of our own log: `installed` on a live tenant is normal, a late `enabled` or `disabled` never revives.
Sources: Atlassian's "Security for Connect apps", "App descriptor: lifecycle", the signed-install change notice, and
staff answers on the developer forum.

What is absent on purpose: whether the body is the one the token was made for is not in the token (method, path and
query are signed, the body is not); that is why a token is good for one body, once (see `ports.EventLog`).
"""

from dataclasses import dataclass, fields
from enum import StrEnum

from tenure.domain.callbacks import Callback, Payload, Site
from tenure.domain.events import Cause, Changed, EventType
from tenure.domain.refusals import Reason, Refused
from tenure.domain.tenant import Standing, Tenant, standing


class Proof(StrEnum):
    """How a call may be proved: by a key of Atlassian's, by the stored secret, not at all."""

    RS256 = "rs256"
    HS256 = "hs256"
    NONE = "none"


class Outcome(StrEnum):
    """What comes of a call: an event, a 2xx without one, or a refusal."""

    APPEND = "append"
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `legacy` is the outcome in legacy mode where it differs."""

    callbacks: tuple[Callback, ...]
    proof: Proof
    standings: tuple[Standing, ...]
    outcome: Outcome
    reason: Reason | None = None
    legacy: Outcome | None = None
    legacy_reason: Reason | None = None


_I, _U, _E, _D = Callback.INSTALLED, Callback.UNINSTALLED, Callback.ENABLED, Callback.DISABLED
_NEW, _LIVE, _GONE = Standing.UNKNOWN, Standing.LIVE, Standing.UNINSTALLED
_ANY = (_NEW, _LIVE, _GONE)
_ALG = Reason.ALGORITHM_NOT_ALLOWED

TABLE: tuple[Row, ...] = (
    Row((_I,), Proof.RS256, _ANY, Outcome.APPEND),
    Row((_U,), Proof.RS256, (_LIVE,), Outcome.APPEND),
    Row((_U,), Proof.RS256, (_NEW, _GONE), Outcome.ACKNOWLEDGE),
    Row((_E, _D), Proof.RS256, _ANY, Outcome.REFUSE, _ALG),
    Row((_I,), Proof.HS256, (_LIVE, _GONE), Outcome.REFUSE, _ALG, legacy=Outcome.APPEND),
    Row((_U,), Proof.HS256, (_LIVE,), Outcome.REFUSE, _ALG, legacy=Outcome.APPEND),
    Row((_U,), Proof.HS256, (_GONE,), Outcome.REFUSE, _ALG, legacy=Outcome.ACKNOWLEDGE),
    Row((_I, _U), Proof.HS256, (_NEW,), Outcome.REFUSE, _ALG, Outcome.REFUSE, Reason.TENANT_UNKNOWN),
    Row((_E, _D), Proof.HS256, (_LIVE,), Outcome.APPEND),
    Row((_E, _D), Proof.HS256, (_GONE,), Outcome.ACKNOWLEDGE),
    Row((_E, _D), Proof.HS256, (_NEW,), Outcome.REFUSE, Reason.TENANT_UNKNOWN),
    Row((_I,), Proof.NONE, (_NEW,), Outcome.REFUSE, Reason.TOKEN_MISSING, legacy=Outcome.APPEND),
    Row((_I,), Proof.NONE, (_LIVE, _GONE), Outcome.REFUSE, Reason.TOKEN_MISSING),
    Row((_U, _E, _D), Proof.NONE, _ANY, Outcome.REFUSE, Reason.TOKEN_MISSING),
)

_CELLS: dict[tuple[Callback, Proof, Standing], Row] = {
    (callback, row.proof, where): row for row in TABLE for callback in row.callbacks for where in row.standings
}


def look_up(callback: Callback, proof: Proof, where: Standing, legacy: bool) -> tuple[Outcome, Reason | None]:
    """The table's answer; a reason only with REFUSE."""
    row = _CELLS[callback, proof, where]
    if legacy and row.legacy is not None:
        return row.legacy, row.legacy_reason
    return row.outcome, row.reason


def allowed(callback: Callback, proof: Proof, legacy: bool) -> bool:
    """Whether the kind of proof is taken at all, wherever the tenant stands."""
    return look_up(callback, proof, Standing.LIVE, legacy)[1] != _ALG


def decide(callback: Callback, proof: Proof, tenant: Tenant | None, legacy: bool) -> EventType | None:
    """The event a believed call becomes, None for an acknowledgement without one, or Refused."""
    outcome, reason = look_up(callback, proof, standing(tenant), legacy)
    if reason is not None:
        raise Refused(reason)
    return EventType(callback.value) if outcome is Outcome.APPEND else None


def describe_change(tenant: Tenant | None, payload: Payload, fingerprint: str) -> Changed:
    """What an `installed` changes and why it came; `fingerprint` is the new secret's."""
    site = payload.site or Site("")
    if tenant is None or standing(tenant) is Standing.UNKNOWN:
        return Changed(Cause.FIRST)
    new = {"secret": fingerprint} | {f.name: getattr(site, f.name) for f in fields(Site)}
    new["display_url"] = site.display_url or site.base_url
    old = {name: getattr(tenant, name) for name in new if name not in ("secret",) and hasattr(tenant, name)}
    old["secret"] = tenant.secret.fingerprint
    changed = tuple(sorted(name for name in old if new[name] and new[name] != old[name]))
    return Changed(_cause(tenant, changed), changed)


def _cause(tenant: Tenant, changed: tuple[str, ...]) -> Cause:
    if not tenant.installed:
        return Cause.REINSTALL
    if "base_url" in changed:
        return Cause.RENAME
    return Cause.ROTATION if "secret" in changed else Cause.UPGRADE
