"""Every story of the simulator, played against a real service: each step gives what the story says it should."""

from pathlib import Path
from typing import Any

import pytest

from support.house import House
from tenure.simulator.keyhost import KeyHost
from tenure.simulator.site import Site
from tenure.simulator.stories import STORIES
from tenure.simulator.stories.stage import Stage, Step
from tenure.store.decisions import SqliteDecisions

WANTED = {
    "first-install", "second-install", "rotation", "rename", "uninstall-and-return", "disabled-then-uninstalled",
    "late-disabled", "disabled-and-uninstalled-at-once", "enable-disable-enable", "repeated-install", "captured-token",
    "forged-first-install", "self-signed-install", "unknown-kid", "key-confusion", "cross-tenant", "scanner-probes",
    "site-import", "rolled-back-install", "stripped-prefix", "two-tokens", "webhook-duplicate",
    "simultaneous-first-installs",
}  # fmt: skip


class HouseRecords:
    """What the house's own files say."""

    def __init__(self, house: House) -> None:
        self._house = house

    def reason(self, decision: str) -> str | None:
        store = SqliteDecisions(self._house.folder / "decisions.db", read_only=True)
        try:
            return next((str(row["reason"]) for row in store.read(limit=5000) if row["decision"] == decision), None)
        finally:
            store.close()

    def history(self, client_key: str) -> list[str] | None:
        return self._house.kinds(client_key)


def _stage(house: House, **options: Any) -> Stage:
    return Stage(lambda **more: house.site(**{**options, **more}), HouseRecords(house))


def _wrong(steps: list[Step]) -> list[str]:
    return [f"{step.what}: {step.came}, not {step.expected}" for step in steps if not step.right]


def test_every_story_that_was_asked_for_is_there() -> None:
    """The races, repeats and attacks of the protocol each have their story."""
    assert set(STORIES) >= WANTED


@pytest.mark.parametrize("name", STORIES)
def test_a_story_gives_what_it_should(signed: House, name: str) -> None:
    """Each step of a story has the status and the history that it names, each refusal the reason as recorded."""
    stage = _stage(signed)
    STORIES[name].play(stage)
    assert _wrong(stage.steps) == []
    assert len(stage.steps) >= 2
    refused = [step for step in stage.steps if step.status >= 400]
    assert [step.what for step in refused if step.reason is None or step.reason not in step.expected] == []


@pytest.mark.parametrize("name", ["first-install", "stripped-prefix", "rolled-back-install"])
def test_a_story_under_a_base_path(tmp_path: Path, name: str) -> None:
    """A story holds also where the base URL has a path."""
    with House(tmp_path, {"BASE_URL": "https://app.example.com/jira"}) as house:
        stage = _stage(house)
        STORIES[name].play(stage)
    assert _wrong(stage.steps) == []


def test_a_wrong_answer_makes_the_story_wrong(legacy: House) -> None:
    """Where the service believes what it should not (here by a setting), the story says so."""
    stage = _stage(legacy)
    STORIES["forged-first-install"].play(stage)
    assert not stage.right
    assert _wrong(stage.steps)[0].startswith("installed without a token, tenant unknown: 204")


def test_a_step_that_cannot_be_looked_up_is_judged_by_its_status(signed: House) -> None:
    """Without the service's records a story still holds each status, and says which history it did not see."""
    stage = Stage(signed.site)
    STORIES["late-disabled"].play(stage)
    assert stage.right
    assert stage.steps[-1].came == "not readable from here"


def test_a_site_of_another_key_host_fails_its_install(signed: House) -> None:
    """A story told by a site whose key the service cannot find is wrong from its first install on."""

    def stranger(**options: Any) -> Site:
        site = signed.site(**options)
        site.key_host, site.kid = other, other.new_key()
        return site

    with KeyHost() as other:
        stage = Stage(stranger, HouseRecords(signed))
        STORIES["second-install"].play(stage)
    assert _wrong(stage.steps)[0].endswith("401 kid_unknown, not 204")
