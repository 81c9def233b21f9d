"""The browser of a module's tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.pages import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once for the tests of a module."""
    with chromium() as started:
        yield started
