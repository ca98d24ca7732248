"""The reference is held to the code."""

from pathlib import Path

import pytest

from tenure.settings import Settings

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_reference(name: str) -> None:
    """A setting that the reference does not name fails."""
    assert f"`{name.upper()}`" in REFERENCE
