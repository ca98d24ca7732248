"""The causes that a diagnosis knows: each a small function from the case to its signs, or to what speaks against it.

A cause is named only on signs that a healthy history does not show, whatever strangers send in between:
- only calls after the last accepted one of the tenant's own secret count: that one shows that all is well;
- what anybody could have sent (bad signature, expired) counts only by several different tokens;
- a rotation is given the minute in which the old secret is answered 425.
Sources: Atlassian staff on rolled-back installs, renames and site imports; what Jira retries; the signs seen in apps.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tenure.domain.check import ROTATION_GRACE
from tenure.domain.decisions import Decision
from tenure.domain.events import EventType
from tenure.domain.qsh_doctor import MISTAKES
from tenure.domain.questions import seconds_between
from tenure.domain.refusals import REASONS, Reason
from tenure.domain.tenant import Standing, Tenant, standing
from tenure.projections.case import Case, distinct, settings_changes
from tenure.projections.explain import span

LATE_MS = 10_000
SPREAD_S = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause looked for: `says` is what happened if it `holds`, else what speaks against it."""

    cause: str
    holds: bool
    says: str
    signs: tuple[str, ...] = ()
    next: str = ""


def _not(cause: str, why: str) -> Finding:
    return Finding(cause, False, why)


def uninstalled(case: Case) -> Finding:
    """The admin took the app off the site (or the tenant was erased since)."""
    name = "uninstalled"
    if case.tenant is None or standing(case.tenant) is Standing.LIVE:
        return _not(name, "The site has the app installed, as far as was told." if case.tenant else "Never installed.")
    last = next((e for e in reversed(case.history) if e.type in (EventType.UNINSTALLED, EventType.ERASED)), None)
    where = f"position {last.position}, {last.recorded_at}" if last else case.tenant.uninstalled_at
    refused = len([c for c in case.refused if c.reason == Reason.TENANT_UNINSTALLED])
    return Finding(
        name, True, f"The app was {last.type if last else 'uninstalled'}: {where}.",
        (f"the event at {where}", f"{refused} calls refused as of an uninstalled tenant since"),
        "Ask the site's admin whether it was meant; a new install brings the tenant back with its history.",
    )  # fmt: skip


def site_import(case: Case) -> Finding:
    """The site was imported: the same baseUrl comes back under a new clientKey, the old one vanishes without a word."""
    name, mine = "site_import", case.tenant
    same = [s for s in case.siblings if mine and s.base_url == mine.base_url and s.client_key != mine.client_key]
    newer = [s for s in same if mine and s.installed_at > mine.installed_at]
    if mine and newer:
        return _imported(case, mine, newer[0])
    older = [s for s in same if standing(s) is Standing.LIVE]
    if mine and older and mine.installed_at >= case.since:
        return _imported(case, older[0], mine)
    return _not(name, "No other client key has installed under this baseUrl in this time.")


def _imported(case: Case, old: Tenant, new: Tenant) -> Finding:
    refused = len([call for call in case.refused if call.claimed_client_key == old.client_key])
    return Finding(
        "site_import", True,
        f"{old.base_url} was imported: {old.client_key} became {new.client_key} at {new.installed_at}.",
        ("the same baseUrl under a new clientKey", f"no uninstalled came for the old one, {old.client_key}",
         f"{refused} calls of the old one refused in this time"),
        f"Move the app's own data from {old.client_key} to {new.client_key}; the old tenant will not speak again.",
    )  # fmt: skip


def rotation_not_taken(case: Case) -> Finding:
    """Jira rotated the secret, had no answer in time (or hung up), and goes on with the old one."""
    name = "rotation_not_taken"
    if len(case.secrets) < 2:
        return _not(name, "The secret was never replaced.")
    old, new = case.secrets[-2], case.secrets[-1]
    proof = case.last_proof
    if proof is not None and proof.read_position >= new.position:
        return _not(name, f"The secret of position {new.position} is in use: a call was accepted at {proof.at}.")
    late = [c for c in case.since_proof(Reason.SECRET_SUPERSEDED) if c.read_position >= new.position]
    if not late:
        return _not(name, f"Nothing came signed with the secret that position {new.position} replaced.")
    answer = _answer_to(case, new.since)
    hung_up = answer is not None and answer.facts.gone
    slow = answer is not None and answer.took_ms > LATE_MS
    if not hung_up and not slow and seconds_between(new.since, case.now) <= ROTATION_GRACE:
        return _not(name, "The rotation is less than a minute old: Jira may still be about to switch.")
    signs = [f"{len(late)} calls since position {new.position} signed with the secret of position {old.position}",
             "none with the new one"]  # fmt: skip
    if hung_up:
        signs.append("the caller had hung up before our answer to that installed")
    if slow and answer is not None:
        signs.append(f"our answer to that installed took {answer.took_ms / 1000:.0f} s")
    return Finding(
        name, True, f"Jira never took over the secret of position {new.position} ({new.since}) and signs with the old.",
        tuple(signs), _cure(case, old.position, late),
    )  # fmt: skip


def _cure(case: Case, position: int, late: Sequence[Decision]) -> str:
    # offered only where it would be taken, and not on a single call, which may be an old one sent again
    again = "ask the admin to install again"
    if case.tenant is None or standing(case.tenant) is not Standing.LIVE or distinct(late) < 2:
        return f"{again[0].upper()}{again[1:]}."
    command = f"tenure reinstate {case.tenant.client_key} --secret {position}"
    return f"{command}, or {again}. Not if that secret was replaced because it leaked."


def _answer_to(case: Case, at: str) -> Decision | None:
    """The decision of the `installed` that was recorded at a time: the first accepted one not before it."""
    answers = (c for c in case.calls if c.kind == "installed" and c.verdict == "accepted")
    near = [c for c in answers if abs(seconds_between(at, c.at)) < ROTATION_GRACE]
    return min(near, key=lambda c: abs(seconds_between(at, c.at)), default=None)


def address_changed(case: Case) -> Finding:
    """A proxy or the base URL changed: tokens are bound to another path, or meant for another audience."""
    name, reasons = "address_changed", (Reason.QSH_MISMATCH, Reason.AUDIENCE_MISMATCH)
    found = [*case.since_proof(Reason.QSH_MISMATCH), *case.lifecycle_since(Reason.AUDIENCE_MISMATCH)]
    others = case.tenants_elsewhere(*reasons)
    if not found:
        return _not(name, "No call that counts was refused for its path or its audience.")
    audience = [call for call in found if call.reason == Reason.AUDIENCE_MISMATCH]
    if distinct(found) < 2 and not others and not audience:
        return _not(name, "A single call was refused for its path: no pattern.")
    signs = [f"{count} calls refused: {reason}" for reason, count in Counter(c.reason for c in found).most_common()]
    signs.append(f"{others} other tenants refused for the same in this time" if others else "no other tenant is")
    made = Counter(code for call in found for code in call.facts.mistakes)
    signs += [f"{count} times: {MISTAKES[code].sentence}" for code, count in made.most_common(3) if code in MISTAKES]
    signs += sorted({f"tokens meant for {', '.join(call.facts.aud)}" for call in audience if call.facts.aud})[:3]
    changes = settings_changes(case.around)
    started = [e for e in case.around if e.position in changes and e.recorded_at < found[0].at]
    if started:
        names = ", ".join(changes[started[-1].position])
        signs.append(f"the service was started with other settings ({names}) at {started[-1].recorded_at}")
    best = next((MISTAKES[code].next for code, _ in made.most_common(1) if code in MISTAKES), "")
    return Finding(
        name, True, f"The address changed: since {found[0].at} calls are bound to another URL than the one received.",
        tuple(signs), best or "Compare BASE_URL, EXTRA_BASE_URLS and the proxy's paths with the descriptor Jira has.",
    )  # fmt: skip


def clock(case: Case) -> Finding:
    """Our clock, or the sender's, is wrong: fresh tokens look expired, or from the future."""
    name, reasons = "clock", (Reason.EXPIRED, Reason.NOT_YET_VALID)
    found = [call for call in case.since_proof(*reasons) if call.facts.iat is not None]
    if distinct(found) < 2:
        return _not(name, "No different tokens were refused for their time.")
    ahead = [call.facts.now - (call.facts.iat or 0) for call in found]
    middle = median(ahead)
    if max(abs(value - middle) for value in ahead) > SPREAD_S:
        return _not(name, "The refused tokens are of different ages: old ones sent again, not one clock that is off.")
    others = case.tenants_elsewhere(*reasons)
    whose = "our clock is" if others else "the sender's clock or ours is"
    way = f"{span(abs(middle))} {'ahead of' if middle > 0 else 'behind'} the sender's"
    told = f"{whose} wrong: ours is {way}."
    return Finding(
        name, True, told[0].upper() + told[1:],
        (f"{len(found)} calls refused: {', '.join(sorted({c.reason for c in found}))}",
         f"all about {span(abs(middle))} off, so made for the moment",
         f"{others} other tenants refused for the same in this time" if others else "no other tenant is"),
        "Set our clock (NTP)." if others else "Compare both clocks (NTP), the sender's first: other sites pass.",
    )  # fmt: skip


def key_host(case: Case) -> Finding:
    """The key host did not answer, so that no install could be proved."""
    name = "key_host"
    found = [c for c in case.lifecycle_since(Reason.KEY_UNAVAILABLE) if not c.detail.startswith("too many")]
    if not found:
        return _not(name, "No install of this site waits for a key.")
    others = case.tenants_elsewhere(Reason.KEY_UNAVAILABLE)
    return Finding(
        name, True, f"The key host gave no sound key since {found[0].at}: {found[-1].detail}.",
        (f"{len(found)} lifecycle calls answered 503", f"{others} other tenants too" if others else "no other tenant"),
        "Open the way out to INSTALL_KEYS_URL; then ask the admin to try again.",
    )  # fmt: skip


def disabled(case: Case) -> Finding:
    """The admin (or a licence that ended) disabled the app: Jira stops calling it."""
    if case.tenant is None or not case.tenant.disabled:
        return _not("disabled", "No disabled is in force.")
    last = next((event for event in reversed(case.history) if event.type == EventType.DISABLED), None)
    where = f"position {last.position}, {last.recorded_at}" if last else "an earlier event"
    return Finding(
        "disabled", True, f"The app is disabled on the site: {where}.", (f"the event at {where}",),
        "Ask the site's admin; a licence that ended disables an app, too.",
    )  # fmt: skip


def secret_never_received(case: Case) -> Finding:
    """The site signs with a secret we never had: an `installed` did not reach us."""
    name = "secret_never_received"
    found = case.since_proof(Reason.SIGNATURE_BAD)
    if case.tenant is None or distinct(found) < 3:
        return _not(name, "No run of different calls with a signature that holds under no secret of this tenant.")
    agents = sorted({call.facts.user_agent for call in found if call.facts.user_agent})[:2]
    return Finding(
        name, True, f"Since {found[0].at} calls are signed with a secret this tenant never had here.",
        (f"{len(found)} calls with a bad signature, none accepted since", *(f"sent by {agent}" for agent in agents)),
        "Ask the admin to install again; if the site's own calls go well there, it is a stranger.",
    )  # fmt: skip


def install_refused(case: Case) -> Finding:
    """The tenant is not installed, because each `installed` is refused."""
    name = "install_refused"
    if standing(case.tenant) is Standing.LIVE:
        return _not(name, "The site is installed.")
    found = [c for c in case.refused if c.kind == "installed"]
    if not found:
        return _not(name, "No installed of this name was refused.")
    reason, count = Counter(call.reason for call in found).most_common(1)[0]
    entry = REASONS[Reason(reason)]
    return Finding(
        name, True, f"The install is refused: {entry.sentence}",
        (f"{count} times {reason}", f"last at {found[-1].at}, decision {found[-1].decision}"), entry.next,
    )  # fmt: skip


def receiver_failing(case: Case) -> Finding:
    """Calls are accepted, but the app's own receiver behind us fails."""
    name = "receiver_failing"
    hooks = [call for call in case.calls if call.kind == "webhook" and call.verdict == "accepted" and call.status]
    failed = [call for call in hooks if call.status >= 500]
    if len(failed) < 2 or hooks[-1].status < 500:
        return _not(name, "The app's receiver took the last webhook." if hooks else "No webhook was passed on.")
    return Finding(
        name, True, f"The app's own receiver fails since {failed[0].at}: {failed[-1].status}.",
        (f"{len(failed)} webhooks accepted here and answered 5xx by UPSTREAM_URL",),
        "Look at the app behind UPSTREAM_URL; Jira tries again for a while.",
    )  # fmt: skip


def never_reached_us(case: Case) -> Finding:
    """Nothing of this site came in at all: neither accepted nor refused."""
    name = "never_reached_us"
    if case.calls:
        return _not(name, f"{len(case.calls)} calls of it came in this time, the last at {case.calls[-1].at}.")
    last = "no call of it is known at all"
    if case.last_accepted is not None:
        last = f"the last accepted call was at {case.last_accepted.at}"
    door = "no other site's call was accepted either: look at DNS, proxy and firewall first"
    if case.others:
        door = f"{case.others} calls of other sites were accepted in this time: the door is open"
    return Finding(
        name, True, f"Nothing of {case.name} reached us since {case.since}.", (last, door),
        "Look for the site's calls in the proxy in front of us; ask the admin for the app's state and the site's name.",
    )  # fmt: skip


CAUSES: Sequence[Callable[[Case], Finding]] = (
    uninstalled, site_import, rotation_not_taken, address_changed, clock, key_host, install_refused, disabled,
    receiver_failing, secret_never_received, never_reached_us,
)  # fmt: skip
