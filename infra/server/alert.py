"""The alert: a command or a URL is called when the status changes to bad or to good.

The watcher reads the health of `infra.views.health` twice a minute, in a thread of its own. It
calls the target at a change, and at most once an hour: of several changes within an hour, the first
is reported at once, and the status at the end of the hour then. The last reported status is a file
in the data directory, so a restart repeats no call.
"""

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.log_file import LogFile
from infra.views.health import Health
from kernel import json_text

EVERY = 30.0
"""Seconds between two readings of the health."""

QUIET = 3_600.0
"""Seconds after an alert in which no other one is sent."""

CONFIRMED = 2
"""Readings in sequence that must agree, so that a status of seconds causes no call."""

PATIENCE = 30.0
"""Seconds that the command or the URL may take."""

FILE = "alert.json"
"""The file of the last reported status, in the data directory."""

STATUS = "ORDERS_STATUS"
"""The environment variable of the command: ``bad`` or ``good``."""

Tell = Callable[[str, bytes], None]
"""``(status, document)``: call the target; after an error the next reading calls again."""


def teller(target: str) -> Tell:
    """Return the function that calls a URL or a command, as the setting ``Alert`` names it.

    A URL gets the document by POST. A command is not run by a shell; it gets the document on its
    standard input, and the status in the variable `STATUS`.
    """
    if target.startswith(("http://", "https://")):
        return lambda _status, document: _post(target, document)
    words = shlex.split(target)
    return lambda status, document: _run(words, status, document)


def _post(url: str, document: bytes) -> None:
    import urllib.request  # takes a tenth of a second

    request = urllib.request.Request(  # noqa: S310 - the operator's own URL, of http or https
        url, document, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:  # noqa: S310
        reply.read(1)


def _run(words: list[str], status: str, document: bytes) -> None:
    subprocess.run(  # noqa: S603 - the operator's own command
        words,
        input=document,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, STATUS: status},
        timeout=PATIENCE,
        check=True,
    )


class Alert:
    """The last reported status, and the decision to report another.

    Parameters
    ----------
    tell
        See `teller`.
    file
        The state: the reported status and the time of the call.
    """

    def __init__(self, tell: Tell, file: Path) -> None:
        self._tell = tell
        self._file = file
        self._seen: list[bool] = []
        self._sent: dict[str, Any] = {"ok": True, "at": 0.0}
        with suppress(OSError, ValueError, KeyError, TypeError):  # as if no status was reported
            stored = json_text.parse(file.read_bytes())
            self._sent = {"ok": bool(stored["ok"]), "at": float(stored["at"])}

    def observe(self, health: Health, now: float) -> bool:
        """Call the target at a change; return whether it was called.

        Raises
        ------
        OSError, subprocess.SubprocessError
            The call failed; the next reading tries again.
        """
        self._seen = [*self._seen, health.ok][-CONFIRMED:]
        changed = len(self._seen) == CONFIRMED and self._seen == [not self._sent["ok"]] * CONFIRMED
        if not changed or now < self._sent["at"] + QUIET:
            return False
        status = "good" if health.ok else "bad"
        document = {"status": status, "text": text_of(health), **health.to_json()}
        self._tell(status, json_text.write(document))
        self._sent = {"ok": health.ok, "at": now}
        written = self._file.with_suffix(".new")
        written.write_bytes(json_text.write(self._sent))
        written.replace(self._file)
        return True


def text_of(health: Health) -> str:
    """Return the status as one text, for a message to a person."""
    if health.ok:
        return f"{health.place}: no item needs an operator any more"
    return "\n".join([f"{health.place}:", *(need.text for need in health.needs)])


class Watcher:
    """The thread that reads the health and passes it to an `Alert`."""

    def __init__(self, alert: Alert, read: Callable[[], Health], log: Path) -> None:
        self._alert = alert
        self._read = read
        self._log = LogFile(log)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a running command or request is not awaited."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            now = time.time()
            try:
                if self._alert.observe(self._read(), now):
                    self._log.write("INFO", "alert", "the alert was sent", now)
            except Exception as error:  # noqa: BLE001 - the next reading tries again
                message = f"the alert could not be sent: {_problem(error)}"
                self._log.write("ERROR", "alert", message, now)


def _problem(error: Exception) -> str:
    """Return an error with the last line that a command printed."""
    printed = getattr(error, "stderr", None) or b""
    lines = printed.decode(errors="replace").strip().splitlines()
    return f"{error}: {lines[-1]}" if lines else f"{type(error).__name__}: {error}"


@contextmanager
def watched(target: str, read: Callable[[], Health], where: DataDirectory) -> Iterator[None]:
    """Watch the health of a data directory within a block; without a target, do nothing."""
    if not target:
        yield
        return
    watcher = Watcher(Alert(teller(target), where.root / FILE), read, where.log)
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()
