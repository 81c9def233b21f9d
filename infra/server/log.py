"""Log failures in the port as lines of the functions' log."""

import traceback
from pathlib import Path
from typing import Any

from infra.local.directory.log_file import LogFile
from kernel import clock


class PortLog:
    """The port's lines in ``orderflow.log``; each has its request's id."""

    def __init__(self, path: Path) -> None:
        self._file = LogFile(path)

    def log_exception(
        self, request_id: str, what: str, error: BaseException, order_id: str | None = None
    ) -> None:
        """Log an exception with its traceback; ``order_id`` is that of the path, if it has one."""
        self._write(
            request_id,
            f"{what} failed",
            order_id=order_id,
            exception_name=type(error).__name__,
            exception="".join(traceback.format_exception(error)),
        )

    def log_function_error(
        self, request_id: str, what: str, error: Any, order_id: str | None = None
    ) -> None:
        """Log the error of a function, such as its timeout."""
        self._write(request_id, f"{what} failed", order_id=order_id, error=error)

    def _write(self, request_id: str, message: str, **fields: Any) -> None:
        self._file.write("ERROR", "port", message, clock.now(), request_id=request_id, **fields)
