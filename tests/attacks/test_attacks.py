"""Every attack of the corpus over HTTP against a running service, judged by what came of it and not by its status."""

from collections.abc import Iterator

import pytest

from attacks import claims, controls, encodings, forgery, kids, paths, replay, tenants, wire
from attacks.case import Attack, Control, judge_attack, judge_control
from attacks.scene import Scene

GROUPS: dict[str, tuple[Attack | Control, ...]] = {
    "forgery": forgery.ATTACKS,
    "kids": kids.ATTACKS,
    "claims": claims.ATTACKS,
    "replay": replay.ATTACKS,
    "tenants": tenants.ATTACKS,
    "paths": paths.ATTACKS,
    "wire": wire.ATTACKS,
    "encodings": encodings.ATTACKS,
    "controls": controls.CONTROLS,
}
SETTINGS = {"paths": {"BASE_URL": "https://app.example.com/jira"}}
ARGUMENTS = {"replay": ("--workers", "2")}
CASES = [pytest.param(name, case, id=f"{name}: {case.name}") for name, cases in GROUPS.items() for case in cases]


class Stage:
    """One service at a time: a group's scene stands until a case of another group is played."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._name = ""
        self._scene: Scene | None = None

    def of(self, name: str) -> Scene:
        """The scene of a group."""
        if self._scene is None or name != self._name:
            self.close()
            self._scene = Scene.set(self._factory.mktemp(name), SETTINGS.get(name, {}), *ARGUMENTS.get(name, ()))
            self._name = name
        return self._scene

    def close(self) -> None:
        """Ends the scene that stands."""
        if self._scene is not None:
            self._scene.close()
            self._scene = None


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where the groups are played."""
    made = Stage(tmp_path_factory)
    yield made
    made.close()


@pytest.mark.parametrize(("group", "case"), CASES)
def test_nothing_comes_of_an_attack(stage: Stage, group: str, case: Attack | Control) -> None:
    """An attack changes nothing, reaches nobody, shows nothing, leaves one record with its reason, and the honest site
    is believed after it as before; a control is accepted.
    """
    scene = stage.of(group)
    scene.begin()
    reply = case.send(scene)
    if isinstance(case, Control):
        judge_control(scene, case, reply)
    else:
        judge_attack(scene, case, reply)


def test_the_corpus_is_as_large_as_it_says() -> None:
    """At least 300 attacks and 30 controls, each with a name of its own."""
    kinds = [(isinstance(case, Control), case.name) for cases in GROUPS.values() for case in cases]
    assert sum(not control for control, _ in kinds) >= 300
    assert len(set(kinds)) == len(kinds)
