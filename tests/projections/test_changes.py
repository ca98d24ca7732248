"""What was true at a position or a time, at its very edges, and what changed between two of them."""

from pathlib import Path

import pytest

from support.commands import run
from support.store_support import make_log, rehash, rows_of, write_rows

A, B = "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:05.000000Z"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two tenants in turn: positions 1 to 4 at time A, 5 to 8 at time B."""
    path = tmp_path_factory.mktemp("changes")
    make_log(path / "events.db", 8, 2)
    rows = [(*row[:5], A if row[0] <= 4 else B, *row[6:]) for row in rows_of(path / "events.db")]
    write_rows(path / "events.db", rehash(rows))
    return path


def shown(folder: Path, *arguments: str) -> int:
    """The position of tenant-0 as of then; 0 if it was not known."""
    ran = run(folder, "tenant", "show", "tenant-0", *arguments, "--json")
    return int(ran.rows[0]["position"]) if ran.status == 0 else 0


@pytest.mark.parametrize(
    ("arguments", "position"),
    [
        (("--position", "0"), 0),
        (("--position", "1"), 1),
        (("--position", "2"), 1),
        (("--position", "7"), 7),
        (("--position", "999"), 7),
        (("--at", "2025-12-31T23:59:59.999999Z"), 0),
        (("--at", A), 3),
        (("--at", "2026-01-01T00:00:04.999999Z"), 3),
        (("--at", B), 7),
        (("--at", "2026-01-01T01:00:05+01:00"), 7),
    ],
)
def test_as_of_includes_its_own_edge(folder: Path, arguments: tuple[str, ...], position: int) -> None:
    """A position includes its own event, a time all that was recorded at that very time, however many; past the head
    is the head."""
    assert shown(folder, *arguments) == position


def test_a_difference_begins_behind_a_and_ends_with_b(folder: Path) -> None:
    """What stands at A is before, what stands at B is after; a tenant without events in between is left out."""
    (one,) = run(folder, "diff", "2", "3", "--json").rows
    assert (one["client_key"], [event["position"] for event in one["events"]]) == ("tenant-0", [3])
    assert [change["field"] for change in one["changes"]] == ["enabled"]
    assert run(folder, "diff", "3", "3", "--json").rows == []
    by_time = run(folder, "diff", A, B, "--json").rows
    assert [[event["position"] for event in row["events"]] for row in by_time] == [[5, 7], [6, 8]]
    assert by_time[0]["changes"] == []  # disabled and enabled again
    whole = run(folder, "diff", "0", "head", "--tenant", "tenant-1", "--json").rows
    assert [row["client_key"] for row in whole] == ["tenant-1"]
    assert "installed at" in whole[0]["changes"][0]["says"]


def test_a_difference_backwards_is_wrong_use(folder: Path) -> None:
    """The later one given first exits with 2 and says which is which; so does what is neither position nor time."""
    assert run(folder, "diff", "5", "2").status == 2
    assert run(folder, "diff", "2", "soon").status == 2
