"""A timeline as text: the same lanes in columns of a terminal, then its moments, gaps and races in words."""

from collections import Counter
from collections.abc import Sequence

from tenure.projections.axis import Axis, Tick
from tenure.projections.timeline import Heard, Stretch, Timeline, span_ms

LEFT = 11
_HEIGHTS = "▁▂▃▄▅▆▇█"
_FOLD = "┊"


def chart(life: Timeline, columns: int = 100) -> list[str]:
    """The lanes, a line each; a fold is three columns wide."""
    width = max(columns - LEFT, 30)
    axis = Axis(life.times, 0, width, 3)
    lanes = {
        "events": _events(life, axis, width),
        "installed": _bars(life.installed, axis, width, ["█"]),
        "enabled": _bars(life.enabled, axis, width, ["█"]),
        "secret": _bars(life.secrets, axis, width, [str(number % 10) for number in range(1, len(life.secrets) + 1)]),
        "accepted": _calls(life.accepted, axis, width),
        "refused": _calls(life.refused, axis, width),
    }
    folds = [piece for piece in axis.pieces if piece.folded]
    lines = [" " * LEFT + _scale(axis.ticks(26), width)]
    for name, cells in lanes.items():
        for piece in folds:
            middle = int(piece.left) + 1
            if cells[middle] == " ":
                cells[middle] = _FOLD
        lines.append(f"{name:<{LEFT}}{''.join(cells)}".rstrip())
    if folds:
        told = ", ".join(span_ms(piece.until - piece.since) for piece in folds)
        lines.append(f"{'':<{LEFT}}{_FOLD} folded, in their order: {told}")
    return lines


def _column(axis: Axis, time: str, width: int) -> int:
    return min(int(axis.x(time)), width - 1)


def _bars(stretches: Sequence[Stretch], axis: Axis, width: int, signs: Sequence[str]) -> list[str]:
    cells = [" "] * width
    for number, one in enumerate(stretches):
        sign = signs[number % len(signs)]
        for column in range(_column(axis, one.since, width), _column(axis, one.until, width) + 1):
            cells[column] = sign
    return cells


def _events(life: Timeline, axis: Axis, width: int) -> list[str]:
    counted = Counter(_column(axis, moment.at, width) for moment in life.events)
    return [("|" if times == 1 else str(min(times, 9))) if times else " " for times in map(counted.__getitem__,
            range(width))]  # fmt: skip


def _calls(calls: Sequence[Heard], axis: Axis, width: int) -> list[str]:
    counted = Counter(_column(axis, call.at, width) for call in calls)
    most = max(counted.values(), default=1)
    heights = [(counted[column] * len(_HEIGHTS) + most - 1) // most for column in range(width)]
    return [_HEIGHTS[height - 1] if height else " " for height in heights]


def _scale(ticks: Sequence[Tick], width: int) -> str:
    cells = [" "] * (width + 30)
    free = 0
    for tick in ticks:
        start = max(int(tick.x), 0)
        if start >= free and start + len(tick.words) <= width + 4:
            cells[start : start + len(tick.words)] = tick.words
            free = start + len(tick.words) + 2
    return "".join(cells).rstrip()


def rows(life: Timeline) -> list[dict[str, str]]:
    """Events, refused calls (those of one reason in a row together), gaps and races, by time."""
    found = [{"at": one.at, "what": one.what, "where": f"position {one.position}"} for one in life.events]
    found += [_refusals(group) for group in _runs(life.refused)]
    found += [{"at": gap.since, "what": f"gap: {gap.label}", "where": f"until {gap.until}"} for gap in life.gaps]
    found += [{"at": race.since, "what": f"race: {race.label}", "where": f"position {race.position}"}
              for race in life.races]  # fmt: skip
    return sorted(found, key=lambda row: row["at"])


def _runs(calls: Sequence[Heard]) -> list[list[Heard]]:
    runs: list[list[Heard]] = []
    for call in calls:
        if runs and (runs[-1][-1].reason, runs[-1][-1].kind) == (call.reason, call.kind):
            runs[-1].append(call)
        else:
            runs.append([call])
    return runs


def _refusals(group: Sequence[Heard]) -> dict[str, str]:
    many = "" if len(group) == 1 else f" ({len(group)} times, until {group[-1].at})"
    first = group[0]
    return {"at": first.at, "what": f"{first.kind} refused: {first.reason}{many}", "where": first.decision}
