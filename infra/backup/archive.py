"""The archive of a backup: a tar file of regular files that ends with a manifest of digests."""

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

from infra.errors import BackupError
from infra.local.directory.schema import VERSION as SCHEMA_VERSION
from infra.settings import reading
from kernel import json_text

FORMAT, VERSION = "orderflow-backup", 1
ORDERS, SANDBOX, BUCKET, MANIFEST = "orderflow.db", "sandbox.db", "bucket/", "manifest.json"
SETTINGS = reading.NAME

_CHUNK = 1 << 20
_NAME = re.compile(rf"{ORDERS}|{SANDBOX}|{SETTINGS}|{MANIFEST}|{BUCKET}[^/\0]+(?:/[^/\0]+)*")
_DAMAGE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError)


class Content:
    """The content of a file in an archive."""

    def __init__(self, archive: Path, content: IO[bytes]) -> None:
        self._archive = archive
        self._content = content

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; raise `BackupError` if the archive is damaged."""
        with _damage(self._archive):
            return self._content.read(size)


class Entry(NamedTuple):
    """A file in an archive."""

    name: str
    size: int
    content: Content


class Writer:
    """A writer of an archive."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.files: dict[str, dict[str, object]] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file with its present content."""
        with path.open("rb") as content:
            described = tarfile.TarInfo(name)
            described.size = os.fstat(content.fileno()).st_size
            described.mtime = int(os.fstat(content.fileno()).st_mtime)
            read = _Digested(content)
            self._tar.addfile(described, read)
        self.files[name] = {"bytes": described.size, "sha256": read.digest}

    def end(self, manifest: Mapping[str, object]) -> None:
        """Add the manifest, which completes the archive."""
        header = {"format": FORMAT, "version": VERSION}
        text = json_text.write({**header, **manifest, "files": self.files})
        described = tarfile.TarInfo(MANIFEST)
        described.size = len(text)
        self._tar.addfile(described, BytesIO(text))


class _Digested:
    """Content with a digest of the bytes read so far."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._digest = sha256()

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes and add them to the digest."""
        piece = self._content.read(size)
        self._digest.update(piece)
        return piece

    @property
    def digest(self) -> str:
        """The SHA-256 digest of the bytes read so far, in hexadecimal digits."""
        return self._digest.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write an archive within a block; at its end verify the archive and move it to ``path``.

    Raises
    ------
    BackupError
        The archive cannot be written, or its verification fails.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            with _opened(file, zipped=path.suffix in (".gz", ".tgz")) as tar:
                yield Writer(tar)
            file.flush()
            os.fsync(file.fileno())
        check(part, path)
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def check(path: Path, display_name: Path | None = None) -> dict[str, Any]:
    """Verify all files of an archive, and return its manifest.

    ``display_name`` replaces ``path`` in messages.

    Raises
    ------
    BackupError
        The file is no such archive, has a newer version, is incomplete or damaged.
    """
    name, files, manifest = display_name or path, {}, None
    for entry in entries(path, display_name):
        if entry.name == MANIFEST:
            manifest = _manifest(entry.content.read(), name)
        else:
            files[entry.name] = {"bytes": entry.size, "sha256": _digest(entry.content)}
    if manifest is None:
        raise BackupError(f"{name} ends before its manifest, so it is incomplete; take another")
    if files != manifest["files"]:
        wrong = sorted(
            file
            for file in files.keys() | manifest["files"]
            if files.get(file) != manifest["files"].get(file)
        )
        raise BackupError(f"{name} is damaged: its {wrong[0]} differs from the manifest")
    if ORDERS not in files:
        raise BackupError(f"{name} has no {ORDERS}: it is no backup of a data directory")
    return manifest


def entries(path: Path, display_name: Path | None = None) -> Iterator[Entry]:
    """Yield the files of an archive in order, the manifest last.

    Raises
    ------
    BackupError
        The archive cannot be read, or has a member that no backup has.
    """
    name = display_name or path
    with _damage(name), path.open("rb") as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None or not _is_ours(member.name):
                raise BackupError(f"{name} has {member.name!r}, which no backup has; take another")
            yield Entry(member.name, member.size, Content(name, content))
        while tar.fileobj.read(_CHUNK):
            pass  # gzip compares its checksum at the end of the file alone


def sync_folder(folder: Path) -> None:
    """Sync the directory entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _damage(name: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BackupError(f"{name} is damaged, or no backup ({error}); take another") from None
    except OSError as error:
        raise BackupError(f"{name} cannot be read: {error.strerror or error}") from None


def _is_ours(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not {".", ".."} & set(name.split("/"))


def _manifest(text: bytes, name: Path) -> dict[str, Any]:
    try:
        manifest = json_text.read(text)
    except json_text.InvalidJSON:
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BackupError(f"{name} is no backup of `orders backup`")
    for field, newest in (("version", VERSION), ("schema", SCHEMA_VERSION)):
        if type(manifest.get(field)) is not int or not 1 <= manifest[field] <= newest:
            raise BackupError(
                f"{name} was made by a newer Orderflow ({field} {manifest.get(field)}, this one"
                f" knows {newest}); restore it with that version"
            )
    if not isinstance(manifest.get("files"), dict):
        raise BackupError(f"{name} is damaged: its manifest has no files")
    return manifest


def _digest(content: Content) -> str:
    digest = sha256()
    while piece := content.read(_CHUNK):
        digest.update(piece)
    return digest.hexdigest()


def _opened(file: IO[bytes], *, zipped: bool) -> tarfile.TarFile:
    if zipped:
        return tarfile.open(fileobj=file, mode="w:gz", compresslevel=6)
    return tarfile.open(fileobj=file, mode="w")
