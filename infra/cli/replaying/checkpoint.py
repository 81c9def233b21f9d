"""The checkpoint of a replay of files: its position, so that the same command continues.

A checkpoint belongs to a command: the digest of its files, its selection and its destination. It is
a file of the data directory, replaced atomically. An event that was sent after the last checkpoint
is sent again after a crash, and none is left out.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from infra.cli.errors import CommandError
from kernel.clock import timestamp

EVERY = 0.25
"""Seconds between two checkpoints: the longest time whose events are sent again after a crash."""

RUNNING, PAUSED, COMPLETED, CANCELLED = "RUNNING", "PAUSED", "COMPLETED", "CANCELLED"

KEPT = 200
"""Completed replays that are listed."""

FOLDER = "replays"
"""The folder of a data directory with the checkpoints."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A replay of files.

    ``offset`` counts the values of the source that were read and whose events were sent.
    ``process`` is the process that sends, ``before`` the figures before its first event, and
    ``suffix`` the end of new order ids. ``command`` is the command line.
    """

    key: str
    name: str
    source: str
    command: str = ""
    suffix: str = ""
    state: str = RUNNING
    offset: int = 0
    started: str = ""
    updated: str = ""
    interruptions: int = 0
    process: int = 0
    counts: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of a command by all that decides which events it sends, and where."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


class Checkpoints:
    """The checkpoints in a data directory."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def all(self) -> list[Checkpoint]:
        """Return all checkpoints, the oldest first."""
        files = self.folder.glob("*.json") if self.folder.is_dir() else ()
        found = [each for file in files if (each := _read(file)) is not None]
        return sorted(found, key=lambda each: (each.started, each.name))

    def named(self, name: str) -> Checkpoint | None:
        """Return the newest checkpoint of a replay's name, if there is one."""
        return next((each for each in reversed(self.all()) if each.name == name), None)

    def find(self, key: str) -> Checkpoint | None:
        """Return the checkpoint of a command, if there is one."""
        return _read(self._file(key))

    def save(self, checkpoint: Checkpoint) -> Checkpoint:
        """Write a checkpoint atomically; return it with the present time.

        Raises
        ------
        CommandError
            The data directory cannot be written.
        """
        saved = replace(checkpoint, updated=timestamp(time.time()))
        file = self._file(checkpoint.key)
        part = file.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(asdict(saved)))
            part.replace(file)
            if saved.state == COMPLETED:
                self._forget()
        except OSError as error:
            raise CommandError(
                f"{file} cannot be written: {error.strerror}; the checkpoint of a replay is there"
            ) from None
        return saved

    def _forget(self) -> None:
        """Delete the oldest completed replays."""
        completed = [each for each in self.all() if each.state == COMPLETED]
        for old in completed[:-KEPT]:
            self._file(old.key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"


class Keeper:
    """Saves the checkpoint of a running replay at most once per interval."""

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        checkpoint: Checkpoint,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.checkpoint = replace(checkpoint, process=os.getpid())
        self._checkpoints = checkpoints
        self._clock = clock
        self._next = 0.0

    def advance(self, offset: int, counts: Mapping[str, Any]) -> None:
        """Note that all events up to an offset were accepted, and their counts."""
        self.checkpoint = replace(self.checkpoint, offset=offset, counts=counts)
        if self._clock() >= self._next:
            self.save()

    def save(self, state: str = RUNNING) -> None:
        """Save the checkpoint now.

        Raises
        ------
        StopRequested
            Another command paused or cancelled the replay.
        """
        self.checkpoint = replace(self.checkpoint, state=state)
        if self._checkpoints is not None:
            stored = self._checkpoints.find(self.checkpoint.key)
            asked = stored.state if stored else RUNNING
            if state == RUNNING and asked in (CANCELLED, PAUSED) and self._next:
                self._checkpoints.save(replace(self.checkpoint, state=asked))
                raise StopRequested(asked)
            self._checkpoints.save(self.checkpoint)
        self._next = self._clock() + EVERY


class StopRequested(Exception):
    """Another command paused or cancelled this replay."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def is_alive(checkpoint: Checkpoint) -> bool:
    """Return whether the process that sends the events of a replay is running."""
    if checkpoint.state != RUNNING or not checkpoint.process:
        return False
    try:
        os.kill(checkpoint.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(file: Path) -> Checkpoint | None:
    """Return the checkpoint in a file; None if there is none, or if it cannot be read."""
    try:
        return Checkpoint(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
