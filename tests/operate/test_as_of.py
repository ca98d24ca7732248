"""As of then: several events of one and the same moment, a clock that went back, and what was really decided then."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.auditor import Auditor
from support.command import told
from support.commands import run
from support.house import APP_KEY, House, at_once
from tenure.domain.events import Draft, EventType, Switched
from tenure.domain.ports import Append
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import SecurityContextProjector, as_of
from tenure.projections.shown import tenant_fields
from tenure.simulator.site import Site
from tenure.store.sqlite import SqliteLog

EARLY, T, JUST_BEFORE = (f"2040-01-01T00:00:0{rest}Z" for rest in ("1.000000", "2.000000", "1.999999"))
LATER, BACK = "2040-01-01T00:00:03.000000Z", "2040-01-01T00:00:02.500000Z"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service with a life of its own."""
    with House(tmp_path_factory.mktemp("as-of")) as house:
        yield house


def append_at(house: House, client_key: str, time: str, *kinds: EventType) -> None:
    """Puts events of a moment into the log, as the service's clock would have had it."""
    log = SqliteLog(house.folder / "events.db", [SecurityContextProjector()], clock=lambda: time)
    try:
        for kind in kinds:
            draft = Draft(kind, {"kind": "hs256"}, Switched())
            log.append([Append(APP_KEY, client_key, log.version(APP_KEY, client_key), draft, None)])
    finally:
        log.close()


@pytest.fixture(scope="module")
def tied(house: House) -> Site:
    """A tenant with one event at EARLY, three at T, one at LATER, and one that a clock put back recorded at BACK."""
    site = house.installed(base_url="https://tied.atlassian.net")
    append_at(house, site.client_key, EARLY, EventType.DISABLED)
    append_at(house, site.client_key, T, EventType.ENABLED, EventType.DISABLED, EventType.ENABLED)
    append_at(house, site.client_key, LATER, EventType.DISABLED)
    append_at(house, site.client_key, BACK, EventType.ENABLED)
    return site


@pytest.mark.parametrize(
    ("time", "number", "enabled"),
    [(EARLY, 2, False), ("2040-01-01T00:00:01.000001Z", 2, False), (JUST_BEFORE, 2, False), (T, 5, True),
     ("2040-01-01T00:00:02.000001Z", 5, True), ("2040-01-01T01:00:02+01:00", 5, True), (LATER, 7, True)],
)  # fmt: skip
def test_of_equal_times_all_or_none(house: House, tied: Site, time: str, number: int, enabled: bool) -> None:
    """What was recorded at one moment is there as a whole at that moment and not a microsecond before; over HTTP, by
    `tenant show`, by `diff` and in the console's page it is the same position.
    """
    events = house.events(tied.client_key)
    position = events[number].position
    auditor = Auditor(house)
    over_http = auditor.told(f"tenants/{tied.client_key}", at=time)
    assert (over_http["position"], over_http["enabled"]) == (position, enabled)
    shown = told(house.folder, house.settings, "tenant", "show", tied.client_key, "--at", time)
    assert {name: shown[name] for name in over_http} == over_http
    assert auditor.told(f"tenants/{tied.client_key}", position=position) == over_http
    until = run(house.folder, "diff", "0", time, "--tenant", tied.client_key, "--json").rows[0]["events"]
    assert [event["position"] for event in until] == [event.position for event in events[: number + 1]]
    rest = run(house.folder, "diff", time, "head", "--tenant", tied.client_key, "--json").rows
    after = [event["position"] for row in rest for event in row["events"]]
    assert after == [event.position for event in events[number + 1 :]]


def test_between_equal_times_only_positions_tell(house: House, tied: Site) -> None:
    """Each of three events of one moment has its own state by position; a difference of the moment with itself is
    none, and one from just before it has all three and says each change once, not what did not last.
    """
    first, second, third = (event for event in house.events(tied.client_key) if event.recorded_at == T)
    auditor = Auditor(house)
    states = [auditor.told(f"tenants/{tied.client_key}", position=one.position) for one in (first, second, third)]
    assert [state["enabled"] for state in states] == [True, False, True]
    assert run(house.folder, "diff", T, T, "--json").rows == []
    (row,) = run(house.folder, "diff", JUST_BEFORE, T, "--json").rows
    assert [event["position"] for event in row["events"]] == [first.position, second.position, third.position]
    assert sorted(change["field"] for change in row["changes"]) == ["disabled", "enabled"]  # each once, on then off
    (row,) = run(house.folder, "diff", str(first.position), T, "--json").rows
    assert row["changes"] == []


def test_a_clock_that_went_back_hides_no_event(house: House, tied: Site) -> None:
    """An event whose time is before that of the event before it belongs to its own time: whoever asks as of then sees
    the log up to it, and no state is made of a log with a hole.
    """
    events = house.events(tied.client_key)
    assert [event.recorded_at for event in events[-2:]] == [LATER, BACK]
    for time in (BACK, LATER):
        found = Auditor(house).told(f"tenants/{tied.client_key}", at=time)
        assert (found["position"], found["enabled"]) == (events[-1].position, True)


def play(house: House, site: Site, step: str) -> None:
    """One step of a life, then calls of all sorts under the secrets there were."""
    if step == "reinstate":
        first = house.events(site.client_key)[0].position
        run(house.folder, "reinstate", site.client_key, "--secret", str(first), settings=house.settings)
    elif step == "rename":
        site.rename(f"https://renamed-{len(site.secrets)}.atlassian.net")
    else:
        getattr(site, step)()
    site.webhook()
    house.page(site)
    for secret in site.secrets[-2:]:
        site.webhook(secret=secret)


def test_the_state_as_of_a_position_or_a_time_is_what_held_then(tmp_path: Path) -> None:
    """After each step of a lively history the live state is noted; asked later, by the position a decision read and by
    the time it was made, it is that very state in every field, and each decision comes out as it did.
    """
    with House(tmp_path) as house:
        sites = [house.installed() for _ in range(2)]
        chance = random.Random(11)
        steps = ["rotate", "disable", "enable", "rename", "reinstate", "uninstall", "install", "rotate", "enable"]
        noted: list[tuple[str, dict[str, Any]]] = []
        for number in range(2 * len(steps)):
            site = sites[number % 2]
            play(house, site, steps[number // 2] if number % 2 else chance.choice(steps))
            with house.decisions() as log:
                last = log.page(limit=1)[0].decision
            noted += [(last.at, tenant_fields(house.known(one.client_key))) for one in sites]
        auditor = Auditor(house)
        for at, then in noted:
            path = f"tenants/{then['client_key']}"
            assert auditor.told(path, at=at) == then
            assert auditor.told(path, position=then["position"]) == then
        assert len({then["position"] for _, then in noted}) > 12
        decided_by_their_state(house)
        found = run(tmp_path, "replay", "--all", "--json")
        assert {row["result"] for row in found.rows} == {"same"}


def test_decisions_beside_changes_were_of_one_state_each(tmp_path: Path) -> None:
    """While secrets rotate and a tenant goes on and off, each call was decided by the state at the position it names,
    and by no mixture of two.
    """
    with House(tmp_path) as house:
        site = house.installed()

        def changing() -> None:
            for _ in range(6):
                site.rotate()
                site.disable()
                site.enable()
            site.uninstall()

        def calling() -> None:
            for _ in range(20):
                site.webhook()
                house.page(site)

        at_once([changing, *([calling] * 3)])
        assert decided_by_their_state(house) > 50
        found = run(tmp_path, "replay", "--all", "--json")
        assert {row["result"] for row in found.rows} == {"same"}


def decided_by_their_state(house: House) -> int:
    """Holds each call of a tenant against the log's state at the position it read; how many there were."""
    with house.decisions() as decisions, house.log() as log:
        made = [one.decision for one in decisions.all() if one.decision.kind in ("webhook", "forward-auth")]
        for one in made:
            state = as_of(log, APP_KEY, one.claimed_client_key, one.read_position)
            if one.read_position:
                assert state is not None
                assert state.position == one.read_position
                assert _could(one.verdict, one.reason, one.facts.match, one.facts.secret_position, state)
    return len(made)


def _could(verdict: str, reason: str, match: str, secret_position: int, state: Tenant) -> bool:
    current = match == "current" and secret_position in (0, state.secret.position)
    if verdict == "accepted":
        return state.installed and current
    if reason == "tenant_uninstalled":
        return not state.installed
    if reason == "secret_superseded":
        return state.previous is not None and match == "previous"
    return reason in ("signature_bad", "token_reused") or current
