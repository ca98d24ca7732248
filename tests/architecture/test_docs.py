"""The reference is held to the code."""

import re
from pathlib import Path

import pytest

from tenure.api.metrics import Metrics, _Collector, _count
from tenure.domain.decisions import Decision, Facts
from tenure.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "settings.md").read_text()
RECORD = (DOCS / "reference" / "decision-record.md").read_text()
METRICS = (DOCS / "reference" / "metrics.md").read_text()
RULES = (DOCS / "how-to" / "tenure.rules.yml").read_text()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_reference(name: str) -> None:
    """A setting that the reference does not name fails."""
    assert f"`{name.upper()}`" in REFERENCE


def test_every_field_of_a_decision_is_in_the_reference() -> None:
    """The reference of the decision record has a row for each field kept, and none for another."""
    rows = set(re.findall(r"^\| `(\w+)` \|", RECORD, re.MULTILINE))
    assert rows == {"number"} | set(Decision.__dataclass_fields__) - {"facts"} | set(Facts.__dataclass_fields__)


class _AlarmCounters:
    """No alarm."""

    def raised(self) -> list[tuple[str, int]]:
        return []

    def open_kinds(self) -> list[tuple[str, int]]:
        return []


class _Counters:
    """One decision, dropped, and one answer."""

    def totals(self) -> list[dict[str, object]]:
        names = (
            "counted",
            "kept",
            "withdrawn",
            "dropped",
            *(f"within_{ms}" for ms in (1, 5, 25, 100, 250, 1000, 5000)),
        )
        return [{"kind": "k", "verdict": "v", "reason": "r", "took_ms": 1.0} | dict.fromkeys(names, 1)]

    def upstream(self) -> list[tuple[int, int]]:
        return [(200, 1)]

    def size(self) -> tuple[int, int]:
        return 1, 1

    def oldest(self) -> str:
        return "2026-01-01T00:00:00.000000Z"

    @property
    def alarms(self) -> "_AlarmCounters":
        return _AlarmCounters()


def _metric_names() -> set[str]:
    collector = _Collector(_count(_Counters()), 1, 1, ["v", "s"])
    families = list(collector.collect())
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def test_every_metric_is_in_the_reference_and_no_other() -> None:
    """Metrics and their reference are the same set."""
    assert set(re.findall(r"^\| `(\w+)` \|", METRICS, re.MULTILINE)) == _metric_names()
    assert Metrics.__doc__


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    """Every metric that a rule asks for exists, and every alarm has a summary."""
    asked = {name.removesuffix("_bucket") for name in re.findall(r"\btenure_\w+", RULES)}
    assert asked <= _metric_names()
    assert RULES.count("- alert: ") == RULES.count("summary: ") == RULES.count("expr: ")
