"""The service speaks first: who stops passing is told once, in the log, on the feed, as a metric and by a POST."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.auditor import Auditor
from support.command import tenure
from support.house import House
from tenure.alarms import Alarms
from tenure.decision_stores import alarm_book_of
from tenure.domain.alarms import Alarm
from tenure.lease import Lease
from tenure.posting import Poster, body_of
from tenure.settings import Settings
from tenure.simulator.attacker import Attacker
from tenure.simulator.keyhost import Answer
from tenure.simulator.receiver import Receiver
from tenure.simulator.site import Site


def settings_of(house: House, **more: str) -> Settings:
    """The house's settings, for what looks at its store from outside."""
    given = {name.lower(): value for name, value in house.settings.items() if value}
    return Settings.model_validate({**given, **more, "database_url": str(house.folder / "events.db")})


class Watcher:
    """Looks at a house's store as housekeeping does, so many seconds ahead."""

    def __init__(self, house: House) -> None:
        self.house = house

    def after(self, seconds: float) -> list[Alarm]:
        """What a round tells at that time."""
        alarms = Alarms(settings_of(self.house), lambda: time.time() + seconds)
        try:
            return alarms.round()
        finally:
            alarms.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watcher]:
    """A service whose own housekeeping never gets the lease, and who looks in its place."""
    folder = tmp_path_factory.mktemp("watched")
    lease = Lease(folder / "events.db-lease")
    assert lease.take()
    with House(folder) as house:
        yield Watcher(house)
    lease.close()


def healthy(house: House) -> Site:
    """A site that is installed and calls."""
    site = house.installed()
    assert site.webhook().status == 200
    return site


def until(said: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for a condition."""
    ends = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_rotation_not_taken_over_is_told_everywhere(tmp_path: Path) -> None:
    """A site whose calls flip to refused is told by a log line, an item, a metric and a POST, with the cause; and once
    its calls pass again, that it ended."""
    with Receiver() as ears, House(tmp_path, {"ALARM_URL": f"{ears.url}/alarms?key=k-1"}) as house:
        site, auditor = healthy(house), Auditor(house)
        for number in range(3):
            assert site.webhook(qsh=f"{number}" * 64).status == 401
        posted = json.loads(ears.wait_for(1, 40)[0].body)
        assert (posted["state"], posted["kind"]) == ("raised", "calls_refused")
        assert (posted["client_key"], posted["cause"]) == (site.client_key, "address_changed")
        [item] = auditor.told("alarms")["items"]
        assert {name: posted[name] for name in item} == item
        assert [line for line in house.service.lines if line["event"] == "alarm raised"]
        metrics = _metrics(auditor)
        assert 'tenure_alarms_total{kind="calls_refused"} 1.0' in metrics
        assert 'tenure_alarms_open{kind="calls_refused"} 1.0' in metrics
        assert site.webhook(qsh="a" * 64).status == 401
        house.restart(kill=True)
        site = house.again(site)
        assert site.webhook().status == 200
        told = ears.wait_for(2, 40)
        assert [json.loads(one.body)["state"] for one in told] == ["raised", "ended"]
        assert json.loads(told[1].body)["alarm"] == posted["alarm"]
        auditor = Auditor(house)
        assert 'tenure_alarms_open{kind="calls_refused"} 0.0' in _metrics(auditor)
        assert auditor.told("alarms", state="open")["items"] == []
        run = tenure(tmp_path, house.settings, "alarms", "--tenant", site.client_key, "--json")
        assert [json.loads(line) for line in run.stdout.splitlines()] == auditor.walk("alarms", limit=1)


def _metrics(auditor: Auditor) -> str:
    headers = {"Authorization": f"Bearer {auditor.token}"}
    return httpx.get(f"{auditor.house.service.internal_url}/metrics", headers=headers, trust_env=False).text


def test_a_new_secret_not_in_use_after_five_minutes(watched: Watcher) -> None:
    """Told five minutes after the rotation and not before, with the cause; once; ended by the first call with it."""
    site = healthy(watched.house)
    old = site.secret
    assert site.rotate().status == 204
    assert [site.webhook(secret=old).status for _ in range(2)] == [425, 425]
    assert watched.after(290) == []
    [told] = watched.after(301)
    assert (told.kind, told.state, told.cause) == ("secret_unused", "raised", "rotation_not_taken")
    assert "tenure reinstate" in told.next
    assert watched.after(302) == []
    assert site.webhook().status == 200
    [over] = watched.after(303)
    assert (over.alarm, over.state) == (told.alarm, "ended")
    assert watched.after(900) == []


def test_a_rotation_taken_over_says_nothing(watched: Watcher) -> None:
    """A call accepted under the new secret within five minutes, or an uninstall, and there is no alarm."""
    site, leaver = healthy(watched.house), healthy(watched.house)
    assert site.rotate().status == leaver.rotate().status == 204
    assert site.webhook().status == 200
    assert leaver.uninstall().status == 204
    assert watched.after(301) == []


def test_silence_after_a_refused_install(watched: Watcher) -> None:
    """An install refused for another reason than strangers cause, and no call for ten minutes: told, with the cause;
    an accepted call in between, or a stranger's install, says nothing."""
    site, other, busy = (watched.house.site() for _ in range(3))
    watched.house.keys.behave(site.kid, Answer(500))
    assert site.install().status == 503
    assert Attacker(other).unsigned_install().status == 401
    watched.house.keys.behave(busy.kid, Answer(500))
    assert busy.install().status == 503
    watched.house.keys.behave(busy.kid, None)
    assert busy.install().status == 204
    assert watched.after(590) == []
    [told] = watched.after(601)
    assert (told.kind, told.client_key, told.cause) == ("silent_after_refused_install", site.client_key, "key_host")
    watched.house.keys.behave(site.kid, None)
    assert site.install().status == 204
    assert [one.state for one in watched.after(602)] == ["ended"]


def test_what_anybody_can_send_must_last(watched: Watcher) -> None:
    """Forged calls alone make an alarm only after a minute in which the site's own calls do not pass; one token sent
    again, or calls of a tenant that never called, make none."""
    site, calm = healthy(watched.house), healthy(watched.house)
    right, site.secret = site.secret, "a-secret-that-never-reached-the-service"
    for _ in range(3):
        assert site.webhook().status == 401
    token = calm.page_token("POST", "/elsewhere")
    for _ in range(4):
        assert calm.send("/webhooks/issue", {}, token).status == 401
    assert watched.after(10) == []
    site.secret = right
    assert site.webhook().status == 200
    assert watched.after(70) == []
    site.secret = "a-secret-that-never-reached-the-service"
    for _ in range(3):
        assert site.webhook().status == 401
    assert watched.after(10) == []
    [told] = watched.after(70)
    assert (told.client_key, told.cause, told.refused) == (site.client_key, "secret_never_received", 3)


def test_calls_under_way_when_the_app_is_uninstalled(watched: Watcher) -> None:
    """Webhooks refused within a minute of a believed uninstall are no alarm."""
    site = healthy(watched.house)
    assert site.uninstall().status == 204
    for _ in range(4):
        assert site.webhook().status == 401
    assert watched.after(120) == []


def test_a_post_that_fails_is_tried_again(watched: Watcher) -> None:
    """An item that is not taken is due again later each time, never followed elsewhere, and carries no secret."""
    site, secrets = healthy(watched.house), watched.house.settings["MASTER_KEY"]
    for number in range(3):
        assert site.webhook(qsh=f"{number}" * 64).status == 401
    now = [time.time()]
    with Receiver() as ears:
        alarms = Alarms(settings_of(watched.house, alarm_url=ears.url), lambda: now[0])
        [told] = [one for one in alarms.round() if one.client_key == site.client_key]
        alarms.close()
        poster = Poster(alarm_book_of(settings_of(watched.house)), f"{ears.url}/a", lambda: True, lambda: now[0])
        ears.script = [500, 302, 429]
        for wait in (0, 5, 10, 20):
            now[0] += wait - 1
            poster.post_due()
            now[0] += 1
            poster.post_due()
        got = ears.wait_for(4)
        poster.stop()
    assert [one.path for one in got] == ["/a"] * 4
    assert {one.body for one in got} == {body_of(told)}
    assert site.secret not in got[0].body.decode()
    assert secrets not in got[0].body.decode()
    book = alarm_book_of(settings_of(watched.house))
    assert book.unposted(now[0] + 1e6, 10) == []
    book.close()
