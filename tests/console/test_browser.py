"""The console in a real browser: logging in, without scripts, by keyboard, narrow and dark; and its pictures."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from support.auditor import token_of
from support.browser import Reader, browsing, login_code
from support.house import House
from support.pages import ROOT
from support.screens import LARGEST, SCREENS
from tenure.simulator.attacker import Attacker
from tenure.simulator.site import Site

PAGES = ("", "tenants", "tenants/{site}", "events", "events/2", "decisions", "decisions/{refused}", "incident",
         "incident?tenant={site}&since=1h", "search?q=acme.atlassian.net", "search?q=127.0.0.1", "live")  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house for these tests alone."""
    with House(tmp_path_factory.mktemp("looked-at")) as house:
        yield house


@pytest.fixture(scope="module")
def site(house: House) -> Site:
    """A tenant with a life: a rotation and its race, a stranger, an uninstall with a late word, a return, silence."""
    site = house.installed(base_url="https://acme.atlassian.net")
    for _ in range(12):
        site.webhook()
    old = site.secret
    site.rotate()
    for _ in range(3):
        site.webhook(secret=old)
    for _ in range(6):
        site.webhook()
    Attacker(site).own_webhook()
    house.page(site)
    time.sleep(1.2)
    site.uninstall()
    site.disable()
    site.webhook()
    site.rotate()
    site.enable()
    for _ in range(15):
        site.webhook()
    house.installed(base_url="https://beta.atlassian.net").webhook()
    return site


@pytest.fixture(scope="module")
def places(house: House, site: Site) -> dict[str, str]:
    """What the addresses of pages are made with."""
    with house.decisions() as decisions:
        found = [one.decision for one in decisions.page(limit=500)]
    refused = next(one.decision for one in found if one.reason == "secret_superseded")
    return {"site": site.client_key, "refused": refused}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for all tests of this file."""
    with browsing() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_every_page_fits_and_complains_of_nothing(
    browser: Browser, house: House, places: dict[str, str], width: int, scheme: str
) -> None:
    """No page is wider than its window, none has an error in the browser's console, wide or narrow, light or dark."""
    reader = Reader(browser, house, width, "dark" if scheme == "dark" else "light")
    for path in PAGES:
        assert reader.look(path.format(**places)) == 200, path
        assert reader.overflow() <= 0, path
        assert reader.strange() == [], path
    assert reader.complaints == []
    ground = reader.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
    reader.close()


def test_logging_in_by_hand_without_scripts(browser: Browser, house: House, places: dict[str, str]) -> None:
    """A permalink asks for a token, leads to its page after that, and everything is there without JavaScript."""
    reader = Reader(browser, None, scripts=False)
    address = f"{house.service.internal_url}/console/decisions/{places['refused']}"
    reader.page.goto(address)
    reader.page.get_by_label("API token").fill("tnr_wrong")
    reader.page.get_by_role("button", name="Log in").click()
    assert "No API token in force" in reader.page.get_by_role("alert").inner_text()
    reader.page.get_by_label("API token").fill(token_of(house, "audit"))
    reader.page.get_by_role("button", name="Log in").click()
    assert reader.page.url == address
    assert "secret of position" in reader.page.inner_text("main")
    cookie = reader.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    reader.page.get_by_role("searchbox").fill("beta.atlassian.net")
    reader.page.get_by_role("button", name="Find").click()
    reader.page.get_by_role("main").get_by_role("link").first.click()
    assert "beta.atlassian.net" in reader.page.get_by_role("heading", level=1).inner_text()
    assert reader.page.locator(".timeline svg").count() == 1
    reader.page.get_by_role("button", name="Log out").click()
    reader.page.goto(address)
    assert reader.page.get_by_label("API token").count() == 1
    reader.close()


def test_a_link_from_elsewhere_keeps_the_session(browser: Browser, house: House, places: dict[str, str]) -> None:
    """A strict cookie does not come with a link in a ticket; the page asks again by itself, and is there."""
    reader = Reader(browser, house)
    address = f"{house.service.internal_url}/console/decisions/{places['refused']}"
    elsewhere = house.receiver.url.replace("127.0.0.1", "localhost")
    page = f"<title>ticket</title><a href='{address}'>the case</a>"
    reader.page.route(f"{elsewhere}/**", lambda route: route.fulfill(body=page, content_type="text/html"))
    reader.page.goto(f"{elsewhere}/ticket")
    reader.page.get_by_role("link", name="the case").click()
    reader.page.get_by_role("heading", level=1).wait_for()
    reader.page.wait_for_url(address)
    assert "secret of position" in reader.page.inner_text("main")
    reader.close()


def test_by_keyboard_and_for_those_who_hear(browser: Browser, house: House, places: dict[str, str]) -> None:
    """The first stop is the way to the content; each page has a language, one heading and landmarks; controls and
    tables have names."""
    reader = Reader(browser, house)
    for path in PAGES:
        reader.look(path.format(**places))
        reader.page.keyboard.press("Tab")
        assert reader.page.evaluate("document.activeElement.textContent") == "To the content", path
        nameless = reader.page.evaluate(
            """() => [...document.querySelectorAll('input:not([type=hidden]), select, button')]
            .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
            .map((one) => one.outerHTML)
            .concat([...document.querySelectorAll('table')].filter((one) => !one.closest('[aria-label]')).map(String))
            .concat([...document.querySelectorAll('th:not([scope])')].map((one) => one.outerHTML))"""
        )
        assert nameless == [], path
        assert reader.page.locator("h1").count() == 1
        assert reader.page.locator("html[lang=en]").count() == 1
        for landmark in ("banner", "navigation", "main", "contentinfo", "search"):
            assert reader.page.get_by_role(landmark).count() >= 1, (path, landmark)
    reader.close()


def test_the_live_tail_follows_pauses_and_ends(browser: Browser, house: House, site: Site) -> None:
    """New decisions come by themselves; paused ones wait; a revoked token ends it."""
    reader = Reader(browser, house)
    reader.look("live")
    state = reader.page.locator("#tail-state")
    reader.page.locator("#tail-state", has_text="Following").wait_for()
    sent = site.webhook().response.headers["x-tenure-decision"]
    reader.page.locator(f"#tail a[href$='{sent}']").wait_for(timeout=10_000)
    reader.page.get_by_role("button", name="Pause").click()
    later = site.webhook().response.headers["x-tenure-decision"]
    reader.page.locator("#tail-state", has_text=re.compile(r"[1-9]\d* are waiting")).wait_for()
    assert reader.page.locator(f"#tail a[href$='{later}']").count() == 0
    reader.page.get_by_role("button", name="Go on").click()
    reader.page.locator(f"#tail a[href$='{later}']").wait_for(timeout=10_000)
    assert "Following" in state.inner_text()
    assert reader.complaints == []
    reader.close()


@pytest.mark.parametrize("name", SCREENS)
def test_the_pictures_of_the_docs(
    browser: Browser, house: House, places: dict[str, str], name: str, tmp_path: Path
) -> None:
    """Each picture of the docs can be made, is small, and is there; `make screenshots` writes them anew."""
    screen = SCREENS[name]
    reader = Reader(browser, house, screen.width, screen.scheme)
    reader.page.set_viewport_size({"width": screen.width, "height": screen.height})
    reader.look(screen.path.format(**places))
    reader.page.screenshot(path=tmp_path / name)
    reader.close()
    assert (tmp_path / name).stat().st_size < LARGEST
    kept = ROOT / "docs" / "pictures" / name
    if os.environ.get("TENURE_SCREENSHOTS"):
        shutil.copy(tmp_path / name, kept)
    assert kept.stat().st_size < LARGEST


def test_the_link_of_the_demo_is_a_login(house: House) -> None:
    """The page behind a login link is a form that logs in; it has no script and keeps the code out of other pages."""
    code = login_code(house)
    page = httpx.get(f"{house.service.internal_url}/console/login", params={"code": code}, trust_env=False)
    assert page.text.count(code) == 1
    assert "<script" not in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
