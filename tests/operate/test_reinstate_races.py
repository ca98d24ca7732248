"""A reinstatement beside installs of the same tenant: one after the other whatever came first, and one meaning."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import tenure, told
from support.commands import Ran, run
from support.house import House
from tenure.domain.events import Event, Installed, Reinstated
from tenure.domain.tenant import Tenant, evolve
from tenure.simulator.site import Site

ROUNDS = 12


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A service of its own."""
    with House(tmp_path) as opened:
        yield opened


def reinstate(house: House, site: Site, position: int) -> Ran:
    """The command, in a process that is not the service's."""
    return run(house.folder, "reinstate", site.client_key, "--secret", str(position), "--json", settings=house.settings)


def as_child(house: House, site: Site, position: int) -> int:
    """The exit status of the command as a child."""
    ran = tenure(house.folder, house.settings, "reinstate", site.client_key, "--secret", str(position), status=None)
    assert "Traceback" not in ran.stderr
    return ran.returncode


def folded(events: list[Event]) -> Tenant | None:
    """What the events of a tenant say."""
    tenant: Tenant | None = None
    for event in events:
        tenant = evolve(tenant, event)
    return tenant


def brought(event: Event) -> str:
    """The fingerprint of the secret an event put in force; empty for the others."""
    return event.data.secret_fingerprint if isinstance(event.data, Installed | Reinstated) else ""


def believed(house: House, site: Site, secret: str) -> bool:
    """Whether the service believes what is signed with a secret."""
    return site.webhook(secret=secret).status == 200


def test_racing_an_install_it_is_before_or_after_it_and_never_between(house: House) -> None:
    """In many rounds the events stand in one order: the later of the two is in force, the other's secret is not; an
    install that came later is never undone, and the log is whole.
    """
    site = house.installed()
    first, original = house.events(site.client_key)[0], site.secret
    site.rotate()
    for _ in range(ROUNDS):
        before = len(house.events(site.client_key))
        start = threading.Barrier(2)

        def rotating(start: threading.Barrier = start) -> None:
            start.wait()
            assert site.rotate().status == 204

        rival = threading.Thread(target=rotating)
        rival.start()
        start.wait()
        ran = reinstate(house, site, first.position)
        rival.join()
        new = house.events(site.client_key)[before:]
        kinds = [event.type for event in new]
        if ran.status == 0:
            assert sorted(kinds) == ["installed", "reinstated"]
            assert ran.rows[0]["position"] == new[kinds.index("reinstated")].position
        else:
            assert kinds == ["installed"]
            assert "in force already" in ran.err
        known = house.known(site.client_key)
        assert known == folded(house.events(site.client_key))
        assert known.secret.fingerprint == brought(new[-1])
        in_force, other = (site.secret, original) if kinds[-1] == "installed" else (original, site.secret)
        assert believed(house, site, in_force)
        assert not believed(house, site, other)
        assert believed(house, site, in_force)
    versions = [event.version for event in house.events(site.client_key)]
    assert versions == list(range(1, len(versions) + 1))
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    assert told(house.folder, house.settings, "rebuild")["identical"]


def test_of_two_at_once_one_is_an_event(house: House) -> None:
    """Two operators, two processes, the same secret: one event, and the other is told that it is in force already."""
    site = house.installed()
    first = house.events(site.client_key)[0].position
    site.rotate()
    answers: list[int] = []

    def ordering() -> None:
        answers.append(as_child(house, site, first))

    operators = [threading.Thread(target=ordering) for _ in range(2)]
    for one in operators:
        one.start()
    for one in operators:
        one.join()
    assert sorted(answers) == [0, 2]
    assert house.kinds(site.client_key).count("reinstated") == 1


def test_twice_and_back_again(house: House) -> None:
    """The same one twice is refused and no event; the other one may follow, also by the event that reinstated it; each
    time just that secret is believed.
    """
    site = house.installed()
    old, first = site.secret, house.events(site.client_key)[0].position
    site.rotate()
    new, second = site.secret, house.events(site.client_key)[-1].position
    assert reinstate(house, site, first).status == 0
    mark = house.events(site.client_key)[-1].position
    again = reinstate(house, site, first)
    assert (again.status, "in force already" in again.err) == (2, True)
    assert reinstate(house, site, mark).status == 2
    assert reinstate(house, site, second).status == 0
    assert (believed(house, site, new), believed(house, site, old)) == (True, False)
    assert reinstate(house, site, mark).status == 0
    assert (believed(house, site, old), believed(house, site, new)) == (True, False)
    assert house.kinds(site.client_key).count("reinstated") == 3
    assert house.known(site.client_key) == folded(house.events(site.client_key))


@pytest.mark.parametrize(("rival", "rounds"), [("uninstall", 4), ("erase", 2)])
def test_racing_an_end_it_brings_nobody_back(house: House, rival: str, rounds: int) -> None:
    """Beside an uninstall or an erasure it is an event before, or refused after; then nothing is believed any more."""
    for _ in range(rounds):
        site = house.installed()
        first, old = house.events(site.client_key)[0].position, site.secret
        site.rotate()
        if rival == "erase":
            site.uninstall()
        start = threading.Barrier(2)

        def ending(site: Site = site, start: threading.Barrier = start) -> None:
            start.wait()
            if rival == "uninstall":
                assert site.uninstall().status in (204, 401)
            else:
                tenure(house.folder, house.settings, "erase", site.client_key, "--yes")

        other = threading.Thread(target=ending)
        other.start()
        start.wait()
        ran = reinstate(house, site, first)
        other.join()
        if ran.status == 2 and rival == "uninstall":
            assert "uninstalled" in ran.err
        if rival == "erase":
            assert ran.status == 2
            assert house.kinds(site.client_key)[-1] == "erased"
            assert "reinstated" not in house.kinds(site.client_key)
        known = house.known(site.client_key)
        if not known.installed:
            assert not believed(house, site, old)
            assert not believed(house, site, site.secret)
        assert known == folded(house.events(site.client_key))
    assert told(house.folder, house.settings, "log", "verify")["ok"]
