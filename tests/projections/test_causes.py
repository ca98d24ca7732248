"""No cause and no alarm in any healthy life, and each cause named in any life that ends in its trouble."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from support.lives import HOME, WRONG, Ear, Life, World
from tenure.domain.check import Verdict
from tenure.domain.refusals import Reason
from tenure.projections.diagnosis import Diagnosis, diagnose

Draw = st.DataObject
STRANGERS = st.sampled_from([
    Reason.TOKEN_MISSING, Reason.TOKEN_MALFORMED, Reason.SIGNATURE_BAD, Reason.EXPIRED, Reason.TOKEN_TOO_LARGE,
    Reason.ALGORITHM_NOT_ALLOWED, Reason.KID_UNKNOWN, Reason.CLAIM_MISSING, Reason.NOT_YET_VALID,
])  # fmt: skip
SHORT = st.floats(0.5, 20.0)


def wait(life: Life, seconds: float) -> None:
    """Time goes by."""
    life.world.now += seconds


def calls(life: Life, draw: Draw) -> None:
    """A few webhooks and pages, some sent again with the same clock."""
    for _ in range(draw.draw(st.integers(1, 4))):
        life.call(kind=draw.draw(st.sampled_from(["webhook", "forward-auth"])))
        wait(life, draw.draw(SHORT))


def upgrade(life: Life, _: Draw) -> None:
    """A new version of the descriptor, the same secret."""
    life.install()


def rotate(life: Life, draw: Draw) -> None:
    """A new secret, taken over within a minute; calls with the old one until then."""
    old = life.secret
    life.install(secret=f"{old}+")
    for _ in range(draw.draw(st.integers(0, 4))):
        wait(life, draw.draw(st.floats(0.1, 14.0)))
        life.call(secret=old)
    wait(life, draw.draw(st.floats(0.1, 3.0)))
    life.call()


def rename(life: Life, draw: Draw) -> None:
    """Another base URL, with or without a new secret."""
    secret = f"{life.secret}+" if draw.draw(st.booleans()) else ""
    life.install(base_url=f"{life.base_url[:-14]}-new.atlassian.net", secret=secret)
    life.call()


def leave_and_return(life: Life, draw: Draw) -> None:
    """An uninstall with calls under way, perhaps forgotten since, and a return with a new secret."""
    life.switch("uninstalled")
    for _ in range(draw.draw(st.integers(0, 5))):
        wait(life, draw.draw(st.floats(0.0, 8.0)))
        life.call()
    wait(life, draw.draw(st.floats(1.0, 7200.0)))
    if draw.draw(st.booleans()):
        life.erase()
    life.install(secret=f"{life.secret}+")
    life.switch("enabled")
    life.call()


def off_and_on(life: Life, draw: Draw) -> None:
    """Disabled, and enabled again."""
    life.switch("disabled")
    wait(life, draw.draw(st.floats(1.0, 3600.0)))
    life.switch("enabled")


def quiet(life: Life, draw: Draw) -> None:
    """Nothing for hours, then a call."""
    wait(life, draw.draw(st.floats(60.0, 11.9 * 3600)))
    life.call()


def strangers(life: Life, draw: Draw) -> None:
    """Somebody else names the site, any number of times, and the site goes on."""
    for _ in range(draw.draw(st.integers(1, 8))):
        life.stranger(draw.draw(STRANGERS), draw.draw(st.sampled_from(["webhook", "installed", "uninstalled"])))
        wait(life, draw.draw(st.floats(0.0, 3.0)))
    life.call()


def one_bad_call(life: Life, draw: Draw) -> None:
    """A single call of the site's own with a wrong hash, and on it goes."""
    life.call(qsh=WRONG)
    wait(life, draw.draw(SHORT))
    life.call()


def retried(life: Life, draw: Draw) -> None:
    """The receiver fails for a moment; Jira sends again."""
    for _ in range(draw.draw(st.integers(1, 3))):
        life.call(status=503)
        wait(life, draw.draw(SHORT))
    life.call()


def retried_install(life: Life, draw: Draw) -> None:
    """The key host is away for a moment during an upgrade; it is sent again."""
    for _ in range(draw.draw(st.integers(1, 3))):
        life.install(verdict=Verdict(Reason.KEY_UNAVAILABLE, "500"))
        wait(life, draw.draw(st.floats(1.0, 100.0)))
    life.install()
    life.call()


def restart(life: Life, _: Draw) -> None:
    """The service starts again as it was."""
    life.world.started()


def elsewhere(life: Life, draw: Draw) -> None:
    """Another site has trouble of its own."""
    other = Life(life.world, "elsewhere")
    other.install(secret="other")
    other.clock_off = draw.draw(st.sampled_from([-900.0, 0.0, 900.0]))
    for _ in range(draw.draw(st.integers(1, 3))):
        other.call(qsh=draw.draw(st.sampled_from([WRONG, "a" * 64])), secret=draw.draw(st.sampled_from(["other", "x"])))


STEPS: list[Callable[[Life, Draw], None]] = [
    calls, upgrade, rotate, rename, leave_and_return, off_and_on, quiet, strangers, one_bad_call, retried,
    retried_install, restart, elsewhere,
]  # fmt: skip


def lived(draw: Draw, most: int = 8) -> Life:
    """A site after a healthy life, and nothing told of it on the way."""
    world = World()
    world.started()
    life, ear = Life(world), Ear(world)
    life.install(secret="s")
    life.switch("enabled")
    life.call()
    for step in draw.draw(st.lists(st.sampled_from(STEPS), max_size=most)):
        step(life, draw)
        ear.listen(life)
        found = diagnose(life.case())
        assert found.cause is None, (step.__name__, found.says)
        assert ear.told == [], step.__name__
        wait(life, draw.draw(SHORT))
    return life


def told(life: Life, *others: Life) -> Diagnosis:
    """The diagnosis now."""
    return diagnose(life.case(others=others))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_healthy_life_has_a_cause_or_an_alarm(data: Draw) -> None:
    """After any step of any healthy life no cause is named, and no alarm is due."""
    lived(data, 14)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(3, 8), st.floats(61, 3600), st.booleans())
def test_a_rotation_not_taken(data: Draw, count: int, later: float, gone: bool) -> None:
    """However many calls come with the old secret and whenever past the grace: named, and told as an alarm."""
    life = lived(data)
    life.install(secret="lost", taken=False, gone=gone)
    ear = Ear(life.world)
    wait(life, later)
    for _ in range(count):
        life.call()
        wait(life, 1)
    found = told(life)
    assert found.cause == "rotation_not_taken", found.is_not
    assert "tenure reinstate" in found.next
    ear.listen(life)
    assert ear.told


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 5))
def test_uninstalled(data: Draw, count: int) -> None:
    """An uninstall, with any number of calls after it."""
    life = lived(data)
    life.switch("uninstalled")
    for _ in range(count):
        wait(life, 100)
        life.call()
    assert told(life).cause == "uninstalled"


@settings(max_examples=25, deadline=None)
@given(st.data(), st.floats(1, 3600), st.booleans())
def test_a_site_import(data: Draw, later: float, refused: bool) -> None:
    """The same base URL under a new client key: named for the old one and for the new one."""
    old = lived(data)
    wait(old, later)
    new = Life(old.world, "tenant-2")
    new.install(secret="n", base_url=old.base_url)
    new.call()
    if refused:
        old.call(secret="n")
    assert told(old, new).cause == "site_import"
    assert told(new, old).cause == "site_import"


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(2, 9), st.booleans())
def test_an_address_that_changed(data: Draw, count: int, restarted: bool) -> None:
    """Calls bound to another path, whether or not the service was started with other settings."""
    life = lived(data)
    if restarted:
        life.world.started(base_path="/other")
    for _ in range(count):
        wait(life, 1)
        life.call(qsh=WRONG)
    found = told(life)
    assert found.cause == "address_changed"
    assert restarted == any("other settings (base_path)" in sign for sign in found.signs)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_an_audience_that_changed(data: Draw, count: int) -> None:
    """Installs meant for another base URL than ours."""
    life = lived(data)
    for _ in range(count):
        wait(life, 5)
        assert life.install(aud=f"{HOME}/old").status == 401
    assert told(life).cause == "address_changed"


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 6), st.sampled_from([-1, 1]), st.floats(400, 86400), st.floats(0, 90))
def test_a_clock_of_theirs(data: Draw, count: int, way: int, off: float, wobble: float) -> None:
    """The sender's clock is off by any amount, with any delay on the way."""
    life = lived(data)
    life.clock_off = way * off
    for number in range(count):
        wait(life, 1)
        life.clock_off = way * off + wobble * (number % 2)
        life.call()
    assert told(life).cause == "clock"


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 6), st.sampled_from([-1, 1]), st.floats(400, 6 * 3600), st.booleans())
def test_a_step_of_our_own_clock(data: Draw, count: int, way: int, off: float, others: bool) -> None:
    """Our clock jumps ahead or back: named with the distance; with other sites' calls refused alike, as ours; and the
    log's own times show a step back."""
    life = lived(data)
    other = Life(life.world, "another")
    other.install(secret="o")
    life.world.off = way * off
    for _ in range(count):
        wait(life, 1)
        life.call()
        if others:
            other.call()
    life.world.started()
    case = life.case(since_s=86400)
    found = diagnose(case)
    assert found.cause == "clock", found.says
    # a healthy life may have had somebody elsewhere whose clock was off
    assert not others or "Our clock is wrong" in found.says
    assert ("ahead of" if way > 0 else "behind") in found.says
    *_, before, start = [e.recorded_at for e in life.world.events if e.client_key in ("", life.client_key)]
    assert (start < before) == any("our clock went back" in line["what"] for line in found.around)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 5), st.booleans())
def test_the_key_host(data: Draw, count: int, first: bool) -> None:
    """Installs, the first or a later one, that wait for a key."""
    life = Life(World()) if first else lived(data)
    for _ in range(count):
        wait(life, 5)
        life.install(verdict=Verdict(Reason.KEY_UNAVAILABLE, "connection refused"))
    assert told(life).cause == "key_host"


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.sampled_from([Reason.SITE_NOT_ALLOWED, Reason.PAYLOAD_INVALID, Reason.KID_UNKNOWN]))
def test_an_install_that_is_refused(count: int, reason: Reason) -> None:
    """A first install that is refused for any reason of its own."""
    life = Life(World())
    for _ in range(count):
        wait(life, 5)
        life.install(verdict=Verdict(reason))
    found = told(life)
    assert found.cause == "install_refused"


@settings(max_examples=25, deadline=None)
@given(st.data(), st.booleans())
def test_disabled(data: Draw, goes_on: bool) -> None:
    """A disabled app, whether or not calls go on."""
    life = lived(data)
    life.switch("disabled")
    if goes_on:
        life.call()
    assert told(life).cause == "disabled"


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(2, 9), st.sampled_from([500, 502, 503, 504]))
def test_a_receiver_that_fails(data: Draw, count: int, status: int) -> None:
    """Accepted webhooks that the app's own receiver does not take, to the last."""
    life = lived(data)
    for _ in range(count):
        wait(life, 1)
        life.call(status=status)
    assert told(life).cause == "receiver_failing"


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(3, 9))
def test_a_secret_that_never_came(data: Draw, count: int) -> None:
    """A run of calls signed with a secret that was never here."""
    life = lived(data)
    for _ in range(count):
        wait(life, 1)
        life.call(secret="never-here")
    assert told(life).cause == "secret_never_received"


@settings(max_examples=25, deadline=None)
@given(st.data(), st.floats(12.1, 1000))
def test_nothing_reached_us(data: Draw, hours: float) -> None:
    """A time without a single call, after any healthy life."""
    life = lived(data)
    wait(life, hours * 3600)
    assert told(life).cause == "never_reached_us"
