"""Names and shapes that others hold on to: what is stored, told and matched on, and values that never change."""

import dataclasses
import enum
import importlib
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOM = HERE.parents[1] / "domain"
MODULES = tuple(path.stem for path in sorted(ROOM.glob("*.py")) if path.stem != "__init__")
GOLDEN: dict[str, Any] = json.loads((HERE / "shapes.json").read_text())
# a walk notes what it finds as it goes, and says so
GROWING = {"chain.Walk"}


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"tenure.domain.{name}")


def _classes() -> dict[str, Any]:
    found = {
        f"{name}.{one.__name__}": one
        for name in MODULES
        for one in vars(_module(name)).values()
        if inspect.isclass(one) and one.__module__ == f"tenure.domain.{name}"
    }
    assert found
    return found


CLASSES = _classes()
RECORDS = sorted(name for name, one in CLASSES.items() if dataclasses.is_dataclass(one))
ENUMS = sorted(name for name, one in CLASSES.items() if issubclass(one, enum.Enum))


def _defaults(one: Any) -> dict[str, Any]:
    """What each field is that is left out, as JSON."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(one):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            made = field.default_factory()
            found[field.name] = _defaults(type(made)) if dataclasses.is_dataclass(made) else made
    told: dict[str, Any] = json.loads(json.dumps(found, default=repr))
    return told


@pytest.mark.parametrize("name", ENUMS)
def test_a_name_that_is_told_stays(name: str) -> None:
    """The values of an enumeration are stored and matched on by programs: each is as written down here."""
    assert {one.name: one.value for one in CLASSES[name]} == GOLDEN["enums"][name]


def test_every_enumeration_is_written_down() -> None:
    """None is new without its names being written down, none is gone."""
    assert set(GOLDEN["enums"]) == set(ENUMS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_never_changes_once_it_is_made(name: str) -> None:
    """Records are frozen and slotted: no field is set again, none is put in beside them."""
    one = CLASSES[name]
    assert one.__dataclass_params__.frozen == (name not in GROWING)
    assert "__slots__" in vars(one)
    assert not hasattr(object.__new__(one), "__dict__")


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_left_out_is_not_told(name: str) -> None:
    """A field that is left out says nothing: empty, none, zero or false, or the constant that is written down here."""
    assert _defaults(CLASSES[name]) == GOLDEN["defaults"].get(name, {})


def test_every_reason_has_its_step() -> None:
    """The step of a reason is its place in the order of checks, and every reason has one."""
    refusals = _module("refusals")
    assert {reason.value: entry.step.name for reason, entry in refusals.REASONS.items()} == GOLDEN["steps"]
    assert set(refusals.REASONS) == set(refusals.Reason)


@pytest.mark.parametrize("name", sorted(GOLDEN["constants"]))
def test_a_constant_of_the_rules_stays(name: str) -> None:
    """Limits, leeways and grace times are promised in the docs: each is as written down here."""
    module, _, constant = name.partition(".")
    assert getattr(_module(module), constant) == GOLDEN["constants"][name]


def test_both_families_of_errors_say_their_reason() -> None:
    """A refusal and an error of ours are told by the reason's code; their detail is for the operator."""
    refusals = _module("refusals")
    for family in (refusals.Refused, refusals.OursError):
        raised = family(refusals.Reason.EXPIRED, "10 s ago")
        assert (str(raised), raised.reason, raised.detail) == ("expired", refusals.Reason.EXPIRED, "10 s ago")
        assert family(refusals.Reason.EXPIRED).detail == ""
