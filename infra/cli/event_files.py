"""Events from files: JSON, JSON lines, folders of them, or standard input; gzipped or not.

An event has one of two forms: the envelope that a consumer receives (``source``,
``detail-type``, ``detail``, and perhaps ``time``), or the entry of a PutEvents request (``Source``,
``DetailType``, ``Detail`` as text or object, and perhaps ``Time``). `infra.cli.json_stream` splits
a file into values; `infra.cli.wrapped_events` finds the events in other documents.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.cli.json_stream import (
    MAX_VALUE,
    NO_EVENT,
    JSONStream,
    Value,
    compact,
    explained,
    member,
)
from infra.cli.text_source import STDIN, DamagedFile, TextSource, UnreadableFile
from infra.cli.wrapped_events import unwrap
from infra.contracts.folder import NO_EVENTS
from kernel.clock import timestamp
from kernel.errors import InvalidEvent, Problem
from kernel.events import MAX_EVENT_BYTES, Detail, Event, parse
from kernel.json_text import MAX_CARRIED, MAX_DEPTH, InvalidJSON, is_too_deep, read, write
from lambda_support.batches import entry_size

__all__ = [
    "MAX_LINE",
    "Line",
    "UnreadableFile",
    "event_files",
    "read_event",
    "read_events",
    "read_items",
    "read_value",
    "skipped_files",
    "to_put_entry",
]

_LINES = (".ndjson", ".jsonl")
SUFFIXES = (".json", *_LINES)
_GZIPPED = ".gz"

MAX_LINE = MAX_VALUE

_KEYS = {"source": "Source", "detail-type": "DetailType", "detail": "Detail"}
_SHAPE = bytes.maketrans(b"123456789E", b"000000000e")
_IMPRECISE = (b"0" * 16, b"e000", b"e+000", b"e-000")
"""Shapes of numbers beyond a double's precision: 15 digits, and an exponent of two digits."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a file, or its problem.

    ``number`` is its first line, ``text`` its JSON. Either ``envelope``, ``event`` and ``entry``
    (for PutEvents, without a bus) are set, or ``problem``, which starts with the first invalid
    ``field``, if there is one. ``problems`` are all problems of its fields.
    """

    path: str
    number: int
    envelope: dict[str, Any] | None = None
    event: Event[Detail] | None = None
    problem: str | None = None
    field: str | None = None
    entry: dict[str, Any] | None = None
    text: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def all_problems(self) -> list[str]:
        """Every problem as a sentence; empty for a valid event."""
        if self.problems:
            return [f"{field}: {problem}" for field, problem in self.problems]
        return [self.problem] if self.problem else []


def read_events(path: Path | str) -> Iterator[Line]:
    """Yield each event of a file, of a folder's files in the order of their names, or of ``-``.

    A malformed event is yielded as a problem, and reading continues. Events are read lazily, so a
    file of any length takes little memory.

    Raises
    ------
    UnreadableFile
        A file holds no events. It is raised by the call, before the first event.
    """
    if not Path(path).is_dir():
        return _read(TextSource(str(path)))
    files = _files(Path(path))
    for file in files:
        TextSource(file).close()
    return (line for file in files for line in _read(TextSource(file)))


def skipped_files(folder: Path) -> list[str]:
    """Return the files of a folder that `read_events` skips because of their names.

    Known files without events, such as schemas, are not among them.
    """
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not _is_named_as_events(path) and path.name not in NO_EVENTS
    )


def check_readable(path: Path | str) -> None:
    """Raise `UnreadableFile` if a file or folder holds no events; standard input is not read."""
    if Path(path).is_dir():
        read_events(path)
    elif str(path) != STDIN:
        TextSource(str(path)).close()


def to_put_entry(envelope: Mapping[str, Any], detail: str = "") -> dict[str, Any]:
    """Return the PutEvents entry of an envelope, without a bus.

    ``detail`` is the detail's text; if it is empty, the envelope's detail is serialized.
    """
    entry = {
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": detail or write(envelope["detail"]).decode(),
    }
    if envelope.get("time") is not None:
        entry["Time"] = envelope["time"]
    if envelope.get("resources"):
        entry["Resources"] = envelope["resources"]
    return entry


def read_event(path: str, number: int, text: str) -> Line:
    """Return the event in a JSON text, or its problem."""
    data = text.encode(errors="surrogateescape")
    value = _parsed(path, number, data)
    return value if isinstance(value, Line) else _line(path, number, value, text, data)


def read_value(path: str, number: int, text: str) -> list[Line]:
    """Return the events in a JSON text, which may be a document around them."""
    data = text.encode(errors="surrogateescape")
    value = _parsed(path, number, data)
    if isinstance(value, Line):
        return [value]
    inner = unwrap(value)
    if inner is None:
        return [_line(path, number, value, text, data)]
    return [read_event(path, number, each) for each in inner]


def _parsed(path: str, number: int, data: bytes) -> Any:
    """Return a JSON value, or the line with its problem."""
    try:
        return read(data, MAX_CARRIED)  # the envelope adds a level, and so do documents around it
    except InvalidJSON as error:
        return Line(path, number, problem=explained(error))


def _line(path: str, number: int, value: object, text: str, data: bytes) -> Line:
    if not isinstance(value, dict):
        return Line(path, number, problem=NO_EVENT)
    if is_too_deep(data, MAX_DEPTH + 1):
        return Line(path, number, problem=f"is nested deeper than {MAX_DEPTH} levels")
    try:
        envelope = _envelope(value)
        event = parse(envelope)
        entry = to_put_entry(envelope, _detail_text(value, text, data))
        _check_size(entry)
    except InvalidEvent as error:
        return Line(path, number, problem=str(error), field=error.field, problems=error.problems)
    return Line(path, number, envelope, event, entry=entry, text=text)


def _files(folder: Path) -> list[str]:
    files = sorted(
        str(path)
        for path in folder.rglob("*")
        if _is_named_as_events(path) and path.name not in NO_EVENTS and path.is_file()
    )
    if not files:
        names = f"{', '.join(SUFFIXES)}, or one of them with {_GZIPPED}"
        raise UnreadableFile(folder, f"holds no file of events ({names})")
    return files


def _is_named_as_events(path: Path) -> bool:
    return path.name.lower().removesuffix(_GZIPPED).endswith(SUFFIXES)


def event_files(path: Path | str) -> list[str]:
    """Return the files of a folder that have the names of event files, or the file itself."""
    return _files(Path(path)) if Path(path).is_dir() else [str(path)]


def _read(source: TextSource) -> Iterator[Line]:
    return (line for item in read_items(source) for line in item)


def read_items(source: TextSource, skip: int = 0) -> Iterator[list[Line]]:
    """Yield the events of each JSON value of a file; the first ``skip`` values are not parsed.

    A value without events, such as an order of an export, is an empty list.
    """
    named_as_lines = source.path.lower().removesuffix(_GZIPPED).endswith(_LINES)
    stream = JSONStream(source.chunks(), by_line=source.begins_with_a_line(named=named_as_lines))
    with source:
        try:
            for position, item in enumerate(stream):
                if position < skip:
                    yield []
                elif isinstance(item, Value):
                    yield read_value(source.path, item.number, item.text)
                else:
                    yield [Line(source.path, item.number, problem=item.problem)]
        except DamagedFile as error:
            yield [Line(source.path, stream.number, problem=str(error))]


def _envelope(value: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope of an event in either form."""
    is_entry = _is_entry(value)
    for key, name in _KEYS.items():
        if (name if is_entry else key) not in value:
            problem = NO_EVENT.partition(": ")[2]
            raise InvalidEvent(name if is_entry else key, f"is missing; {problem}")
    resources = "Resources" if is_entry else "resources"
    _check_resources(resources, value.get(resources))
    if not is_entry:
        _check_time("time", value.get("time"))
        return value
    envelope = {key: value[name] for key, name in _KEYS.items()}
    if isinstance(value["Detail"], str):
        try:
            envelope["detail"] = read(value["Detail"])
        except InvalidJSON as error:
            raise InvalidEvent("Detail", explained(error)) from None
    if value.get("Time") is not None:
        envelope["time"] = _check_time("Time", value["Time"])
    if value.get("Resources"):
        envelope["resources"] = value["Resources"]
    return envelope


def _is_entry(value: Mapping[str, Any]) -> bool:
    return "detail-type" not in value and any(key in value for key in _KEYS.values())


def _detail_text(value: Mapping[str, Any], text: str, data: bytes) -> str:
    """Return a detail's original text if serializing its value might change a number."""
    name = "Detail" if _is_entry(value) else "detail"
    detail = value[name]
    if isinstance(detail, str):
        return detail
    # a regular expression takes ten times as long
    shape = data.translate(_SHAPE, b".")
    return compact(member(text, name)) if any(part in shape for part in _IMPRECISE) else ""


def _check_time(field: str, moment: object) -> object:
    """Return a time as text; an entry may have epoch seconds."""
    try:
        if field == "Time" and isinstance(moment, int | float) and not isinstance(moment, bool):
            return timestamp(moment)
        if moment is not None:
            # TypeError for other types, OverflowError outside the years 1 to 9999 in UTC
            datetime.fromisoformat(moment).astimezone(UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        problem = f"{moment!r} is not an RFC 3339 time; send one such as 2026-01-31T12:00:00Z"
        raise InvalidEvent(field, problem) from None
    return moment


def _check_resources(field: str, resources: object) -> None:
    if resources and not (
        isinstance(resources, list) and all(isinstance(each, str) for each in resources)
    ):
        raise InvalidEvent(field, "is no list of texts; send a list of ARNs, or leave it out")


def _check_size(entry: Mapping[str, Any]) -> None:
    size = entry_size(entry)
    if size > MAX_EVENT_BYTES:
        raise InvalidEvent(
            "detail", f"the event has {size:,} bytes; the bus takes {MAX_EVENT_BYTES:,} at most"
        )
