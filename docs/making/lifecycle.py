"""The lifecycle as a picture, drawn from the table that decides it and from the meaning of each event.

Which arrow leads where is asked of `look_up` and `evolve`; only where an arrow lies on the paper is written here. An
arrow the table has and the paper has no place for is an error, so the picture cannot fall behind.
"""

from collections import defaultdict

from tenure.domain.callbacks import Callback
from tenure.domain.events import Data, Erased, Event, EventType, Installed, Reinstated, Switched
from tenure.domain.lifecycle import TABLE, Outcome, Proof, look_up
from tenure.domain.tenant import Standing, Tenant, evolve, standing
from tenure.projections.svg import Canvas

ERASED = "erased"
PROOFS = {Proof.RS256: "RS256, Atlassian's key", Proof.HS256: "HS256, stored secret", Proof.NONE: "no token"}
DATA: dict[EventType, Data] = {
    EventType.INSTALLED: Installed("https://site.example", "sealed", "fingerprint"),
    EventType.ERASED: Erased("operator", "host", "key"),
    EventType.REINSTATED: Reinstated("operator", "host", 1, "sealed", "fingerprint"),
}
HISTORIES = {
    "unknown": (),
    "live": (EventType.INSTALLED,),
    "uninstalled": (EventType.INSTALLED, EventType.UNINSTALLED),
    ERASED: (EventType.INSTALLED, EventType.UNINSTALLED, EventType.ERASED),
}
BOXES = {
    "unknown": (30, 110, "unknown", "nothing was ever believed"),
    "live": (390, 110, "live", "its secret lets traffic in"),
    "uninstalled": (750, 110, "uninstalled", "kept, marked, lets nothing in"),
    ERASED: (750, 260, "erased", "secrets gone, history stays"),
}
ROUTES = {
    ("unknown", "live"): ("M230 145 H386", 308, 135),
    ("live", "live"): ("M440 110 C400 50 580 50 540 106", 490, 54),
    ("live", "uninstalled"): ("M590 130 H746", 668, 120),
    ("uninstalled", "live"): ("M750 162 H594", 672, 182),
    ("uninstalled", ERASED): ("M850 180 V256", 862, 223),
    ("live", ERASED): ("M540 180 V275 H746", 650, 268),
    (ERASED, "live"): ("M750 312 H450 V184", 600, 304),
}
WIDTH = 1120
LEFTS = (330, 525, 720, 915)


def after(history: tuple[EventType, ...]) -> Tenant | None:
    """The tenant after events of these types."""
    tenant: Tenant | None = None
    for number, kind in enumerate(history, start=1):
        data = DATA.get(kind, Switched())
        event = Event(number, number, kind, "app", "client", f"2026-01-01T00:00:0{number}Z", {}, None, data, "", "")
        tenant = evolve(tenant, event)
    return tenant


def name_of(tenant: Tenant | None) -> str:
    """The state's name in the picture."""
    return ERASED if tenant is not None and tenant.erased_at else str(standing(tenant))


def columns() -> list[Standing]:
    """For each state of the picture, the column of the decision table that it is in."""
    return [standing(after(history)) for history in HISTORIES.values()]


def arrows() -> dict[tuple[str, str], list[str]]:
    """From state to state: the events that lead there, with signed install."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for state, history in HISTORIES.items():
        where = standing(after(history))
        for callback in Callback:
            if any(look_up(callback, proof, where, False)[0] is Outcome.APPEND for proof in Proof):
                found[state, name_of(after((*history, EventType(callback.value))))].append(callback.value)
    for kind, states in ((EventType.REINSTATED, ("live",)), (EventType.ERASED, ("uninstalled", "live"))):
        for state in states:
            found[state, name_of(after((*HISTORIES[state], kind)))].append(f"{kind.value}*")
    return found


def picture() -> str:
    """The SVG: the states and what leads from one to the other, then the whole table."""
    heights = [_height(callback, proof) for callback in Callback for proof in Proof]
    canvas = Canvas(
        WIDTH,
        404 + sum(heights) + 40,
        "The lifecycle of a tenant",
        "States: unknown, live, uninstalled, erased; the events that lead from one to another; then, for each callback,"
        " proof and state, whether it becomes an event, is acknowledged, or is refused.",
    )
    canvas.text(30, 36, "The lifecycle of a tenant", "title")
    for state, (x, y, title, below) in BOXES.items():
        canvas.labelled(x, y, 200, 70, title, below, kind="ours" if state == "live" else "box")
    for pair, events in arrows().items():
        path, x, y = ROUTES[pair]
        canvas.arrow(path)
        canvas.text(x, y, ", ".join(events), "good", "start" if x == 862 else "middle")
    canvas.lines(
        30, 262, ("* by an operator; erased also by the service,", "ERASE_AFTER_DAYS after the uninstall"), "small"
    )
    _table(canvas, 360)
    return canvas.svg()


def _table(canvas: Canvas, top: int) -> None:
    canvas.text(30, top, "What each call comes to", "title")
    for left, state in zip(LEFTS, HISTORIES, strict=True):
        canvas.text(left, top + 32, state, "title")
    canvas.text(30, top + 32, "callback and its proof", "small")
    y = top + 44
    for callback in Callback:
        canvas.rule(30, y, WIDTH - 60)
        for number, proof in enumerate(Proof):
            if number == 0:
                canvas.text(30, y + 20, callback.value, "title")
            canvas.text(150, y + 20, PROOFS[proof], "small")
            for left, where in zip(LEFTS, columns(), strict=True):
                _cell(canvas, left, y + 20, callback, proof, where)
            y += _height(callback, proof)
    canvas.rule(30, y, WIDTH - 60)
    canvas.text(
        30, y + 24, f"Drawn from the {len(TABLE)} rows of domain/lifecycle.py. “legacy”: LEGACY_INSTALL is on.", "small"
    )


def _cell(canvas: Canvas, x: int, y: int, callback: Callback, proof: Proof, where: Standing) -> None:
    usual, legacy = (_words(callback, proof, where, mode) for mode in (False, True))
    canvas.text(x, y, *usual)
    if legacy != usual:
        canvas.text(x, y + 16, f"legacy: {legacy[0]}", "small")


def _words(callback: Callback, proof: Proof, where: Standing, legacy: bool) -> tuple[str, str]:
    outcome, reason = look_up(callback, proof, where, legacy)
    if reason is not None:
        return reason.value, "mono bad"
    return ("event", "good") if outcome is Outcome.APPEND else ("acknowledged", "calm")


def _height(callback: Callback, proof: Proof) -> int:
    differs = any(
        look_up(callback, proof, where, True) != look_up(callback, proof, where, False) for where in columns()
    )
    return 48 if differs else 29
