"""The cure for a rotation that Jira rolled back: an earlier secret in force again, and when it is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import tenure, told
from support.house import House
from tenure.domain.events import Reinstated


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A service of its own."""
    with House(tmp_path) as opened:
        yield opened


def test_the_secret_jira_still_uses_is_in_force_again_until_the_next_installed(house: House) -> None:
    """After the event the old secret opens in the running service and the new one does not; an install ends it."""
    site = house.installed()
    first, old = house.events(site.client_key)[0].position, site.secret
    assert site.rotate().status == 204
    new = site.secret
    assert site.webhook(secret=old).status == 425
    found = told(
        house.folder, house.settings, "reinstate", site.client_key, "--secret", str(first), "--reason", "rolled back"
    )
    assert found["secret_position"] == first
    assert site.webhook(secret=old).status == 200
    assert site.webhook(secret=new).status in (401, 425)
    last = house.events(site.client_key)[-1]
    assert isinstance(last.data, Reinstated)
    assert (last.type, last.data.why, last.data.secret_position) == ("reinstated", "rolled back", first)
    assert last.data.by
    assert site.rotate().status == 204
    assert site.webhook().status == 200
    assert site.webhook(secret=old).status in (401, 425)
    assert told(house.folder, house.settings, "log", "verify")["ok"]
    assert told(house.folder, house.settings, "rebuild")["identical"]


def test_it_is_refused_where_no_earlier_secret_may_be_in_force(house: House) -> None:
    """Not for an uninstalled or erased tenant, another's event, an event without a secret, or the one in force."""
    site, other = house.installed(), house.installed()
    first, enabled = (event.position for event in house.events(site.client_key))
    foreign = house.events(other.client_key)[0].position
    for position in (first, enabled, foreign, 9999):
        refused = tenure(
            house.folder, house.settings, "reinstate", site.client_key, "--secret", str(position), status=2
        )
        assert refused.stderr.startswith("tenure: ")
    assert site.rotate().status == 204
    assert site.uninstall().status == 204
    gone = tenure(house.folder, house.settings, "reinstate", site.client_key, "--secret", str(first), status=2)
    assert "uninstalled" in gone.stderr
    tenure(house.folder, house.settings, "erase", site.client_key, "--yes")
    erased = tenure(house.folder, house.settings, "reinstate", site.client_key, "--secret", str(first), status=2)
    assert "erased" in erased.stderr
    assert site.rotate().status == 204
    stale = tenure(house.folder, house.settings, "reinstate", site.client_key, "--secret", str(first), status=2)
    assert "erased" in stale.stderr
    assert "reinstated" not in house.kinds(site.client_key)
