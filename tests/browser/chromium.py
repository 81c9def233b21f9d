"""Headless Chromium, as it is in Debian: one page, until the page has told its site what it saw."""

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
    "--no-sandbox",  # a container's root has none
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
    """Say whether the browser is on this machine."""
    return shutil.which(BROWSER) is not None


@contextmanager
def showing(url: str, folder: Path, names: dict[str, str]) -> Iterator[None]:
    """Show a page while the block runs; ``names`` are host names and the addresses they have."""
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
