"""JSON values one after another in text of any length: lines, lists, or nothing between them.

A stream has objects, with or without blanks or commas between them, lists of objects, and requests
of PutEvents (``{"Entries": […]}``, the form of the AWS CLI). Each is read as soon as it is whole.
So the same events are found whether each has a line, each has several, or all have one (as Amazon
Data Firehose writes objects into a file).

What is malformed is a `Fault` with its line, and reading goes on: at the next line where each line
has its own objects, or else where one object ends and the next begins.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from kernel.events import MAX_EVENT_BYTES
from kernel.json_text import MAX_DEPTH, InvalidJSON, is_too_deep, read

MAX_VALUE = 8 * MAX_EVENT_BYTES
"""Characters of a value: room for an event however JSON escapes it; a longer one holds none."""

CUT_OFF = "is cut off in the middle of an event"
NO_EVENT = "is no event: an event is a JSON object with source, detail-type and detail"

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_TOO_LONG = f"has more than {MAX_VALUE:,} bytes, an event {MAX_EVENT_BYTES:,}"
_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_ID = r'"EndpointId"\s*:\s*(?:null|"[^"\\]*")\s*'
_REQUEST = re.compile(r"\{\s*(?:" + _ID + r',\s*)?"Entries"\s*:\s*\[', re.ASCII)
_REQUEST_END = re.compile(r"\s*(?:,\s*" + _ID + r")?\}", re.ASCII)
_AHEAD = 1_000
"""Characters in which a request says that it is one."""

_RESUME = {
    (False, False): re.compile(r"(?=\{)"),
    (False, True): re.compile(r"\}[ \t\r\n]*(?=\{)"),
    (True, False): re.compile(r"\n|(?=\{)"),
    (True, True): re.compile(r"\n|\}[ \t\r]*(?=\{)"),
}
"""Where reading goes on after what is malformed: by line or not, within an object or not."""

_TAIL = 16
"""An error so near to the end of what is known, in characters, may be of a value that goes on."""

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)  # to find where a value ends


class Value(NamedTuple):
    """The text of a JSON value, and the line where it begins."""

    number: int
    text: str


class Fault(NamedTuple):
    """What is wrong, and the line where it is."""

    number: int
    problem: str


class _Known:
    """The part of a text that is read and not yet done with, and the place in it."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self.text = ""
        self.at = 0
        self.number = 1
        self._chunks = chunks
        self._line_begins = 0

    def more(self) -> bool:
        """Read a chunk, and forget what is behind; return false at the end."""
        chunk = next(self._chunks, "")
        if chunk:
            self.text = self.text[self.at :] + chunk
            self._line_begins -= self.at
            self.at = 0
        return bool(chunk)

    def ahead(self, size: int) -> None:
        """Read until so many characters are known, if there are."""
        while len(self.text) - self.at < size and self.more():
            pass

    def go(self, to: int) -> None:
        """Go forward, and count lines."""
        lines = self.text.count("\n", self.at, to)
        if lines:
            self.number += lines
            self._line_begins = self.text.rindex("\n", self.at, to) + 1
        self.at = to

    def skip_blanks(self) -> str:
        """Go to what is not blank; return its first character, or nothing at the end."""
        while True:
            self.go(_after_blanks(self.text, self.at))
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    @property
    def line_end(self) -> int:
        """The end of the line here, as far as it is known."""
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    @property
    def column(self) -> int:
        """How many characters of the line come before this place."""
        return self.at - self._line_begins


class JSONStream:
    """The values in chunks of text.

    Parameters
    ----------
    chunks
        Text; a byte that is not UTF-8 is a lone surrogate (``surrogateescape``).
    by_line
        Whether each line has objects of its own: a malformed one ends with its line then.
    """

    def __init__(self, chunks: Iterator[str], *, by_line: bool) -> None:
        self._known = _Known(chunks)
        self._by_line = by_line

    @property
    def number(self) -> int:
        """The line that reading has come to."""
        return self._known.number

    def __iter__(self) -> Iterator[Value | Fault]:
        """Yield each value, and each fault where it is."""
        known, before = self._known, ""
        while begins := known.skip_blanks():
            known.ahead(_AHEAD)
            request = _REQUEST.match(known.text, known.at)
            if (request or begins == "[") and self._by_line and isinstance(self._extent(), Fault):
                request, begins = None, "{"  # as a value it is named and its line passed over
            if request:
                yield from self._list(request.end(), _REQUEST_END)
            elif begins == "[":
                yield from self._list(known.at + 1, None)
            elif begins == "{":
                yield self._value()
            elif begins == "," and before:
                known.go(known.at + 1)
                continue
            elif before == "[" and not self._by_line:
                yield self._fault("there is more after the list")
            else:
                yield self._fault("Expecting value")
            before = begins

    def _value(self) -> Value | Fault:
        """Return the value that begins here, and go behind it."""
        known = self._known
        end = self._extent()
        if isinstance(end, Fault):
            return self._resumed(end)
        found = Value(known.number, known.text[known.at : end])
        known.go(end)
        return found

    def _extent(self) -> int | Fault:
        """Return where the value ends that begins here, once that is known."""
        known = self._known
        while True:
            try:
                _, end = _DECODER.raw_decode(known.text, known.at)
            except RecursionError:
                return Fault(known.number, _TOO_DEEP)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(known.text) - _TAIL or error.msg.startswith("Unterminated")
                if cut and len(known.text) - known.at <= MAX_VALUE and known.more():
                    continue
                if not cut or len(known.text) - known.at <= MAX_VALUE:
                    return self._described(error)
                end = len(known.text)
            if end - known.at > MAX_VALUE:
                return Fault(known.number, f"the {'line' * self._by_line or 'value'} {_TOO_LONG}")
            if end == len(known.text) and known.text[-1] not in '}]"' and known.more():
                continue  # digits may go on
            return end

    def _list(self, start: int, end: re.Pattern[str] | None) -> Iterator[Value | Fault]:
        """Yield the values of a list that starts here, and go behind its end.

        After a fault only lines say where reading goes on; without them it ends.
        """
        known, number, elements = self._known, self._known.number, 0
        known.go(start)
        while (begins := known.skip_blanks()) != "]":
            if elements and begins == ",":
                known.go(known.at + 1)
                begins = known.skip_blanks()
            elif elements and begins:
                begins = "a list needs ',' or ']' here"
            one: Value | Fault
            if not begins:
                one = Fault(known.number, CUT_OFF)
            else:
                one = self._value() if len(begins) == 1 else self._fault(begins)
            yield one
            if isinstance(one, Fault):
                self._pass_over()
                return
            elements += 1
        known.go(known.at + 1)
        if end is not None:
            known.ahead(_AHEAD)
            closed = end.match(known.text, known.at)
            if closed is None:
                yield self._fault("a request ends with '}' after its entries")
                self._pass_over()
                return
            known.go(closed.end())
        elif self._by_line and not elements:
            yield Fault(number, NO_EVENT)

    # ---- faults

    def _fault(self, problem: str) -> Fault:
        """Return a fault that is here, and go to where reading goes on."""
        known = self._known
        error = json.JSONDecodeError(problem, known.text, known.at)
        return self._resumed(self._described(error), within=False)

    def _described(self, error: json.JSONDecodeError) -> Fault:
        """Return what an error is, and the line where it is."""
        known = self._known
        if is_too_deep(known.text[known.at : max(error.pos, known.line_end)]):
            return Fault(known.number, _TOO_DEEP)
        if not self._by_line:
            lines = known.text.count("\n", known.at, error.pos)
            return Fault(known.number + lines, malformed(error))
        if error.pos >= known.line_end:
            return Fault(known.number, CUT_OFF)
        try:
            line = known.text[known.at : known.line_end]
            read(line.encode(errors="surrogateescape"))
        except InvalidJSON as wrong:
            return Fault(known.number, explained(wrong, known.column))
        return Fault(known.number, NO_EVENT)

    def _resumed(self, fault: Fault, *, within: bool = True) -> Fault:
        """Go behind what is malformed, to the next line or object; return the fault.

        ``within`` an object, another one does not begin before it may have ended.
        """
        known = self._known
        ends = _RESUME[self._by_line, within]
        while (found := ends.search(known.text, known.at)) is None:
            rest = known.text.rstrip(" \t\r\n")
            known.go(max(known.at, len(rest) - 1 if rest.endswith("}") else len(known.text)))
            if not known.more():
                known.go(len(known.text))
                return fault
        known.go(found.end())
        return fault

    def _pass_over(self) -> None:
        """Go to the end, unless lines say where reading goes on."""
        known = self._known
        while not self._by_line:
            known.go(len(known.text))
            if not known.more():
                return


def malformed(error: json.JSONDecodeError, column: int = 0) -> str:
    """Return what is wrong with JSON, as the standard library or orjson found it.

    ``column`` is how many characters of the line come before the JSON.
    """
    place = error.doc[error.pos : error.pos + 1]
    if "UTF-8" in error.msg or "\udc80" <= place <= "\udcff":
        return "is not UTF-8 text; save it as UTF-8"
    cut = error.pos >= len(error.doc.rstrip())
    if cut or error.msg.startswith(("unexpected end", "Unterminated")):
        return CUT_OFF
    return f"is not JSON ({error.msg}, column {error.colno + column})"


def explained(error: InvalidJSON, column: int = 0) -> str:
    """Return what is wrong with JSON that `kernel.json_text` refused."""
    cause = error.__context__
    return malformed(cause, column) if isinstance(cause, json.JSONDecodeError) else str(error)


def member(text: str, name: str) -> str:
    """Return the text of an object's member; of a name given twice, the last one.

    Parameters
    ----------
    text
        A JSON object that was read before.
    name
        The name of a member that it has.
    """
    found = ""
    at = _after_blanks(text, 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _after_blanks(text, _after_blanks(text, at) + 1)
        _, at = _DECODER.raw_decode(text, start)
        if key == name:
            found = text[start:at]
        at = _after_blanks(text, at)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)
    return found


_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+', re.DOTALL)


def compact(text: str) -> str:
    """Return JSON text without blanks between its parts, all else as it is."""
    return _BLANKS.sub(r"\1", text)


def _after_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
