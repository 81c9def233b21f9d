"""``make screenshots``: pictures of the console, from a run of its own.

``build/pictures`` has every page at 1400 and 400 pixels, light and dark, for a person to look at.
``docs/pictures`` has those that the README and the documents show.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page
from rich.console import Console

from tests.browser.every_page import EMPTY, Shot, act, pages, shop, show
from tests.browser.pages import chromium, tab
from tests.fakes.serving import Served

ROOT = Path(__file__).parents[2]

COLOURS = ("light", "dark")

IN_DOCUMENTS = {
    "overview": Shot("/"),
    "order": Shot("/orders/A-1001"),
    "state": Shot("/orders/A-1001?state=ProcessPayment#run"),
}
"""Pages whose pictures at `SIZE` are in ``docs/pictures``."""

SIZE = {"width": 1280, "height": 800}


def picture(page: Page, file: Path, *, whole: bool) -> None:
    """Write a picture of an opened page, or of the part of it that is on the screen."""
    page.wait_for_timeout(300)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file, full_page=whole)


def of_documents(browser: Browser, served: Served, folder: Path) -> None:
    """Write the pictures of the documents."""
    for colours in COLOURS:
        with tab(browser, served.address, viewport=SIZE, color_scheme=colours) as opened:
            for name, shot in IN_DOCUMENTS.items():
                show(opened.page, served.address, shot)
                picture(opened.page, folder / f"{name}-{colours}.png", whole=False)


def of_pages(browser: Browser, served: Served, shots: Mapping[str, Shot], folder: Path) -> None:
    """Write the pictures of pages, each with its width and colours."""
    for colours in COLOURS:
        for width in (1400, 400):
            window = {"width": width, "height": 900}
            with tab(browser, served.address, viewport=window, color_scheme=colours) as opened:
                opened.is_expecting_loss = True  # a page of a refusal is a message of Chromium
                for name, shot in shots.items():
                    show(opened.page, served.address, shot)
                    picture(opened.page, folder / f"{name}-{width}-{colours}.png", whole=True)


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "pictures")
    parser.add_argument("--documents", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, chromium() as browser:
        with shop(Path(folder)) as served:
            of_documents(browser, served, options.documents)
            of_pages(browser, served, pages(act(served)), options.to)
        with Served(Path(folder) / "empty") as empty:
            of_pages(browser, empty, EMPTY, options.to)
    Console().print(f"pictures are in {options.to} and {options.documents}")


if __name__ == "__main__":
    main()
