"""Events from files: JSON, JSON lines, folders of them, or standard input.

An event comes in either of two forms: the envelope that a consumer gets (``source``,
``detail-type``, ``detail``, and perhaps ``time``), or the entry of a PutEvents request (``Source``,
``DetailType``, ``Detail`` as text or object, and perhaps ``Time``).
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import orjson

from infra.contracts.folder import NO_EVENTS
from infra.errors import Refusal
from shared import json_text
from shared.batches import entry_size
from shared.clock import timestamp
from shared.errors import InvalidEvent
from shared.events import MAX_EVENT_BYTES, Detail, Event, parse

SUFFIXES = (".json", ".ndjson", ".jsonl")
STDIN = "-"

MAX_LINE = 8 * MAX_EVENT_BYTES
"""Bytes of a line: room for an event however JSON escapes it; a longer one holds none."""

_LINES = (".ndjson", ".jsonl")
_CHUNK = 1 << 20
_SNIFFED = 4096
_SPACE = re.compile(r"[ \t\r\n]*")
_BOM = b"\xef\xbb\xbf"
_FORM = "an event is a JSON object with source, detail-type and detail"
_KEYS = {"source": "Source", "detail-type": "DetailType", "detail": "Detail"}


class UnreadableFile(Refusal, ValueError):
    """A file holds no events that could be read: it is missing, empty or binary."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = str(path)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a file, or what is wrong with it.

    ``number`` is the line where it begins. Either ``envelope`` and ``event`` are set, or
    ``problem`` is, which begins with the ``field`` if it lies in one.
    """

    path: str
    number: int
    envelope: dict[str, Any] | None = None
    event: Event[Detail] | None = None
    problem: str | None = None
    field: str | None = None


def read_events(path: Path | str) -> Iterator[Line]:
    """Yield each event of a file, of a folder's files in the order of their names, or of ``-``.

    What is malformed is yielded as a problem, and the rest goes on. Lines are read as they are
    asked for, so a file of any length takes little memory; a JSON list is read whole.

    Raises
    ------
    UnreadableFile
        At the call, before anything is yielded.
    """
    if not Path(path).is_dir():
        return _read(str(path), *_open(str(path)))
    files = _files(Path(path))
    for file in files:
        _open(file)[0].close()
    return (line for file in files for line in _read(file, *_open(file)))


def to_put_entry(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the PutEvents entry, without a bus, that sends what was read."""
    entry = {
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": json_text.write(envelope["detail"]).decode(),
    }
    if envelope.get("time") is not None:
        entry["Time"] = envelope["time"]
    if envelope.get("resources"):
        entry["Resources"] = envelope["resources"]
    return entry


def _files(folder: Path) -> list[str]:
    files = sorted(
        str(path)
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES and path.name not in NO_EVENTS and path.is_file()
    )
    if not files:
        raise UnreadableFile(folder, f"holds no file of events ({', '.join(SUFFIXES)})")
    return files


def _open(path: str) -> tuple[BufferedIOBase, bytes]:
    """Return a file, and its beginning as read already: its first line, unless that is too long."""
    stream: Any = sys.stdin.buffer
    try:
        if path != STDIN:
            stream = Path(path).open("rb")  # noqa: SIM115 - whoever reads the lines closes it
        head = b""
        while b"\n" not in head and len(head) <= MAX_LINE and (chunk := stream.read1(_CHUNK)):
            head += chunk
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        problem = "does not exist" if missing else f"cannot be read: {error.strerror}"
        raise UnreadableFile(path, problem) from None
    problem = ""
    if b"\0" in head[:_SNIFFED]:
        problem = "is binary, or text in UTF-16; events are JSON in UTF-8"
    elif not head.removeprefix(_BOM).strip():
        problem = "is empty; it should hold an event a line, or a JSON list"
    if problem:
        stream.close()
        raise UnreadableFile(path, problem)
    return stream, head.removeprefix(_BOM)


def _read(path: str, stream: BufferedIOBase, head: bytes) -> Iterator[Line]:
    with nullcontext() if path == STDIN else stream:
        if path.endswith(_LINES) or _is_lines(head):
            yield from _read_lines(path, _split(stream, head))
        else:
            yield from _read_document(path, head + stream.read())


def _is_lines(head: bytes) -> bool:
    """Say whether a file begins with a line that is an object of its own."""
    first, newline, _ = head.lstrip().partition(b"\n")
    if not first.startswith(b"{"):
        return False
    try:
        return not newline or isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False


def _split(stream: BufferedIOBase, rest: bytes) -> Iterator[bytes]:
    """Yield each line with its end; of a line that is too long, its beginning."""
    while True:
        *lines, rest = rest.split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > MAX_LINE:
            yield rest
            rest = _after_this_line(stream)
        chunk = stream.read1(_CHUNK)
        if not chunk:
            break
        rest += chunk
    if rest:
        yield rest


def _after_this_line(stream: BufferedIOBase) -> bytes:
    while chunk := stream.read1(_CHUNK):
        _, newline, rest = chunk.partition(b"\n")
        if newline:
            return rest
    return b""


def _read_lines(path: str, lines: Iterator[bytes]) -> Iterator[Line]:
    for number, text in enumerate(lines, 1):
        if len(text) > MAX_LINE:
            problem = f"the line has more than {MAX_LINE:,} bytes, an event {MAX_EVENT_BYTES:,}"
            yield Line(path, number, problem=problem)
        elif not text.isspace():
            yield _decoded(path, number, text)


def _read_document(path: str, data: bytes) -> Iterator[Line]:
    """Yield the events of a JSON list, or of objects one after the other."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        yield Line(path, number, problem="is not UTF-8 text; save it as UTF-8")
        return
    number, counted = 1, 0
    try:
        for start, end in _values(text):
            number, counted = number + text.count("\n", counted, start), start
            yield _decoded(path, number, text[start:end].encode())
    except json.JSONDecodeError as error:
        yield Line(path, error.lineno, problem=_malformed(error))
    except RecursionError:
        yield Line(path, number, problem=f"is nested too deeply; {_FORM}")


def _values(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each value begins and ends, or raise `json.JSONDecodeError`."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)  # only to find where a value ends
    at = _next(text, 0)
    listed = text.startswith("[", at)
    at = _next(text, at + listed)
    first = True
    while not (text.startswith("]", at) if listed else at == len(text)):
        if listed and not first:
            if not text.startswith(",", at):
                raise json.JSONDecodeError("a list needs ',' or ']' here", text, at)
            at = _next(text, at + 1)
        _, end = decoder.raw_decode(text, at)
        yield at, end
        at, first = _next(text, end), False
    if listed and _next(text, at + 1) < len(text):
        raise json.JSONDecodeError("there is more after the list", text, _next(text, at + 1))


def _next(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _decoded(path: str, number: int, text: bytes) -> Line:
    try:
        value = json_text.read(text, json_text.MAX_DEPTH + 1)  # the envelope is a level of its own
    except json_text.InvalidJSON as error:
        return Line(path, number, problem=_unread(error))
    if not isinstance(value, dict):
        return Line(path, number, problem=f"is no event: {_FORM}")
    try:
        envelope = _envelope(value)
        event = parse(envelope)
        _check_size(envelope)
    except InvalidEvent as error:
        return Line(path, number, problem=str(error), field=error.field)
    return Line(path, number, envelope, event)


def _unread(error: json_text.InvalidJSON) -> str:
    """Return what is wrong with text: it is no JSON, or beyond the limits."""
    return str(error) if error.error is None else _malformed(error.error)


def _malformed(error: json.JSONDecodeError) -> str:
    """Return what is wrong with JSON, as the standard library or orjson found it."""
    if "UTF-8" in error.msg:
        return "is not UTF-8 text; save it as UTF-8"
    if error.msg.startswith(("unexpected end", "Unterminated")) or error.pos >= len(
        error.doc.rstrip()
    ):
        return "is cut off in the middle of an event"
    return f"is not JSON ({error.msg}, column {error.colno})"


def _envelope(value: dict[str, Any]) -> dict[str, Any]:
    """Return an event's envelope, whichever form it came in."""
    is_entry = "detail-type" not in value and any(key in value for key in _KEYS.values())
    for key, name in _KEYS.items():
        if (name if is_entry else key) not in value:
            raise InvalidEvent(name if is_entry else key, f"is missing; {_FORM}")
    if not is_entry:
        _check_time("time", value.get("time"))
        return value
    envelope = {key: value[name] for key, name in _KEYS.items()}
    if isinstance(value["Detail"], str):
        try:
            envelope["detail"] = json_text.read(value["Detail"])
        except json_text.InvalidJSON as error:
            raise InvalidEvent("Detail", _unread(error)) from None
    if value.get("Time") is not None:
        envelope["time"] = _check_time("Time", value["Time"])
    if value.get("Resources"):
        envelope["resources"] = value["Resources"]
    return envelope


def _check_time(field: str, given: object) -> object:
    """Return a time as text; an entry may have it in seconds since 1970."""
    try:
        if field == "Time" and isinstance(given, int | float):
            return timestamp(given)
        if given is not None:
            datetime.fromisoformat(given)  # type: ignore[arg-type]  # no text: TypeError
    except (TypeError, ValueError, OverflowError):
        problem = f"{given!r} is not an RFC 3339 time; send one such as 2026-01-31T12:00:00Z"
        raise InvalidEvent(field, problem) from None
    return given


def _check_size(envelope: Mapping[str, Any]) -> None:
    size = entry_size(to_put_entry(envelope))
    if size > MAX_EVENT_BYTES:
        raise InvalidEvent(
            "detail", f"the event has {size:,} bytes; the bus takes {MAX_EVENT_BYTES:,} at most"
        )
