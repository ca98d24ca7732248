"""Instances made quickly are the same as those made plainly."""

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from tenure.domain.swift import altering, swift
from tenure.domain.tenant import NO_SECRET, Secret


def test_an_instance_made_quickly_is_an_ordinary_one() -> None:
    """Equal to the plain one, of its class, and frozen."""
    made = swift(Secret)("s", "f", 1, 2, "then")
    assert made == Secret("s", "f", 1, 2, "then")
    with pytest.raises(FrozenInstanceError):
        made.sealed = "other"  # type: ignore[misc]


def test_an_altered_copy_is_what_replace_gives() -> None:
    """Some fields changed, the others kept, the original as it was; a field that is not there is refused."""
    alter, original = altering(Secret), Secret("s", "f", 1, 2, "then")
    assert alter(original, version=7, position=8) == replace(original, version=7, position=8)
    assert alter(original) == original == Secret("s", "f", 1, 2, "then")
    with pytest.raises(KeyError):
        alter(NO_SECRET, colour="red")


@dataclass(frozen=True, slots=True)
class Filled:
    """With default values of both kinds."""

    name: str
    size: int = 3
    marks: list[str] = field(default_factory=list)


def test_what_is_left_out_is_filled_in() -> None:
    """Default values are the plain one's, and those that are made are made anew for each."""
    make = swift(Filled)
    assert make("a") == Filled("a")
    assert make("a").marks is not make("a").marks
    with pytest.raises(TypeError):
        make()
