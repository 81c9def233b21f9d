"""Failures inside the port, as lines of the functions' log."""

import json
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from kernel import clock


class PortLog:
    """Appends to ``orderflow.log``; each line names its request.

    A log that cannot be written costs its lines and nothing else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def failed(self, request_id: str, what: str, error: BaseException) -> None:
        """Write down an exception with its traceback."""
        self._write(
            request_id,
            f"{what} failed",
            exception_name=type(error).__name__,
            exception="".join(traceback.format_exception(error)),
        )

    def answered(self, request_id: str, what: str, error: Any) -> None:
        """Write down the error with which a function ended, such as its timeout."""
        self._write(request_id, f"{what} failed", error=error)

    def _write(self, request_id: str, message: str, **more: Any) -> None:
        line = {
            "level": "ERROR",
            "message": message,
            "timestamp": clock.timestamp(clock.now()),
            "service": "port",
            "request_id": request_id,
            **more,
        }
        with suppress(OSError), self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(line, default=repr) + "\n")
