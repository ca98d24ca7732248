"""What a 204 says is in force at once, in every worker; calls that race end in one consistent stream."""

from collections.abc import Callable

import httpx
import pytest

from support.house import House, at_once
from tenure.simulator import tokens
from tenure.simulator.site import Sent, Site

MANY = 24


def _pages(house: House, site: Site, secret: str) -> list[httpx.Response]:
    """Many page loads at once, each over a connection of its own, so that every worker is met."""
    return at_once([lambda: house.page(site, site.page_token("GET", "/page", secret=secret))] * MANY)


def test_install_in_force_in_every_worker(crowd: House) -> None:
    """The secret of a first install is believed by every worker once it was acknowledged."""
    for _ in range(3):
        site = crowd.installed()
        assert {page.status_code for page in _pages(crowd, site, site.secret)} == {200}


def test_rotation_in_force_in_every_worker(crowd: House) -> None:
    """From the 204 of a rotation no worker accepts the old secret (425 for a minute) and every one the new."""
    site = crowd.installed()
    for _ in range(3):
        old = site.secret
        assert site.rotate().status == 204
        assert {page.status_code for page in _pages(crowd, site, old)} == {425}
        assert {page.status_code for page in _pages(crowd, site, site.secret)} == {200}


def test_uninstall_in_force_in_every_worker(crowd: House) -> None:
    """From the 204 of an uninstall no worker lets the tenant's traffic pass."""
    site = crowd.installed()
    assert {page.status_code for page in _pages(crowd, site, site.secret)} == {200}
    assert site.uninstall().status == 204
    assert {page.status_code for page in _pages(crowd, site, site.secret)} == {401}


def test_replaced_secret_gets_425_then_nothing_older(signed: House) -> None:
    """Traffic by the secret just replaced is 425 with Retry-After; by one replaced before that, 401."""
    site = signed.installed()
    oldest = site.secret
    assert site.rotate().status == 204
    older = site.secret
    late = site.webhook(secret=oldest)
    assert (late.status, signed.reason(late)) == (425, "secret_superseded")
    assert "retry-after" in late.response.headers
    assert signed.receiver.received == [] or all(
        site.client_key != got.header("x-tenure-client-key") for got in signed.receiver.received
    )
    assert site.rotate().status == 204
    assert site.webhook(secret=older).status == 425
    forgotten = site.webhook(secret=oldest)
    assert (forgotten.status, signed.reason(forgotten)) == (401, "signature_bad")


def test_replaced_secret_of_an_uninstalled_tenant_gets_401(signed: House) -> None:
    """There is no second chance for a replaced secret once the tenant is uninstalled."""
    site = signed.installed()
    old = site.secret
    assert site.rotate().status == 204
    assert site.uninstall().status == 204
    assert site.webhook(secret=old).status == 401


@pytest.mark.parametrize("order", [("disable", "uninstall"), ("uninstall", "disable")], ids="-".join)
def test_disabled_and_uninstalled_in_either_order(signed: House, order: tuple[str, str]) -> None:
    """A tenant that is disabled and uninstalled, in either order, ends uninstalled."""
    site = signed.installed()
    calls: dict[str, Callable[[], Sent]] = {"disable": site.disable, "uninstall": site.uninstall}
    assert [calls[name]().status for name in order] == [204, 204]
    tenant = signed.known(site.client_key)
    assert (tenant.installed, tenant.enabled, tenant.disabled) == (False, False, False)


def test_disabled_and_uninstalled_in_parallel(crowd: House) -> None:
    """Disabled and uninstalled at the same time, at any worker, are both acknowledged and end uninstalled."""
    for _ in range(8):
        site = crowd.installed()
        sent = at_once([site.disable, site.uninstall], 2)
        assert [call.status for call in sent] == [204, 204]
        tenant = crowd.known(site.client_key)
        assert (tenant.installed, tenant.enabled) == (False, False)


def test_late_disabled_never_revives(signed: House) -> None:
    """A late `disabled` or `enabled` of an uninstalled tenant is acknowledged and appends nothing."""
    site = signed.installed()
    assert site.uninstall().status == 204
    before = signed.trail(site.client_key)
    assert [site.disable().status, site.enable().status] == [204, 204]
    assert signed.trail(site.client_key) == before


def test_concurrent_first_installs_end_in_one_stream(crowd: House) -> None:
    """Twenty first installs at once are all believed, in one gapless stream with one first and one secret."""
    site = crowd.site()
    secrets = [tokens.new_secret() for _ in range(20)]

    def install(secret: str) -> Sent:
        body = site.lifecycle_body("installed", {"sharedSecret": secret})
        return site.send("installed", body, site.lifecycle_token("installed", alg="RS256"))

    sent = at_once([lambda s=s: install(s) for s in secrets])
    assert {call.status for call in sent} == {204}
    events = crowd.events(site.client_key)
    assert [event.version for event in events] == list(range(1, 21))
    causes = [str(event.changed.cause) for event in events if event.changed]
    assert causes == ["first"] + ["rotation"] * 19
    holding = [s for s in secrets if crowd.page(site, site.page_token("GET", "/page", secret=s)).status_code == 200]
    assert len(holding) == 1
    with crowd.log() as log:
        positions = [event.position for event in log.read()]
    assert positions == list(range(1, len(positions) + 1))


def test_rotations_race_with_switches(crowd: House) -> None:
    """Rotations, enables and disables of one tenant at once leave a gapless stream and one secret in force."""
    site = crowd.installed()
    secret = site.secret

    def rotate() -> Sent:
        body = site.lifecycle_body("installed", {"sharedSecret": tokens.new_secret()})
        return site.send("installed", body, site.lifecycle_token("installed", alg="RS256"))

    def switch(kind: str) -> Sent:
        return site.send(kind, site.lifecycle_body(kind), site.lifecycle_token(kind, alg="HS256", secret=secret))

    sent = at_once([rotate, lambda: switch("enabled"), lambda: switch("disabled")] * 6)
    assert {call.status for call in sent} <= {204, 401}
    assert {call.status for call in sent[::3]} == {204}
    events = crowd.events(site.client_key)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert len(events) == 2 + sum(call.status == 204 for call in sent)
