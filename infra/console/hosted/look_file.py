"""The last look at a stack's dead letters as one file: gzip of a JSON object.

The file is of this version alone, and lives a day, so another form is no look rather than an error.
"""

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from infra.console.stack.sample import Look
from infra.views.dead_letter import Closing, DeadLetter, HistoryEntry
from kernel import json_text  # noqa: F401 - sets the recursion limit for the deepest dead letter

FORM = "orderflow look 1"

MAX_LETTERS = 1_000
"""Dead letters of a file: the newest; the others are counted."""

MAX_TEXT = 16 * 1024 * 1024
"""Bytes of the dead letters of a file before compression."""

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of a file."""

_NAMES = tuple(field.name for field in fields(DeadLetter))

_GZIP = 31
"""The window of zlib for a gzip file."""


class UnreadableLook(ValueError):
    """A file is no look of this version."""


def encode(look: Look) -> tuple[bytes, Look]:
    """Return the file of a look, and the look as the file has it: within the limits."""
    texts = [(letter, _text(letter)) for letter in look.letters]
    room = MAX_TEXT
    while True:
        kept = _fitting(texts, room)
        omitted = look.omitted + len(look.letters) - len(kept)
        head = json.dumps({"form": FORM, "at": look.at, "omitted": omitted})
        body = ",".join(text for _, text in kept)
        data = gzip.compress(f'{head[:-1]}, "letters": [{body}]}}'.encode(), 3, mtime=0)
        if len(data) <= MAX_BYTES:
            letters = [letter for letter, _ in kept]
            return data, replace(look, letters=letters, omitted=omitted)
        room //= 2


def _fitting(texts: list[tuple[DeadLetter, str | None]], room: int) -> list[tuple[DeadLetter, str]]:
    """Return the first dead letters whose texts have room; one without a text has none."""
    kept: list[tuple[DeadLetter, str]] = []
    for letter, text in texts:
        if len(kept) == MAX_LETTERS:
            break
        if text is not None and len(text) <= room:
            kept.append((letter, text))
            room -= len(text)
    return kept


def _text(letter: DeadLetter) -> str | None:
    """Return a dead letter as JSON in ASCII, which keeps every text exactly; None: impossible."""
    value = {name: getattr(letter, name) for name in _NAMES}  # asdict would copy the body
    if letter.closing is not None:
        value["closing"] = asdict(letter.closing)
    if letter.history is not None:
        value["history"] = [asdict(entry) for entry in letter.history]
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def decode(data: bytes) -> Look:
    """Return the look of a file.

    Raises
    ------
    UnreadableLook
        It is damaged, too large, or of another form.
    """
    try:
        look = _look(json.loads(_unpacked(data)))
        look.facts()  # the pages' own reading of the dead letters
    except UnreadableLook:
        raise
    except (zlib.error, LookupError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableLook(f"{type(error).__name__}: {error}") from None
    return look


def _unpacked(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise UnreadableLook(f"has more than {MAX_BYTES:,} bytes")
    inflating = zlib.decompressobj(_GZIP)
    most = MAX_TEXT + 1_000 + 2 * MAX_LETTERS  # the head, and the commas
    text = inflating.decompress(data, most)
    if not inflating.eof or inflating.unused_data:
        raise UnreadableLook("is no single gzip file, is cut, or has too long a text")
    return text


def _look(content: Any) -> Look:
    if not isinstance(content, dict) or content.get("form") != FORM:
        raise UnreadableLook(f"is not of the form {FORM!r}")
    at, omitted = _is(content["at"], int | float), _is(content["omitted"], int)
    return Look(float(at), [_letter(each) for each in _is(content["letters"], list)], omitted)


def _letter(value: Mapping[str, Any]) -> DeadLetter:
    letter = DeadLetter(**value)
    for text in (letter.queue, letter.since, letter.reason, *_is(letter.attributes, dict).values()):
        _is(text, str)
    _is(letter.id, int | str)
    for optional in (letter.order_id, letter.source):
        _is(optional, str | None)
    closing, history = letter.closing, letter.history
    return replace(
        letter,
        closing=None if closing is None else Closing(**_is(closing, dict)),
        history=None
        if history is None
        else [HistoryEntry(**_is(each, dict)) for each in _is(history, list)],
    )


def _is(value: Any, kind: Any) -> Any:
    """Return a value of a type, or raise `UnreadableLook`."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UnreadableLook(f"has a {type(value).__name__} in place of {kind}")
    return value
