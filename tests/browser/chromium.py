"""Headless Chromium, as in Debian: shows one page until the page has reported to its site."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BROWSER = "chromium"

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # not available to root in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-popup-blocking",
    "--proxy-server=direct://",
)


def is_installed() -> bool:
    """Return whether the browser is installed."""
    return shutil.which(BROWSER) is not None


@contextmanager
def show(url: str, folder: Path, names: dict[str, str]) -> Iterator[None]:
    """Show a page in the block; ``names`` maps host names to addresses."""
    mapped = ", ".join(f"MAP {name} {address}" for name, address in names.items())
    rules = f"{mapped}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
    with (folder / "chromium.log").open("ab") as log:
        process = subprocess.Popen(
            [
                BROWSER,
                *_OPTIONS,
                f"--user-data-dir={folder / 'profile'}",
                f"--host-resolver-rules={rules}",
                url,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
