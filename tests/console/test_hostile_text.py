"""Hostile text in every field, on every page and in every file: it is text, no script runs and no layout breaks."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from support.browser import Reader, browsing
from support.command import tenure
from support.hostile import HOSTILE, KEY, MARKUP, TWIN, decision, fill, record
from support.house import House

PAGES = (
    "", "tenants", f"tenants/{quote(KEY, safe='')}", f"tenants/{quote(KEY, safe='')}?position=3", "events",
    "events?tenant=" + quote(KEY, safe=""), "decisions", "decisions?verdict=refused", "incident",
    "incident?tenant=" + quote(KEY, safe=""), "live", "search?q=" + quote(HOSTILE[:400], safe=""),
    "search?q=" + quote(KEY, safe=""), "events?type=" + quote(MARKUP, safe=""), "nothing/" + quote(MARKUP, safe=""),
    "tenants/" + quote(MARKUP, safe=""), "decisions?reason=" + quote(MARKUP, safe=""),
    "login?code=" + quote(MARKUP, safe=""), "tenants/x.atlassian.net", f"tenants/{quote(TWIN, safe='')}",
    f"tenants/{quote(KEY, safe='')}?at=" + quote(MARKUP, safe=""), "events/" + quote(MARKUP, safe=""),
    "decisions/" + quote(MARKUP, safe=""), "incident?since=" + quote(MARKUP, safe=""),
    "live?tenant=" + quote(MARKUP, safe=""), "tenants?after=" + quote(MARKUP, safe=""),
    f"decisions?tenant={quote(KEY, safe='')}&until=" + quote(MARKUP, safe=""),
)  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house full of hostile text."""
    with House(tmp_path_factory.mktemp("hostile")) as house:
        fill(house)
        yield house


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for all tests of this file."""
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module", params=[1280, 400])
def reader(request: pytest.FixtureRequest, browser: Browser, house: House) -> Iterator[Reader]:
    """Somebody logged in, at a wide and at a narrow window."""
    reader = Reader(browser, house, request.param)
    yield reader
    reader.close()


def judged(reader: Reader) -> list[str]:
    """What is wrong with the page shown."""
    wide = reader.overflow()
    return [*reader.complaints, *reader.strange(), *([f"{wide} px too wide"] if wide > 0 else [])]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_hostile_text_as_text(reader: Reader, path: str) -> None:
    """No script, element, address or dialog comes of it; nothing is blocked, for nothing was tried; the page fits."""
    reader.complaints.clear()
    assert reader.look(path) in (200, 400, 404, 409)
    assert judged(reader) == []


@pytest.mark.parametrize(
    "path", ["nothing/" + quote(HOSTILE[:300], safe=""), "search?q=" + quote(MARKUP, safe=""),
             "login?code=" + quote(MARKUP, safe=""), "login?next=" + quote(MARKUP, safe="")]
)  # fmt: skip
def test_who_is_not_logged_in_sees_text_too(browser: Browser, house: House, path: str) -> None:
    """The login form, which remembers where one wanted to go, and says why one did not get in."""
    reader = Reader(browser, None)
    reader.page.goto(f"{house.service.internal_url}/console/{path}")
    assert judged(reader) == []
    if reader.page.get_by_label("API token").count():
        reader.page.get_by_label("API token").fill(MARKUP)
    reader.page.get_by_role("button", name="Log in").click()
    assert judged(reader) == []
    reader.close()


def test_every_event_and_decision_shows_it_as_text(reader: Reader, house: House) -> None:
    """The page of each event and of each decision, told by what is in the store."""
    reader.complaints.clear()
    with house.decisions() as decisions:
        paths = [f"decisions/{one.decision.decision}" for one in decisions.page(limit=400)
                 if one.decision.kind != "audit"]  # fmt: skip
    paths += [f"events/{position}" for position in range(1, house.head()[0] + 1)]
    for path in paths:
        assert reader.look(path) == 200, path
        assert judged(reader) == [], path
    assert len(paths) > 12


def test_the_live_tail_puts_it_in_as_text(reader: Reader, house: House) -> None:
    """A hostile decision that comes while somebody follows is a row of text."""
    reader.complaints.clear()
    reader.look("live")
    reader.page.locator("#tail-state", has_text="Following").wait_for()
    made = decision(client_key=MARKUP)
    record(house, made)
    row = reader.page.locator(f"#tail tr.fresh:has(a[href$='{made.decision}'])")
    row.wait_for(timeout=10_000)
    assert "<script>window.hacked=1</script>" in row.inner_text()
    assert judged(reader) == []


@pytest.mark.parametrize("width", [1280, 400])
def test_the_files_show_it_as_text(browser: Browser, house: House, tmp_path: Path, width: int) -> None:
    """The pages that `timeline --html` and `incident open --html` write, opened from the disk."""
    tenure(house.folder, {}, "timeline", KEY, "--html", str(tmp_path / "life.html"))
    tenure(house.folder, {}, "incident", "pack", KEY, "--out", str(tmp_path / "case.json.gz"))
    tenure(tmp_path, {}, "incident", "open", "case.json.gz", "--html", "case.html")
    reader = Reader(browser, None, width)
    for name in ("life.html", "case.html"):
        reader.page.goto((tmp_path / name).as_uri())
        assert "<script>window.hacked=1</script>" in reader.page.inner_text("main")
        assert reader.page.evaluate("getComputedStyle(document.body).margin") == "0px", "the style is not allowed"
        assert judged(reader) == []
    reader.close()


def test_the_terminal_gets_no_control_character(house: House, tmp_path: Path) -> None:
    """What `timeline` and `incident open` print has no character that moves a cursor or turns a line."""
    told = tenure(house.folder, {}, "timeline", KEY).stdout
    tenure(house.folder, {}, "incident", "pack", KEY, "--out", str(tmp_path / "case.json"))
    told += tenure(tmp_path, {}, "incident", "open", "case.json").stdout
    assert "window.hacked" in told
    assert not [letter for letter in told if not letter.isprintable() and letter != "\n"]
