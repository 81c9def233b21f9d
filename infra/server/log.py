"""Log failures in the port as lines of the functions' log."""

import json
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from kernel import clock


class PortLog:
    """A log that appends to ``orderflow.log``; each line has its request's id.

    If the file cannot be written, only the log lines are lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def log_exception(self, request_id: str, what: str, error: BaseException) -> None:
        """Log an exception with its traceback."""
        self._write(
            request_id,
            f"{what} failed",
            exception_name=type(error).__name__,
            exception="".join(traceback.format_exception(error)),
        )

    def log_function_error(self, request_id: str, what: str, error: Any) -> None:
        """Log the error of a function, such as its timeout."""
        self._write(request_id, f"{what} failed", error=error)

    def _write(self, request_id: str, message: str, **fields: Any) -> None:
        line = {
            "level": "ERROR",
            "message": message,
            "timestamp": clock.timestamp(clock.now()),
            "service": "port",
            "request_id": request_id,
            **fields,
        }
        with suppress(OSError), self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(line, default=repr) + "\n")
