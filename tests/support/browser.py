"""A real Chromium (the system's), driven by Playwright; what a page did that it must not do is gathered."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from support.house import House
from tenure.store.tokens import ApiTokens

Scheme = Literal["light", "dark"]
_STRANGE = """() => {
  const elements = 'img, iframe, object, embed, base, script, [onerror], [onload], [style]';
  const ours = (one) => one.tagName === 'SCRIPT' && new URL(one.src || 'x:').pathname === '/console/static/tail.js';
  const address = (one) => String(one.href.baseVal ?? one.href);
  return [
    ...[...document.querySelectorAll(elements)].filter((one) => !ours(one)).map((one) => one.outerHTML.slice(0, 200)),
    ...[...document.querySelectorAll('a')].map(address).filter((one) => /^(javascript|data|vbscript):/i.test(one)),
    ...(window.hacked === undefined ? [] : ['a script ran']),
  ];
}"""


def chromium() -> str:
    """The path of the browser; skips without one, or fails where it is required."""
    found = shutil.which("chromium")
    if found is None:
        sentence = "chromium is not here: no page is tried in a browser (.ci/run installs it)"
        if os.environ.get("TENURE_REQUIRE_BROWSER") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser, for as long as it is needed."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Reader:
    """Somebody at the browser, logged in to a house's console; `complaints` is what went wrong in the pages."""

    def __init__(
        self,
        browser: Browser,
        house: House | None,
        width: int = 1280,
        scheme: Scheme = "light",
        *,
        scripts: bool = True,
    ) -> None:
        self.complaints: list[str] = []
        self.house = house
        self.context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=scripts
        )
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self._said(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        if house is not None:
            self.page.goto(f"{house.service.internal_url}/console/login?code={login_code(house)}")
            self.page.get_by_role("button", name="Log in").click()
            self.page.wait_for_load_state()

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "status of 4" not in text:
            self.complaints.append(f"{kind}: {text}")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def look(self, path: str) -> int:
        """Goes to a page of the console; its status."""
        assert self.house is not None
        answer = self.page.goto(f"{self.house.service.internal_url}/console/{path}")
        assert answer is not None
        return answer.status

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def strange(self) -> list[str]:
        """What stands in the page that only a stranger's markup can have put there."""
        found: list[str] = self.page.evaluate(_STRANGE)
        return found

    def close(self) -> None:
        """Ends it."""
        self.context.close()


def login_code(house: House) -> str:
    """A code that logs in once."""
    store = ApiTokens(house.key_database())
    try:
        name = f"reader-{len(store.listing())}"
        store.create(name, ("audit",), 1)
        return store.login_code(name)
    finally:
        store.close()
