"""Every page with real content, in dark mode: it fits, nothing is cut, and axe finds nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import is_installed
from tests.browser.every_page import EMPTY, Shot, act, pages, shop, show
from tests.browser.pages import tab
from tests.fakes.serving import Served

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

CUT = """() => [...document.querySelectorAll("main *")].filter((each) => {
  const style = getComputedStyle(each);
  if (each.closest("svg, thead, .hidden, textarea") || !each.clientWidth) return false;
  const isCut = style.overflowX === "hidden" && style.textOverflow !== "ellipsis";
  return (isCut || style.overflowX === "visible") && each.scrollWidth > each.clientWidth + 1;
}).map((each) => `${each.tagName}.${each.className}: ${each.textContent.trim().slice(0, 60)}`)"""
"""The elements whose content is wider than they are, without a way to scroll to it."""


class Opened(NamedTuple):
    """A server, and its pages by a name."""

    address: str
    shots: Mapping[str, Shot]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Opened]]:
    """Serve a shop, and a directory without an event."""
    root: Path = tmp_path_factory.mktemp("pages")
    with shop(root) as served, Served(root / "empty") as empty:
        yield [Opened(served.address, pages(act(served))), Opened(empty.address, EMPTY)]


@pytest.mark.parametrize("width", [1400, 400])
def test_every_page_fits_and_axe_finds_nothing(
    browser: Browser, servers: list[Opened], width: int
) -> None:
    window = {"width": width, "height": 900}
    found: list[str] = []
    for address, shots in servers:
        with tab(browser, address, viewport=window, color_scheme="dark") as opened:
            opened.is_expecting_loss = True  # a page of a refusal is a message of Chromium
            for name, shot in shots.items():
                show(opened.page, address, shot)
                wide, narrow = opened.width()
                found += [f"{name}: {wide} pixels wide"] if wide > narrow else []
                found += [f"{name}: cut: {each}" for each in opened.page.evaluate(CUT)]
                found += [f"{name}: {each}" for each in opened.findings()]
    assert found == []
