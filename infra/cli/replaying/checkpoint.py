"""The checkpoint of a replay of files: its position, so that the same command continues.

A checkpoint belongs to a command: the digest of its files, its selection and its destination. It is
a file of the data directory, replaced atomically. An event that was sent after the last checkpoint
is sent again after a crash, and none is left out.

The process that sends holds a lock, and writes the checkpoint alone; another command asks it to
stop by a file of its own.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from infra.cli.errors import CommandError
from kernel.clock import timestamp

EVERY = 0.25
"""Seconds between two checkpoints: the longest time whose events are sent again after a crash."""

RUNNING, PAUSED, COMPLETED, CANCELLED = "RUNNING", "PAUSED", "COMPLETED", "CANCELLED"
ENDED = (COMPLETED, CANCELLED)

KEPT = 200
"""Ended replays that are listed."""

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
        part = file.with_suffix(f".{os.getpid()}.part")
        with self._writable(file):
            part.write_text(json.dumps(asdict(saved)))
            part.replace(file)
            if saved.state in ENDED:
                self._forget()
        return saved

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold the lock of a command; the system releases that of a killed process.

        Raises
        ------
        CommandError
            Another process holds it, or the data directory cannot be written.
        """
        file = self._file(key, "lock")
        with self._writable(file):
            lock = file.open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(
                    "this replay is running in another process; see `orders replays list`"
                ) from None
            self._file(key, "asked").unlink(missing_ok=True)
            yield

    def is_running(self, key: str) -> bool:
        """Return whether a process sends the events of a command."""
        try:
            with self._file(key, "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # no process ever held it
        return False

    def ask(self, key: str, state: str) -> None:
        """Ask the process that holds the lock of a command to end in a state."""
        file = self._file(key, "asked")
        with self._writable(file):
            file.write_text(state)

    def asked(self, key: str) -> str | None:
        """Return the state in which the process of a command is to end, or None to continue."""
        with suppress(OSError):
            state = self._file(key, "asked").read_text()
            return state if state in (PAUSED, CANCELLED) else None
        return None

    def _forget(self) -> None:
        """Delete the oldest replays that have ended."""
        ended = [each for each in self.all() if each.state in ENDED]
        for old in ended[:-KEPT]:
            for kind in ("json", "asked", "lock"):
                self._file(old.key, kind).unlink(missing_ok=True)

    @contextmanager
    def _writable(self, file: Path) -> Iterator[None]:
        """Make the folder, and explain an error of the block, which writes a file."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise CommandError(
                f"{file} cannot be written: {error.strerror}; the checkpoint of a replay is there"
            ) from None

    def _file(self, key: str, kind: str = "json") -> Path:
        return self.folder / f"{key}.{kind}"


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
        if state == RUNNING:
            self.check()
        if self._checkpoints is not None:
            self._checkpoints.save(self.checkpoint)
        self._next = self._clock() + EVERY

    def check(self) -> None:
        """Raise `StopRequested` if another command paused or cancelled the replay."""
        if self._checkpoints is None:
            return
        asked = self._checkpoints.asked(self.checkpoint.key)
        if asked is not None:
            self._checkpoints.save(replace(self.checkpoint, state=asked))
            raise StopRequested(asked)


class StopRequested(Exception):
    """Another command paused or cancelled this replay."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


def _read(file: Path) -> Checkpoint | None:
    """Return the checkpoint in a file; None if there is none, or if it cannot be read."""
    try:
        return Checkpoint(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
