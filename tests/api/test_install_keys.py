"""Install keys come from the configured host only, are kept, and a failing host is never a verdict on the caller."""

import uuid
from pathlib import Path

import pysqlite3
import pytest

from support.house import House, at_once
from tenure.simulator import tokens
from tenure.simulator.keyhost import Answer, KeyHost
from tenure.simulator.site import Site


def _asked(house: House, kid: str) -> int:
    return house.keys.requests.count(f"/{kid}")


def test_unknown_kid_is_refused_and_remembered(signed: House) -> None:
    """A kid that the host does not know is 401, and is not asked for again at once."""
    site = signed.site()
    kid = str(uuid.uuid4())
    header = {"kid": kid}
    calls = [site.install(header=header) for _ in range(3)]
    assert [(sent.status, signed.reason(sent)) for sent in calls] == [(401, "kid_unknown")] * 3
    assert _asked(signed, kid) == 1


WEAK = tokens.public_pem(tokens.pooled_key("weak", 0, 1024))
FAILURES = {
    "redirect": Answer(302, b"", (("Location", "/elsewhere"),)),
    "server error": Answer(500, b"oops"),
    "forbidden": Answer(403, b"no"),
    "junk": Answer(200, b"junk"),
    "empty": Answer(200, b""),
    "weak key": Answer(200, WEAK),
    "too big": Answer(200, b"#" * 9000),
    "slow": Answer(200, b"", delay=4.0),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failing_key_host_is_503_and_heals(signed: House, name: str) -> None:
    """Anything but a sound key or a 404 is 503 with Retry-After, changes nothing, and is not remembered."""
    site = signed.site()
    signed.keys.behave(site.kid, FAILURES[name])
    before = signed.trail(site.client_key)
    sent = site.install()
    assert (sent.status, signed.reason(sent)) == (503, "key_unavailable")
    assert "retry-after" in sent.response.headers
    assert "/elsewhere" not in signed.keys.requests
    assert signed.trail(site.client_key) == before
    signed.keys.behave(site.kid, None)
    assert site.install().status == 204


def test_sound_key_followed_by_padding_past_the_limit(signed: House) -> None:
    """At most 8 KiB are read: a sound key in a longer answer is no key."""
    site = signed.site()
    signed.keys.behave(site.kid, Answer(200, signed.keys.public_pem(site.kid) + b"\n" * 9000))
    assert site.install().status == 503


def test_key_is_kept_across_a_restart(tmp_path: Path) -> None:
    """The host is asked once for a kid, a kill -9 and a restart included."""
    with House(tmp_path) as house:
        site = house.installed()
        house.restart(kill=True)
        same = house.again(site)
        house.keys.behave(site.kid, Answer(500))
        assert same.install().status == 204
        assert _asked(house, site.kid) == 1


@pytest.mark.parametrize("kid", ["../keys", "", "a/b", "a" * 129, "ä", "undefined?x", 5, None, "a\n"], ids=repr)
def test_malformed_kid_is_never_asked_for(signed: House, kid: object) -> None:
    """A kid that could lead elsewhere is refused, and no request leaves for the key host."""
    site = signed.site()
    before = len(signed.keys.requests)
    sent = site.install(header={"kid": kid})
    assert sent.status == 401
    assert len(signed.keys.requests) == before


def test_one_request_for_many_installs(signed: House) -> None:
    """Ten first installs under one kid at once ask the host once."""
    first = signed.site()
    sites: list[Site] = [signed.site() for _ in range(10)]
    signed.keys.behave(first.kid, Answer(200, signed.keys.public_pem(first.kid), delay=0.3))
    sent = at_once([lambda s=site: s.install(kid=first.kid) for site in sites])
    assert {call.status for call in sent} == {204}
    assert _asked(signed, first.kid) == 1


def test_a_key_that_somebody_else_put_into_the_store_is_none(tmp_path: Path) -> None:
    """A row written into the log's file by another tool proves nothing; the host is asked, and its key takes the row's
    place; keys that the service kept itself are used after a restart without asking.
    """
    with House(tmp_path) as house, KeyHost() as stranger:
        victim, real = house.installed(), house.keys.new_key()
        site = house.site(client_key=victim.client_key, base_url=victim.base_url, key_host=stranger)
        pem = stranger.public_pem(site.kid).decode()
        connection = pysqlite3.connect(str(tmp_path / "events.db"), isolation_level=None)
        for text in (pem, f"{pem}{'0' * 64}\n"):
            for kid in (site.kid, real):
                connection.execute(
                    "INSERT OR REPLACE INTO install_keys VALUES (?, ?, ?, '')", (house.keys.url, kid, text)
                )
            assert site.install(new_secret=True).status == 401
        assert house.page(victim).status_code == 200
        other = house.site()
        other.kid = real
        assert other.install().status == 204
        (kept,) = connection.execute("SELECT pem FROM install_keys WHERE kid = ?", (real,)).fetchone()
        assert kept.startswith(house.keys.public_pem(real).decode().rstrip())
        connection.close()
        house.restart()
        asked = _asked(house, real)
        assert house.again(other).install().status == 204
        assert _asked(house, real) == asked
