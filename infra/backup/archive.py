"""The archive of a backup: a tar file of regular files, with a manifest of their digests last."""

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
from kernel import json_text

FORMAT, VERSION = "orderflow-backup", 1
ORDERS, SANDBOX, BUCKET, MANIFEST = "orderflow.db", "sandbox.db", "bucket/", "manifest.json"

_PIECE = 1 << 20
_NAME = re.compile(rf"{ORDERS}|{SANDBOX}|{MANIFEST}|{BUCKET}[^/\0]+(?:/[^/\0]+)*")
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, UnicodeDecodeError)


class Content:
    """The content of a file of an archive; reading it raises `BackupError` at damage."""

    def __init__(self, archive: Path, content: IO[bytes]) -> None:
        self._archive = archive
        self._content = content

    def read(self, size: int = -1) -> bytes:
        """Read on; raise `BackupError` where the archive is damaged."""
        with _damage(self._archive):
            return self._content.read(size)


class Entry(NamedTuple):
    """A file of an archive."""

    name: str
    size: int
    content: Content


class Writer:
    """An archive that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.files: dict[str, dict[str, object]] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file as it is at this moment."""
        with path.open("rb") as content:
            described = tarfile.TarInfo(name)
            described.size = os.fstat(content.fileno()).st_size
            described.mtime = int(os.fstat(content.fileno()).st_mtime)
            read = _Digested(content)
            self._tar.addfile(described, read)
        self.files[name] = {"bytes": described.size, "sha256": read.digest}

    def end(self, manifest: Mapping[str, object]) -> None:
        """Add the manifest, which makes the archive whole."""
        whole = {"format": FORMAT, "version": VERSION, **manifest}
        text = json_text.write({**whole, "files": self.files})
        described = tarfile.TarInfo(MANIFEST)
        described.size = len(text)
        self._tar.addfile(described, BytesIO(text))


class _Digested:
    """Content whose digest is known once it was read."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._digest = sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        piece = self._content.read(size)
        self._digest.update(piece)
        return piece

    @property
    def digest(self) -> str:
        """The digest of what was read, in hexadecimal digits."""
        return self._digest.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write an archive within a block, in place of a file of that name once it is checked.

    Raises
    ------
    BackupError
        It cannot be written, or reads otherwise than it was written.
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


def check(path: Path, called: Path | None = None) -> dict[str, Any]:
    """Read a whole archive, and return its manifest.

    Raises
    ------
    BackupError
        It is no such archive, of a newer version, half written, or damaged.
    """
    name, found, manifest = called or path, {}, None
    for entry in entries(path, called):
        if entry.name == MANIFEST:
            manifest = _manifest(entry.content.read(), name)
        else:
            found[entry.name] = {"bytes": entry.size, "sha256": _digest(entry.content)}
    if manifest is None:
        raise BackupError(f"{name} ends before its manifest: it was half written; take another")
    if found != manifest["files"]:
        wrong = sorted(
            one
            for one in found.keys() | manifest["files"]
            if found.get(one) != manifest["files"].get(one)
        )
        raise BackupError(f"{name} is damaged: its {wrong[0]} is not what was backed up")
    if ORDERS not in found:
        raise BackupError(f"{name} has no {ORDERS}: it is no backup of a data directory")
    return manifest


def entries(path: Path, called: Path | None = None) -> Iterator[Entry]:
    """Return the files of an archive one after the other, the manifest last.

    Raises
    ------
    BackupError
        It cannot be read, or has something that no backup has.
    """
    name = called or path
    with _damage(name), path.open("rb") as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None or not _is_ours(member.name):
                raise BackupError(f"{name} has {member.name!r}, which no backup has; take another")
            yield Entry(member.name, member.size, Content(name, content))


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
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
    for what, known in (("version", VERSION), ("schema", SCHEMA_VERSION)):
        if type(manifest.get(what)) is not int or not 1 <= manifest[what] <= known:
            raise BackupError(
                f"{name} was made by a newer Orderflow ({what} {manifest.get(what)}, this one knows"
                f" {known}); restore it with that one"
            )
    if not isinstance(manifest.get("files"), dict):
        raise BackupError(f"{name} is damaged: its manifest has no files")
    return manifest


def _digest(content: Content) -> str:
    digest = sha256()
    while piece := content.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _opened(file: IO[bytes], *, zipped: bool) -> tarfile.TarFile:
    if zipped:
        return tarfile.open(fileobj=file, mode="w:gz", compresslevel=6)
    return tarfile.open(fileobj=file, mode="w")
