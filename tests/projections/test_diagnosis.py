"""Each cause that a diagnosis knows is played against a real service and named rightly; a healthy history has none."""

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.auditor import Auditor
from support.house import House
from tenure.domain.questions import STORED
from tenure.simulator.attacker import Attacker
from tenure.simulator.keyhost import Answer
from tenure.simulator.site import Site


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service whose sites have all kinds of trouble, each of its own."""
    with House(tmp_path_factory.mktemp("trouble")) as house:
        yield house


@pytest.fixture(scope="module")
def auditor(house: House) -> Auditor:
    """Who is on call."""
    return Auditor(house)


def in_minutes(minutes: int) -> str:
    """A time, so many minutes from now."""
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime(STORED)


def healthy(house: House) -> Site:
    """A site that is installed and calls."""
    site = house.installed()
    assert site.webhook().status == 200
    return site


def told(auditor: Auditor, site: Site, **parameters: Any) -> dict[str, Any]:
    """The diagnosis of a site."""
    found = auditor.told("diagnose", tenant=site.client_key, **parameters)
    assert isinstance(found, dict)
    return found


def test_a_rotation_that_jira_never_took_over(house: House, auditor: Auditor) -> None:
    """All calls go on with the replaced secret: named after the minute of grace, with the cure and the webhooks."""
    site = healthy(house)
    old = site.secret
    assert site.rotate().status == 204
    assert site.webhook(secret=old, identifier="wh-late").status == 425
    assert told(auditor, site)["cause"] is None
    assert "reinstate" not in told(auditor, site, until=in_minutes(10))["next"]
    assert site.webhook(secret=old, identifier="wh-late", iat=int(time.time()) - 2).status == 425
    found = told(auditor, site, until=in_minutes(10))
    assert found["cause"] == "rotation_not_taken"
    assert f"--secret {house.events(site.client_key)[0].position}" in found["next"]
    assert found["webhooks_to_come"] == ["wh-late"]
    assert site.webhook().status == 200
    assert told(auditor, site, until=in_minutes(10))["cause"] is None


def test_a_rotation_whose_caller_had_gone(tmp_path: Path) -> None:
    """A caller who hung up before the answer is a sign, and names the cause within the minute."""
    with House(tmp_path) as house:
        site, auditor = healthy(house), Auditor(house)
        house.keys.behave(site.kid, None)
        old, kid = site.secret, house.keys.new_key()
        house.keys.behave(kid, Answer(200, house.keys.public_pem(kid), delay=1.0))
        site.kid = kid
        _hang_up(house, site)
        ends = time.monotonic() + 10
        while len(house.events(site.client_key)) < 3 and time.monotonic() < ends:
            time.sleep(0.05)
        assert site.webhook(secret=old).status == 425
        found = told(auditor, site)
        assert found["cause"] == "rotation_not_taken"
        assert any("hung up" in sign for sign in found["signs"])


def _hang_up(house: House, site: Site) -> None:
    """Sends a rotation and goes before the answer."""
    body = site.lifecycle_body("installed", {"sharedSecret": "another-secret-of-the-site"})
    request = httpx.Request(
        "POST", f"{house.url}/installed", json=body,
        headers={"Authorization": f"JWT {site.lifecycle_token('installed', alg='RS256')}"},
    )  # fmt: skip
    lines = ["POST /installed HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items()), "", ""]
    host, _, port = house.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall("\r\n".join(lines).encode() + request.read())
        time.sleep(0.3)


def test_a_site_import(house: House, auditor: Auditor) -> None:
    """The same baseUrl under a new client key: named for the old and for the new, with what became what."""
    old = healthy(house)
    new = house.installed(base_url=old.base_url)
    assert new.webhook().status == 200
    for asked in (old.client_key, new.client_key, old.base_url):
        found = auditor.told("diagnose", tenant=asked)
        assert found["cause"] == "site_import"
        assert f"{old.client_key} became {new.client_key}" in found["says"]


def test_an_uninstall_by_an_admin(house: House, auditor: Auditor) -> None:
    """An uninstall is named with its position, and the webhooks refused since are the lost ones."""
    site = healthy(house)
    assert site.uninstall().status == 204
    assert site.webhook(identifier="wh-gone").status == 401
    found = told(auditor, site)
    assert found["cause"] == "uninstalled"
    assert f"position {house.events(site.client_key)[-1].position}" in found["says"]
    assert found["webhooks_lost"] == ["wh-gone"]
    assert [one["reason"] for one in found["refused"]] == ["tenant_uninstalled"]


def test_disabled(house: House, auditor: Auditor) -> None:
    """A disabled app is named; enabled again, it is not."""
    site = healthy(house)
    assert site.disable().status == 204
    assert told(auditor, site)["cause"] == "disabled"
    assert site.enable().status == 204
    assert told(auditor, site)["cause"] is None


def test_a_clock_that_is_off(house: House, auditor: Auditor) -> None:
    """Fresh tokens that look old are told with by how much; of one site its own clock comes first."""
    site = healthy(house)
    site.clock = lambda: time.time() - 900
    for _ in range(3):
        assert site.webhook().status == 401
    found = told(auditor, site)
    assert found["cause"] == "clock"
    assert "ours is 15 min ahead" in found["says"]
    early = healthy(house)
    early.clock = lambda: time.time() + 900
    for _ in range(2):
        assert early.webhook().status == 401
    found = told(auditor, early)
    assert found["cause"] == "clock"
    assert "behind" in found["says"]
    assert any("other tenants refused for the same" in sign for sign in found["signs"])


def test_an_install_that_waits_for_the_key_host(tmp_path: Path) -> None:
    """A key host that fails is named for the site whose install is refused, and told as an outage to others."""
    with House(tmp_path) as house:
        auditor, site, other = Auditor(house), house.site(), healthy(house)
        house.keys.behave(site.kid, Answer(500))
        assert site.install().status == 503
        found = told(auditor, site)
        assert found["cause"] == "key_host"
        other_told = told(auditor, other)
        assert other_told["cause"] is None
        assert any("key host" in line["what"] for line in other_told["around"])


def test_an_install_that_is_refused(house: House, auditor: Auditor) -> None:
    """A site whose every install is refused is told the reason."""
    site = house.site(base_url="https://site.example.org")
    assert site.install().status == 400
    found = told(auditor, site)
    assert found["cause"] == "install_refused"
    assert "ALLOWED_SITES" in found["next"]


def test_a_proxy_that_changed_the_path(house: House, auditor: Auditor) -> None:
    """A proxy that takes a prefix away is named by the doctor's finding."""
    site = healthy(house)
    site.paths["webhooks"] = "/webhooks"
    for _ in range(3):
        token = site.page_token("POST", "/connect/webhooks/issue")
        assert site.send("/webhooks/issue", {}, token).status == 401
    found = told(auditor, site)
    assert found["cause"] == "address_changed"
    assert any("removed a prefix" in sign for sign in found["signs"])


def test_a_base_url_that_changed(tmp_path: Path) -> None:
    """Many tenants refused after a start with other settings: named with the settings that changed."""
    with House(tmp_path, {"BASE_URL": "https://app.example.com/base"}) as house:
        sites = [healthy(house) for _ in range(3)]
        house.settings["BASE_URL"] = "https://app.example.com"
        house.restart()
        auditor = Auditor(house)
        for site in sites:
            again = house.again(site)
            again.audience, again.base_path, again._target = "https://app.example.com/base", "/base", house.url
            again.paths["webhooks"] = "/webhooks"
            token = again.page_token("POST", "/hidden/webhooks")
            assert again.send("/webhooks", {}, token).status == 401
            assert again.send("installed", again.lifecycle_body("installed", {"sharedSecret": "x" * 32}),
                              again.lifecycle_token("installed", alg="RS256")).status == 401  # fmt: skip
        found = told(auditor, sites[0])
        assert found["cause"] == "address_changed"
        assert any("2 other tenants" in sign for sign in found["signs"])
        assert any("other settings (audiences, base_path)" in sign for sign in found["signs"])


def test_a_receiver_that_fails(tmp_path: Path) -> None:
    """Webhooks accepted here and refused by the app's own receiver are told as the receiver's."""
    with House(tmp_path) as house:
        site, auditor = healthy(house), Auditor(house)
        house.receiver.status = 500
        identifiers = [f"wh-{number}" for number in range(3)]
        for identifier in identifiers:
            assert site.webhook(identifier=identifier).status == 500
        found = told(auditor, site)
        assert found["cause"] == "receiver_failing"
        assert found["webhooks_to_come"] == identifiers


def test_a_secret_that_never_reached_us(house: House, auditor: Auditor) -> None:
    """A run of calls signed with a secret never seen here says that an install did not arrive."""
    site = healthy(house)
    site.secret = "a-secret-that-never-reached-the-service"
    for number in range(3):
        assert site.webhook(identifier=f"wh-{number}").status == 401
    found = told(auditor, site)
    assert found["cause"] == "secret_never_received"
    assert len(found["webhooks_lost"]) == 3


def test_nothing_reached_us(house: House, auditor: Auditor) -> None:
    """A site of which nothing came is told so, known or not, and whether the door was open for others."""
    site = healthy(house)
    unheard = auditor.told("diagnose", tenant="unheard-of.atlassian.net")
    assert unheard["cause"] == "never_reached_us"
    late = told(auditor, site, since=in_minutes(1), until=in_minutes(2))
    assert late["cause"] == "never_reached_us"
    assert any("last accepted call" in sign for sign in late["signs"])


def test_a_healthy_history_names_no_cause(house: House, auditor: Auditor) -> None:
    """Upgrades, renames, rotations, a return, and strangers in between: as long as the site's calls pass, no cause."""
    site = healthy(house)
    attacker = Attacker(site)
    steps: list[Callable[[], Any]] = [
        site.install, site.rotate, lambda: site.rename("https://renamed-healthy.atlassian.net"),
        site.uninstall, site.rotate, site.enable, site.disable, site.enable,
        attacker.unsigned_install, attacker.own_webhook, attacker.borrowed_kid_install, attacker.own_lifecycle,
        lambda: attacker.foreign_install(house.installed()), attacker.unknown_key_install,
        lambda: site.webhook(exp=int(time.time()) - 90, iat=int(time.time()) - 200),
        lambda: attacker.captured_install(site.install()),
        lambda: attacker.moved_token(site.enable(), "disabled"),
    ]  # fmt: skip
    for step in steps:
        step()
        # who is disabled may call all the same, but that is what an on-call person is to be told
        if site.webhook().status == 200 and step != site.disable:
            found = told(auditor, site)
            assert found["cause"] is None, (step, found["says"])
    attacker.own_webhook()
    attacker.unsigned_install()
    assert told(auditor, site)["cause"] is None
