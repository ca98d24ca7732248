"""A lifecycle token is good for one body, once: at every worker, after a crash, and whatever came of it."""

from pathlib import Path

import pytest

from support.house import House, at_once
from tenure.simulator import tokens
from tenure.simulator.attacker import Attacker
from tenure.simulator.site import Sent


def test_captured_install_with_another_secret_is_refused(signed: House) -> None:
    """The token of an honest install does not carry another `sharedSecret` in."""
    site = signed.site()
    sent = site.install(True)
    before = signed.trail(site.client_key)
    stolen = Attacker(site).captured_install(sent)
    assert (stolen.status, signed.reason(stolen)) == (401, "token_reused")
    assert signed.trail(site.client_key) == before
    assert site.enable().status == 204


@pytest.mark.parametrize("own_secret", [True, False], ids=["another body", "same body"])
def test_padded_copy_is_the_same_token(signed: House, own_secret: bool) -> None:
    """`=` padding on the signature makes no new token: it appends nothing, whatever the body."""
    site = signed.site()
    sent = site.install(True)
    before = signed.trail(site.client_key)
    assert Attacker(site).padded_copy(sent, own_secret=own_secret).status in ((401,) if own_secret else (204, 401))
    assert signed.trail(site.client_key) == before


@pytest.mark.parametrize("kind", ["installed", "uninstalled", "enabled", "disabled"])
def test_exact_repeat_is_acknowledged(signed: House, kind: str) -> None:
    """The same token with the same body is acknowledged and appends no second event."""
    site = signed.installed()
    calls = {"installed": site.install, "uninstalled": site.uninstall, "enabled": site.enable, "disabled": site.disable}
    sent = calls[kind]()
    assert sent.status == 204
    before = signed.trail(site.client_key)
    assert site.resend(sent).status == 204
    assert signed.trail(site.client_key) == before


def test_repeat_long_after_is_acknowledged_but_changes_nothing(signed: House) -> None:
    """A repeated `enabled` after a later `disabled` is acknowledged and does not enable again."""
    site = signed.installed()
    enabled = site.enable()
    assert site.disable().status == 204
    before = signed.trail(site.client_key)
    assert site.resend(enabled).status == 204
    assert signed.trail(site.client_key) == before
    assert not signed.known(site.client_key).enabled


def test_token_of_another_lifecycle_url_is_refused(signed: House) -> None:
    """A captured `installed` token taken to `uninstalled` is refused: its hash is over the path."""
    site = signed.site()
    sent = site.install(True)
    moved = Attacker(site).moved_token(sent, "uninstalled")
    assert (moved.status, signed.reason(moved)) == (401, "qsh_mismatch")
    assert signed.known(site.client_key).installed


def test_repeated_400_is_the_same_400(signed: House) -> None:
    """A believed call with a bad payload spends its token: repeated it is the same 400, mended it is refused."""
    site = signed.installed()
    before = signed.trail(site.client_key)
    bad = site.lifecycle_body("installed", {"sharedSecret": "short"})
    token = site.lifecycle_token("installed", alg="RS256")
    first = site.send("installed", bad, token)
    second = site.resend(first)
    mended = site.resend(first, site.lifecycle_body("installed", {"sharedSecret": tokens.new_secret()}))
    assert (first.status, signed.reason(first)) == (400, "payload_invalid")
    assert (second.status, signed.reason(second)) == (400, "payload_invalid")
    assert (mended.status, signed.reason(mended)) == (401, "token_reused")
    assert signed.trail(site.client_key) == before


def test_token_of_an_acknowledgement_is_spent(signed: House) -> None:
    """A call that was acknowledged without an event spends its token too."""
    site = signed.installed()
    assert site.uninstall().status == 204
    again = site.uninstall()
    other = site.resend(again, site.lifecycle_body("uninstalled", {"description": "another body"}))
    assert (again.status, other.status, signed.reason(other)) == (204, 401, "token_reused")


def test_enable_disable_enable_are_three_events(signed: House) -> None:
    """Equal bodies under different tokens are separate events."""
    site = signed.site()
    assert [site.install().status, site.enable().status, site.disable().status, site.enable().status] == [204] * 4
    assert signed.kinds(site.client_key) == ["installed", "enabled", "disabled", "enabled"]
    assert signed.known(site.client_key).enabled


def test_reuse_at_other_workers(crowd: House) -> None:
    """A token spent at one worker is spent at all: sent by many connections, one event comes of it."""
    site = crowd.site()
    sent = site.install(True)
    attacker = Attacker(site)
    stolen = at_once([lambda: attacker.captured_install(sent)] * 20)
    honest = at_once([lambda: site.resend(sent)] * 20)
    assert {call.status for call in stolen} == {401}
    assert {call.status for call in honest} == {204}
    assert crowd.kinds(site.client_key) == ["installed"]


def test_many_bodies_race_for_one_token(crowd: House) -> None:
    """Of many bodies that race with one token over two workers exactly one is believed."""
    site = crowd.site()
    token = site.lifecycle_token("installed", alg="RS256")
    bodies = [site.lifecycle_body("installed", {"sharedSecret": tokens.new_secret()}) for _ in range(16)]

    def call(number: int) -> Sent:
        return site.send("installed", bodies[number], token)

    statuses = [sent.status for sent in at_once([lambda n=n: call(n) for n in range(16)])]
    assert sorted(statuses) == [204] + [401] * 15
    assert crowd.kinds(site.client_key) == ["installed"]


def test_spent_and_in_force_after_a_crash(tmp_path: Path) -> None:
    """What was acknowledged is there after kill -9: the event, the secret, and the spent token."""
    with House(tmp_path) as house:
        first = house.site()
        sent = first.install(True)
        assert sent.status == 204
        house.restart(kill=True)
        assert house.kinds(first.client_key) == ["installed"]
        site = house.again(first)
        _, path = sent.url.rsplit("/", 1)
        stolen = site.send(path, site.lifecycle_body("installed", {"sharedSecret": tokens.new_secret()}), sent.token)
        repeat = site.send(path, sent.body, sent.token)
        assert (stolen.status, repeat.status) == (401, 204)
        assert house.reason(stolen) == "token_reused"
        assert house.kinds(first.client_key) == ["installed"]
        assert site.enable().status == 204
