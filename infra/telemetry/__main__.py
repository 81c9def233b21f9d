"""The exporter's process: ``python -m infra.telemetry DIRECTORY URL``; ends with its input.

A process of its own takes no time from the engine, whose interpreter runs one thread at a time.
"""

import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from infra.local.directory.data_directory import DataDirectory
from infra.telemetry.exporter import Exporter
from infra.telemetry.otlp import Client
from infra.terminal.output import finish

NICENESS = 19
"""The engine and its workers come first."""


def main() -> None:
    """Export until the standard input ends, then print the outcome as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group
    os.nice(NICENESS)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(ended,), daemon=True).start()
    exporter = Exporter(DataDirectory(Path(sys.argv[1])), Client(sys.argv[2]), ended.wait)
    finish(asdict(exporter.run()), as_json=True)


def _watch(ended: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    ended.set()


if __name__ == "__main__":
    main()
