"""Rotation of the functions' log by its size: ``orderflow.log``, ``orderflow.log.1``, and so on.

The engine renames the file. Every other process that has it open finds that at its next line, and
opens the new file (`infra.local.workers.execution_environment`), so that no line is lost.
"""

from contextlib import suppress
from pathlib import Path

EVERY = 10.0
"""Seconds between two looks at the size."""

MEGABYTE = 1_000_000


class LogRotation:
    """Rotates a log once it is larger than a limit.

    Parameters
    ----------
    path : Path
        The log.
    limit : int
        Bytes of a file that is rotated.
    files : int
        Older files that are kept; the oldest one is deleted.
    """

    def __init__(self, path: Path, limit: int, files: int) -> None:
        self._path = path
        self._limit = limit
        self._files = files
        self._look_at = 0.0
        self.patience = EVERY

    def observe(self, now: float, *, busy: bool) -> None:  # noqa: ARG002 - as other upkeep
        """Rotate the log if it is due; ``now`` is a monotonic time in seconds."""
        if now >= self._look_at:
            self._look_at = now + EVERY
            self.rotate()

    def rotate(self) -> None:
        """Rotate the log if it is too large; an error leaves it as it is."""
        with suppress(OSError):
            if self._path.stat().st_size <= self._limit:
                return
            for number in range(self._files, 1, -1):
                with suppress(FileNotFoundError):
                    numbered(self._path, number - 1).replace(numbered(self._path, number))
            if self._files:
                self._path.replace(numbered(self._path, 1))
            else:
                self._path.unlink()


def numbered(path: Path, number: int) -> Path:
    """Return the name of an older file of a log; 1 is the newest of them."""
    return path.with_name(f"{path.name}.{number}")


def files_of(path: Path) -> list[Path]:
    """Return the files of a log, the oldest first."""
    older = []
    for file in path.parent.glob(f"{path.name}.*"):
        number = file.name.removeprefix(f"{path.name}.")
        if number.isdigit():
            older.append((int(number), file))
    return [*(file for _, file in sorted(older, reverse=True)), *([path] if path.exists() else [])]
