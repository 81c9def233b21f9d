"""The JSON tokens of an event pattern.

EventBridge reads a pattern as a stream, so it reports the first error, in the JSON or in its
meaning. Invalid JSON is refused with the messages of Jackson, EventBridge's parser.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from kernel.json_text import MAX_DEPTH


class InvalidPattern(ValueError):
    """An event pattern that EventBridge refuses, with the first line of EventBridge's message."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Event pattern is not valid. Reason: {reason}")


class Token(NamedTuple):
    """A JSON token.

    Attributes
    ----------
    kind
        One of ``{ } [ ] name string number constant end``.
    text
        The source text; for a string or a name the unescaped text without quotes.
    """

    kind: str
    text: str


Tokens: TypeAlias = Iterator[Token]

_SPACE = re.compile(r"[ \t\r\n]*")
_CHARACTERS = re.compile(r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_STRING = re.compile(f'"{_CHARACTERS.pattern}"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def tokens_of(text: str) -> Tokens:
    """Yield the tokens of a JSON value, or the token "end" if the text is empty.

    Text after the value is not read. Reading raises InvalidPattern at the first invalid token.
    """
    return _Reader(text).value()


def take(tokens: Tokens, kind: str, otherwise: str) -> str:
    """Return the text of the next token, which must be of this kind.

    Raises
    ------
    InvalidPattern
        The token is of another kind; ``otherwise`` is the reason.
    """
    token = next(tokens)
    if token.kind != kind:
        raise InvalidPattern(otherwise)
    return token.text


def until(tokens: Tokens, closing: str) -> Tokens:
    """Return the tokens before this closing token, and consume the closing token."""
    return iter(tokens.__next__, Token(closing, closing))


class Recorder:
    """The tokens that a reader has consumed, and their JSON text."""

    def __init__(self, tokens: Tokens) -> None:
        self._source = tokens
        self._read: list[Token] = []

    def tokens(self) -> Tokens:
        """Yield the tokens, and record each."""
        for token in self._source:
            self._read.append(token)
            yield token

    def text(self) -> str:
        """Return the JSON text of the recorded tokens."""
        text, after_value = "", False
        for kind, plain in self._read:
            text += "," if after_value and kind not in "]}" else ""
            text += json.dumps(plain) if kind in {"string", "name"} else plain
            text += ":" if kind == "name" else ""
            after_value = kind not in {"{", "[", "name"}
        return text


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def value(self) -> Tokens:
        character = self._peek()
        if character == "":
            yield Token("end", "")
        elif character in "{[":
            yield from self._container(character)
        elif character == '"':
            yield Token("string", self._string(": was expecting closing quote for a string value"))
        elif number := self._read(_NUMBER):
            yield Token("number", number)
        elif word := self._read(_WORD):
            yield self._constant(word)
        else:
            raise self._unexpected(f"expected a valid value {_VALUES}")

    def _container(self, opening: str) -> Tokens:
        noun, closing = ("Object", "}") if opening == "{" else ("Array", "]")
        between = f" within/between {noun} entries"
        start = self._at
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidPattern(
                f"Document nesting depth ({self._depth}) exceeds the maximum allowed ({MAX_DEPTH})"
            )
        yield Token(opening, self._read_character())
        more = self._peek_inside(noun, start) != closing
        while more:
            if opening == "{":
                yield self._name(between)
            yield from self.value()
            more = self._peek_inside(noun, start) == ","
            if more:
                self._read_character()
                self._peek(between)
        following = self._peek()
        self._depth -= 1
        if following == closing:
            yield Token(closing, self._read_character())
        elif following in "]}":
            raise InvalidPattern(
                f"Unexpected close marker '{following}': expected '{closing}'"
                f" (for {noun} starting at {self._location(start)})"
            )
        else:
            raise self._unexpected(f"was expecting comma to separate {noun} entries")

    def _name(self, at_end: str) -> Token:
        if self._peek() != '"':
            raise self._unexpected("was expecting double-quote to start field name")
        name = Token("name", self._string(" in field name"))
        if self._peek(at_end) != ":":
            raise self._unexpected("was expecting a colon to separate field name and value")
        self._read_character()
        self._peek(at_end)
        return name

    def _string(self, at_end: str) -> str:
        literal = self._read(_STRING)
        if literal:
            return str(json.loads(literal))
        self._at += 1
        self._read(_CHARACTERS)
        match self._text[self._at : self._at + 2]:
            case "" | "\\":
                raise InvalidPattern(f"Unexpected end-of-input{at_end}")
            case following if following[0] == "\\":
                raise InvalidPattern(f"Unrecognized character escape {_described(following[1])}")
            case following:
                raise InvalidPattern(
                    f"Illegal unquoted character ({_described(following[0])}): has to be escaped"
                    " using backslash to be included in string value"
                )

    def _constant(self, word: str) -> Token:
        if word in {"NaN", "Infinity"}:
            allow = "enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
            raise InvalidPattern(f"Non-standard token '{word}': {allow}")
        if word not in {"true", "false", "null"}:
            raise InvalidPattern(f"Unrecognized token '{word}': was expecting {_VALUES}")
        return Token("constant", word)

    def _peek(self, at_end: str | None = None) -> str:
        self._read(_SPACE)
        if self._at == len(self._text) and at_end is not None:
            raise InvalidPattern(f"Unexpected end-of-input{at_end}")
        return self._text[self._at : self._at + 1]

    def _peek_inside(self, noun: str, start: int) -> str:
        following = self._peek()
        if following == "":
            raise InvalidPattern(
                f"Unexpected end-of-input: expected close marker for {noun}"
                f" (start marker at {self._location(start)})"
            )
        return following

    def _read(self, expression: re.Pattern[str]) -> str:
        match = expression.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _read_character(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _location(self, at: int) -> str:
        before = self._text[:at]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f'[Source: (String)"{self._text}"; line: {line}, column: {column}]'

    def _unexpected(self, expectation: str) -> InvalidPattern:
        character = _described(self._text[self._at])
        return InvalidPattern(f"Unexpected character ({character}): {expectation}")


def _described(character: str) -> str:
    code = ord(character)
    if code < ord(" "):
        return f"(CTRL-CHAR, code {code})"
    beyond_latin = f" / 0x{code:x}" if code > 0xFF else ""  # noqa: PLR2004
    return f"'{character}' (code {code}{beyond_latin})"
