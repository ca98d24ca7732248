"""The reference and the pictures are held to the code: what is undocumented or out of date fails."""

import ast
import re
import typing
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from making.__main__ import DOCS, MADE
from making.lifecycle import BOXES, HISTORIES, ROUTES, arrows, columns, picture
from support.pages import ROOT
from support.screens import SCREENS
from tenure.domain.events import OPERATOR, Cause, Data, Event, EventType
from tenure.domain.refusals import REASONS, Reason
from tenure.domain.tenant import Standing
from tenure.projections import svg

EVENTS = (DOCS / "reference" / "events.md").read_text()
PLACES = {"note": 2, "_note": 0, "noted": 0}
PROOF = re.compile(r'\{"kind": "([a-z0-9-]+)"')


def _section(title: str) -> str:
    found = re.search(rf"^#+ {title}$(.*?)(?=^#+ |\Z)", EVENTS, re.MULTILINE | re.DOTALL)
    assert found, f"events.md has no section {title}"
    return found[1]


def _first_cells(section: str) -> set[str]:
    """The names in the first column of a section's table."""
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`([^`]+)`", " ".join(cells)))


def _paths() -> list[Path]:
    rooms = ("domain", "store", "projections", "api", "tenure")
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_is_what_is_kept(name: str) -> None:
    """A picture or page in the repository is what its command makes now; else: make pictures."""
    assert (DOCS / name).read_text() == MADE[name]()


def test_every_picture_is_made_by_a_command() -> None:
    """No picture lies in the docs that nothing draws."""
    kinds = (".svg", ".png", ".jpg", ".gif", ".webp")
    kept = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.suffix in kinds}
    assert kept == {name for name in MADE if name.startswith("pictures/")} | {f"pictures/{name}" for name in SCREENS}


def test_every_type_of_event_is_documented() -> None:
    """The table of types names each type of a tenant's stream, and no other."""
    assert _first_cells(_section("Types of a tenant's stream")) == set(EventType)


def test_every_cause_of_an_install_is_documented() -> None:
    """Each cause stands on the page."""
    assert all(f"`{cause}`" in EVENTS for cause in Cause)


def test_the_envelope_is_documented() -> None:
    """The table of the envelope names each field of an event, and no other."""
    assert _first_cells(_section("Envelope")) == {field.name for field in fields(Event)}


@pytest.mark.parametrize("kind", typing.get_args(Data), ids=lambda kind: kind.__name__)
def test_the_data_of_an_event_is_documented(kind: type[typing.Any]) -> None:
    """The table of each kind of data names each of its fields, and no other."""
    assert _first_cells(_section(kind.__name__)) == {field.name for field in fields(kind)}


def test_every_proof_is_documented() -> None:
    """Each kind of proof that the code writes stands in the table of proofs."""
    written = {kind for path in _paths() for kind in PROOF.findall(path.read_text())}
    assert written
    assert written <= _first_cells(_section("Proof"))


def test_every_act_of_operators_is_documented() -> None:
    """Each `operator.…` that the code notes stands on the page."""
    noted = {OPERATOR + what for path in _paths() for what in _noted(path.read_text())}
    missing = sorted(name for name in noted if f"`{name}`" not in EVENTS)
    assert not missing, f"not in docs/reference/events.md: {missing}"


def _noted(source: str) -> set[str]:
    """The acts a module notes by `note(log, app_key, act)` or its own `_note(…, act)`, literally or by a constant."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (place := PLACES.get(ast.unparse(node.func).rpartition(".")[2])) is not None:
            values = [constants.get(getattr(act, "id", ""), getattr(act, "value", "")) for act in node.args[place:]]
            found |= {value for value in values if isinstance(value, str) and value}
    return found


def test_every_reason_has_its_entry() -> None:
    """No reason lacks a sentence and a next step, so none lacks a line in its reference."""
    assert set(REASONS) == set(Reason)
    assert all(entry.sentence.endswith(".") and entry.next.endswith(".") for entry in REASONS.values())


def test_the_picture_has_every_way_of_the_table() -> None:
    """Each state and each arrow that the table and the events give is drawn, and no other."""
    assert set(arrows()) == set(ROUTES)
    assert {state for pair in arrows() for state in pair} == set(BOXES)


def test_the_table_under_the_picture_has_a_column_for_each_state() -> None:
    """Every state that is drawn stands at the head of a column, an erased tenant's being that of an unknown one."""
    drawn = re.findall(r'<text class="title"[^>]*>(\w+)</text>', picture().partition("What each call comes to")[2])
    assert drawn[: len(BOXES)] == list(HISTORIES) == list(BOXES)
    assert dict(zip(HISTORIES, columns(), strict=True))["erased"] is Standing.UNKNOWN


@pytest.mark.parametrize("make", [make for name, make in MADE.items() if name.endswith(".svg")])
def test_a_picture_needs_nothing_from_elsewhere(make: Callable[[], str]) -> None:
    """A picture is said in words for those who do not see it, has a dark side, and loads nothing."""
    text = make()
    assert "<title" in text
    assert "<desc" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\((?!#)|<script|@import", text)
    assert svg.Canvas(1, 1, "a < b", "").svg().count("a &lt; b") == 1
