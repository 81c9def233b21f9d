"""The functions' log, to which the engine, the port and the exporter write lines of their own."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from kernel.timestamps import timestamp


class LogFile:
    """A log of JSON lines. If the file cannot be written, only the lines are lost."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, level: str, service: str, message: str, at: float, **fields: Any) -> None:
        """Append a line; ``at`` is in epoch seconds."""
        line = {
            "level": level,
            "message": message,
            "timestamp": timestamp(at),
            "service": service,
            **{name: value for name, value in fields.items() if value is not None},
        }
        with suppress(OSError), self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(line, default=repr) + "\n")
