"""A stream of JSON values in text of any length, separated by lines, commas or nothing.

A stream has objects, with or without blanks or commas between them, lists of objects, and requests
of PutEvents (``{"Entries": […]}``, the form of the AWS CLI). Each is yielded as soon as it is
complete. So an event may have its own line, several lines, or share one line with all others (as
Amazon Data Firehose writes objects into a file).

A malformed value is a `Fault` with its line, and reading continues: at the next line if each line
has its own objects, or else where one object ends and the next begins.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from kernel.events import MAX_EVENT_BYTES
from kernel.json_text import MAX_DEPTH, InvalidJSON, is_too_deep, read

MAX_VALUE = 8 * MAX_EVENT_BYTES
"""Maximum characters of a value: an event fits even if JSON escapes every character."""

CUT_OFF = "is cut off in the middle of an event"
NO_EVENT = "is no event: an event is a JSON object with source, detail-type and detail"

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_TOO_LONG = f"has more than {MAX_VALUE:,} bytes, an event {MAX_EVENT_BYTES:,}"
_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_ID = r'"EndpointId"\s*:\s*(?:null|"[^"\\]*")\s*'
_REQUEST = re.compile(r"\{\s*(?:" + _ID + r',\s*)?"Entries"\s*:\s*\[', re.ASCII)
_REQUEST_END = re.compile(r"\s*(?:,\s*" + _ID + r")?\}", re.ASCII)
_AHEAD = 1_000
"""Characters that are enough to recognize a request."""

_RESUME = {
    (False, False): re.compile(r"(?=\{)"),
    (False, True): re.compile(r"\}[ \t\r\n]*(?=\{)"),
    (True, False): re.compile(r"\n|(?=\{)"),
    (True, True): re.compile(r"\n|\}[ \t\r]*(?=\{)"),
}
"""Where reading continues after a fault: by line or not, within an object or not."""

_TAIL = 16
"""An error this close to the end of the buffer, in characters, may be of an incomplete value."""

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)  # finds the end of a value


class Value(NamedTuple):
    """The text of a JSON value, and its first line."""

    number: int
    text: str


class Fault(NamedTuple):
    """A problem, and its line."""

    number: int
    problem: str


class _Buffer:
    """The part of a text that is read and not yet consumed, and the position in it."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self.text = ""
        self.at = 0
        self.number = 1
        self._chunks = chunks
        self._line_begins = 0

    def more(self) -> bool:
        """Read a chunk, and drop the consumed text; return false at the end."""
        chunk = next(self._chunks, "")
        if chunk:
            self.text = self.text[self.at :] + chunk
            self._line_begins -= self.at
            self.at = 0
        return bool(chunk)

    def ahead(self, size: int) -> None:
        """Read until so many characters are buffered, or the text ends."""
        while len(self.text) - self.at < size and self.more():
            pass

    def go(self, to: int) -> None:
        """Advance to a position, and count lines."""
        lines = self.text.count("\n", self.at, to)
        if lines:
            self.number += lines
            self._line_begins = self.text.rindex("\n", self.at, to) + 1
        self.at = to

    def skip_blanks(self) -> str:
        """Skip blanks; return the next character, or empty text at the end."""
        while True:
            self.go(_after_blanks(self.text, self.at))
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    @property
    def line_end(self) -> int:
        """The end of the current line, as far as it is buffered."""
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    @property
    def column(self) -> int:
        """The number of characters of the line before this position."""
        return self.at - self._line_begins


class JSONStream:
    """The values in chunks of text.

    Parameters
    ----------
    chunks
        Text; a byte that is not UTF-8 is a lone surrogate (``surrogateescape``).
    by_line
        Whether each line has its own objects, so that a malformed one ends with its line.
    """

    def __init__(self, chunks: Iterator[str], *, by_line: bool) -> None:
        self._buffer = _Buffer(chunks)
        self._by_line = by_line

    @property
    def number(self) -> int:
        """The line of the current position."""
        return self._buffer.number

    def __iter__(self) -> Iterator[Value | Fault]:
        """Yield values and faults in the order of the text."""
        buffer, before = self._buffer, ""
        while begins := buffer.skip_blanks():
            buffer.ahead(_AHEAD)
            request = _REQUEST.match(buffer.text, buffer.at)
            if (request or begins == "[") and self._by_line and isinstance(self._extent(), Fault):
                request, begins = None, "{"  # as a value, its fault is yielded and its line skipped
            if request:
                yield from self._list(request.end(), _REQUEST_END)
            elif begins == "[":
                yield from self._list(buffer.at + 1, None)
            elif begins == "{":
                yield self._value()
            elif begins == "," and before:
                buffer.go(buffer.at + 1)
                continue
            elif before == "[" and not self._by_line:
                yield self._fault("there is more after the list")
            else:
                yield self._fault("Expecting value")
            before = begins

    def _value(self) -> Value | Fault:
        """Return the value at this position, and advance to its end."""
        buffer = self._buffer
        end = self._extent()
        if isinstance(end, Fault):
            return self._resumed(end)
        value = Value(buffer.number, buffer.text[buffer.at : end])
        buffer.go(end)
        return value

    def _extent(self) -> int | Fault:
        """Return the end of the value at this position; read as far as needed."""
        buffer = self._buffer
        while True:
            try:
                _, end = _DECODER.raw_decode(buffer.text, buffer.at)
            except RecursionError:
                return Fault(buffer.number, _TOO_DEEP)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(buffer.text) - _TAIL or error.msg.startswith("Unterminated")
                if cut and len(buffer.text) - buffer.at <= MAX_VALUE and buffer.more():
                    continue
                if not cut or len(buffer.text) - buffer.at <= MAX_VALUE:
                    return self._described(error)
                end = len(buffer.text)
            if end - buffer.at > MAX_VALUE:
                return Fault(buffer.number, f"the {'line' * self._by_line or 'value'} {_TOO_LONG}")
            if end == len(buffer.text) and buffer.text[-1] not in '}]"' and buffer.more():
                continue  # a number may have more digits
            return end

    def _list(self, start: int, end: re.Pattern[str] | None) -> Iterator[Value | Fault]:
        """Yield the values of a list that starts here, and advance to its end.

        After a fault reading continues at the next line; if lines have no meaning, it ends.
        """
        buffer, number, elements = self._buffer, self._buffer.number, 0
        buffer.go(start)
        while (begins := buffer.skip_blanks()) != "]":
            if elements and begins == ",":
                buffer.go(buffer.at + 1)
                begins = buffer.skip_blanks()
            elif elements and begins:
                begins = "a list needs ',' or ']' here"
            element: Value | Fault
            if not begins:
                element = Fault(buffer.number, CUT_OFF)
            else:
                element = self._value() if len(begins) == 1 else self._fault(begins)
            yield element
            if isinstance(element, Fault):
                self._skip_rest()
                return
            elements += 1
        buffer.go(buffer.at + 1)
        if end is not None:
            buffer.ahead(_AHEAD)
            closed = end.match(buffer.text, buffer.at)
            if closed is None:
                yield self._fault("a request ends with '}' after its entries")
                self._skip_rest()
                return
            buffer.go(closed.end())
        elif self._by_line and not elements:
            yield Fault(number, NO_EVENT)

    # ---- faults

    def _fault(self, problem: str) -> Fault:
        """Return a fault at this position, and advance to where reading continues."""
        buffer = self._buffer
        error = json.JSONDecodeError(problem, buffer.text, buffer.at)
        return self._resumed(self._described(error), within=False)

    def _described(self, error: json.JSONDecodeError) -> Fault:
        """Return the fault of a decoding error."""
        buffer = self._buffer
        if is_too_deep(buffer.text[buffer.at : max(error.pos, buffer.line_end)]):
            return Fault(buffer.number, _TOO_DEEP)
        if not self._by_line:
            lines = buffer.text.count("\n", buffer.at, error.pos)
            return Fault(buffer.number + lines, malformed(error))
        if error.pos >= buffer.line_end:
            return Fault(buffer.number, CUT_OFF)
        try:
            line = buffer.text[buffer.at : buffer.line_end]
            read(line.encode(errors="surrogateescape"))
        except InvalidJSON as wrong:
            return Fault(buffer.number, explained(wrong, buffer.column))
        return Fault(buffer.number, NO_EVENT)

    def _resumed(self, fault: Fault, *, within: bool = True) -> Fault:
        """Advance past the malformed text, to the next line or object; return the fault.

        ``within`` an object, another one cannot begin before a closing brace.
        """
        buffer = self._buffer
        ends = _RESUME[self._by_line, within]
        while (match := ends.search(buffer.text, buffer.at)) is None:
            rest = buffer.text.rstrip(" \t\r\n")
            buffer.go(max(buffer.at, len(rest) - 1 if rest.endswith("}") else len(buffer.text)))
            if not buffer.more():
                buffer.go(len(buffer.text))
                return fault
        buffer.go(match.end())
        return fault

    def _skip_rest(self) -> None:
        """Advance to the end, unless reading continues at the next line."""
        buffer = self._buffer
        while not self._by_line:
            buffer.go(len(buffer.text))
            if not buffer.more():
                return


def malformed(error: json.JSONDecodeError, column: int = 0) -> str:
    """Return the problem in an error of the standard library or orjson.

    ``column`` is the number of characters of the line before the JSON.
    """
    character = error.doc[error.pos : error.pos + 1]
    if "UTF-8" in error.msg or "\udc80" <= character <= "\udcff":
        return "is not UTF-8 text; save it as UTF-8"
    cut = error.pos >= len(error.doc.rstrip())
    if cut or error.msg.startswith(("unexpected end", "Unterminated")):
        return CUT_OFF
    return f"is not JSON ({error.msg}, column {error.colno + column})"


def explained(error: InvalidJSON, column: int = 0) -> str:
    """Return the problem of JSON that `kernel.json_text` refused."""
    cause = error.__context__
    return malformed(cause, column) if isinstance(cause, json.JSONDecodeError) else str(error)


def member(text: str, name: str) -> str:
    """Return the text of an object's member, the last one of a repeated name.

    Parameters
    ----------
    text
        A valid JSON object.
    name
        The name of one of its members.
    """
    start, end = members(text).get(name, (0, 0))
    return text[start:end]


def members(text: str) -> dict[str, tuple[int, int]]:
    """Return the start and the end of each member's value in a valid JSON object."""
    found: dict[str, tuple[int, int]] = {}
    at = _after_blanks(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _after_blanks(text, _after_blanks(text, at) + 1)
        _, at = _DECODER.raw_decode(text, start)
        found[key] = (start, at)
        at = _after_blanks(text, at)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)
    return found


_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+', re.DOTALL)


def compact(text: str) -> str:
    """Return JSON text without blanks between its tokens."""
    return _BLANKS.sub(r"\1", text)


def _after_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
