"""Text of a file or of standard input, gzipped or not, in chunks of bounded size."""

import json
import sys
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.errors import Refusal

STDIN = "-"

_CHUNK = 1 << 16
_LONGEST_HEAD = 1 << 21
_SNIFFED = 4096
_BOM = "\ufeff"
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""zlib's ``wbits`` for the gzip format (zlib manual, inflateInit2)."""

MAX_RATIO, ALWAYS_ACCEPTED = 200, 64_000_000
"""Maximum ratio of a gzipped file's unpacked size, and the bytes that are always accepted.

Lines of JSON have a ratio of about 50 at most, a file made to fill a disk one of 1,000.
"""

_NOT_EVENTS = "no file of events does: unpack it yourself if it is one"


class UnreadableFile(Refusal, ValueError):
    """A file has no readable events: it is missing, empty or binary."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = str(path)
        self.problem = problem


class DamagedFile(Exception):
    """A file cannot be read beyond this position."""


class TextSource:
    """A file's text; the constructor reads its beginning.

    Raises
    ------
    UnreadableFile
        The file does not exist, or has no text.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._damage: DamagedFile | None = None
        self._stream: Any = self._opened()
        try:
            self._chunks = _decoded(_unpacked(_raw(self._stream)))
            self._head = self._beginning()
        except (DamagedFile, OSError) as error:
            self.close()
            reason = getattr(error, "strerror", None)
            raise UnreadableFile(
                path, f"cannot be read: {reason}" if reason else str(error)
            ) from None
        except UnreadableFile:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, but not standard input."""
        if self.path != STDIN:
            self._stream.close()

    @property
    def position(self) -> int:
        """The number of bytes of the file that were read, packed if it is gzipped."""
        if self.path == STDIN or self._stream.closed:
            return 0
        place: int = self._stream.tell()
        return place

    def chunks(self) -> Iterator[str]:
        """Yield the text from its beginning; a byte that is not UTF-8 becomes a lone surrogate.

        Raises
        ------
        DamagedFile
            The file is cut off, or its unpacked size exceeds `MAX_RATIO`.
        """
        yield self._head
        if self._damage is not None:
            raise self._damage
        try:
            yield from self._chunks
        except OSError as error:
            raise DamagedFile(f"cannot be read further: {error.strerror}") from None

    def begins_with_a_line(self, *, named: bool) -> bool:
        """Return whether each line has whole events, by the first line or the file's name."""
        first = self._head.lstrip().partition("\n")[0]
        with suppress(ValueError, RecursionError):
            json.JSONDecoder(parse_int=str).raw_decode(first)
            return first.startswith("{") or named
        return named and not first.startswith("[")

    def _opened(self) -> Any:
        if self.path == STDIN:
            return sys.stdin.buffer
        try:
            return Path(self.path).open("rb")
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            problem = "does not exist" if missing else f"cannot be read: {error.strerror}"
            raise UnreadableFile(self.path, problem) from None

    def _beginning(self) -> str:
        """Return the first line with text, up to a maximum length."""
        head = ""
        while "\n" not in head.lstrip() and len(head) <= _LONGEST_HEAD:
            try:
                chunk = next(self._chunks, "")
            except DamagedFile as error:
                if not head.strip():
                    raise
                self._damage = error
                break
            if not chunk:
                break
            head += chunk
        head = head.removeprefix(_BOM)
        if "\0" in head[:_SNIFFED]:
            problem = "is binary, or text in UTF-16; events are JSON in UTF-8"
            raise UnreadableFile(self.path, problem)
        if not head.strip():
            raise UnreadableFile(
                self.path, "is empty; it should have one event per line, or a JSON list"
            )
        return head


def _raw(stream: Any) -> Iterator[bytes]:
    while chunk := stream.read1(_CHUNK):
        yield chunk


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the bytes of chunks, unpacked if they are gzipped."""
    first = b""
    while len(first) < len(_GZIP) and (chunk := next(chunks, b"")):
        first += chunk
    if first.startswith(_GZIP):
        yield from _members(chain([first], chunks))
    elif first:
        yield first
        yield from chunks


def _members(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of all gzip members (RFC 1952, section 2.2)."""
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    packed = unpacked = 0
    for chunk in chunks:
        packed += len(chunk)
        waiting, full = chunk, True
        while waiting or full:
            if inflater.eof:
                inflater = zlib.decompressobj(_GZIP_WINDOW)
            try:
                data = inflater.decompress(waiting, _CHUNK)
            except zlib.error as error:
                raise DamagedFile(f"is damaged: gzip cannot unpack it ({error})") from None
            unpacked += len(data)
            if unpacked > ALWAYS_ACCEPTED + MAX_RATIO * packed:
                raise DamagedFile(f"unpacks to more than {MAX_RATIO} times its size; {_NOT_EVENTS}")
            if data:
                yield data
            full = len(data) == _CHUNK and not inflater.eof
            waiting = inflater.unconsumed_tail
            if inflater.eof:  # another member, or the zeros that pad a tape's block
                waiting = inflater.unused_data.lstrip(b"\0")
    if not inflater.eof:
        raise DamagedFile("is cut off: gzip expects more data")


def _decoded(chunks: Iterator[bytes]) -> Iterator[str]:
    decoder = getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        text = decoder.decode(chunk)
        if text:
            yield text
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
