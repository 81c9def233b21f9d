"""Pages of the console in headless Chromium, whose messages and requests are recorded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "chromium"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A tab with its console messages, errors, dialogs, and requests to other origins."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.complaints: list[str] = []
        page.on("console", lambda message: self._message(message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url))
        self.is_expecting_loss = False

    def _message(self, text: str) -> None:
        if not self.is_expecting_loss:
            self.complaints.append(f"console: {text}")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "about:")):
            self.complaints.append(f"request: {url}")

    def open(self, path: str) -> Page:
        """Open a page of the console."""
        self.page.goto(f"{self.origin}/console{path}")
        return self.page

    def check(self) -> None:
        """Fail if the tab complained."""
        assert not self.complaints, self.complaints

    def width(self) -> tuple[int, int]:
        """Return the width of the content and that of the window."""
        wide, narrow = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        return wide, narrow

    def findings(self) -> list[str]:
        """Return the violations that axe finds on the page."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(f"axe.run({{runOnly: {RULES}}})")
        return [
            f"{each['impact']} {each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
        ]


@contextmanager
def tab(browser: Browser, origin: str, **options: Any) -> Iterator[Tab]:
    """Open a tab of its own profile, and fail at its end if it complained."""
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
    context.set_default_timeout(15_000)
    try:
        opened = Tab(context.new_page(), origin)
        yield opened
        opened.check()
    finally:
        context.close()
