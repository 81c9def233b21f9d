"""`orders backup` and `orders restore`: complete and verified, or refused without any effect."""

import gzip
import io
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from infra.audit.directory import audit
from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory, DataDirectoryError
from infra.local.directory.schema import VERSION
from tests.fakes.older import ahead, copied, select, template, unpacked
from tests.faults.scene import Scene
from tests.integration.deployed import run
from tests.integration.test_upgrade import alone, content, figures

__all__ = ["alone"]

COMMAND = Path(sys.executable).with_name("orders")


def answer(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exception is None, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout.splitlines()[-1])


def refusal(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, Refusal | DataDirectoryError), repr(result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """Unpack a directory with orders of every kind, messages, dead letters and analysts' files."""
    directory = unpacked("version-3-settled", tmp_path_factory.mktemp("settled"))
    directory.reader().close()
    return directory


@pytest.fixture
def source(settled: DataDirectory, tmp_path: Path) -> DataDirectory:
    return copied(settled, tmp_path / "source")


@pytest.fixture(scope="module")
def archived(settled: DataDirectory) -> Path:
    file = settled.root.parent / "orders.tar"
    answer("backup", file, "--data", settled.root)
    return file


@pytest.fixture
def file(archived: Path, tmp_path: Path) -> Path:
    """Copy the backup of the directory."""
    return Path(shutil.copy(archived, tmp_path))


def files(directory: DataDirectory) -> dict[str, str]:
    return {
        str(path.relative_to(directory.bucket)): sha256(path.read_bytes()).hexdigest()
        for path in directory.bucket.rglob("*")
        if path.is_file()
    }


def sound(directory: DataDirectory) -> None:
    findings = audit(directory, template()).findings
    assert [str(finding) for finding in findings.first] == []


# ---- round trip


@pytest.mark.parametrize("name", ["orders.tar", "orders.tar.gz", "orders.tgz"])
def test_a_restored_directory_equals_the_directory_that_was_backed_up(
    source: DataDirectory, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    result = answer("backup", file, "--data", source.root)
    assert result["figures"]["orders"] == 11
    assert result["bytes"] == file.stat().st_size
    goal = DataDirectory(tmp_path / "deep" / "goal")
    answer("restore", file, "--data", goal.root)
    assert figures(goal) == figures(source)
    assert files(goal) == files(source) != {}
    charges = "select key, order_id, status, amount from gateway_charges order by id"
    with (
        closing(sqlite3.connect(source.sandbox)) as here,
        closing(sqlite3.connect(goal.sandbox)) as there,
    ):
        assert there.execute(charges).fetchall() == here.execute(charges).fetchall() != []
    sound(goal)
    zipped = file.read_bytes()[:2] == b"\x1f\x8b"
    assert zipped == (name != "orders.tar")


def test_the_settings_are_restored(source: DataDirectory, tmp_path: Path) -> None:
    written = "MaxAttempts = 3  # ours\n"
    (source.root / "settings.toml").write_text(written)
    answer("backup", tmp_path / "b.tar.gz", "--data", source.root)
    answer("restore", tmp_path / "b.tar.gz", "--data", tmp_path / "new")
    assert (tmp_path / "new" / "settings.toml").read_text() == written


def test_orders_in_flight_continue_after_a_restore(tmp_path: Path) -> None:
    killed = unpacked("version-3-killed", tmp_path)
    file = tmp_path / "orders.tar"
    answer("backup", file, "--data", killed.root)
    goal = DataDirectory(tmp_path / "goal")
    answer("restore", file, "--data", goal.root)
    later = ahead(killed)
    ends = []
    for directory in (killed, goal):
        with Scene(directory.root).open(later=later) as machine:
            machine.settle()
        sound(directory)
        ends.append(select(directory, "select order_id, status from orders order by order_id"))
    assert ends[0] == ends[1]
    assert files(goal).keys() != set()


def test_a_backup_during_a_write_has_the_committed_rows_only(
    source: DataDirectory, tmp_path: Path
) -> None:
    file = tmp_path / "orders.tar"
    with source.writer() as writer:
        writer.connection.execute("insert into receipts values ('committed', 1, 0)")
        writer.connection.execute("begin immediate")
        writer.connection.execute("insert into receipts values ('not committed', 1, 0)")
        answer("backup", file, "--data", source.root)
        writer.connection.execute("rollback")
    goal = DataDirectory(tmp_path / "goal")
    answer("restore", file, "--data", goal.root)
    digests = {digest for (digest,) in select(goal, "select digest from receipts")}
    assert "committed" in digests
    assert "not committed" not in digests


def test_files_that_a_restore_delivers_again_are_excluded(
    source: DataDirectory, tmp_path: Path
) -> None:
    """A file of a later delivery would be counted twice after the restore."""
    [(waiting,)] = select(source, "select min(id) from deliveries")
    [(last,)] = select(source, "select seq from sqlite_sequence where name = 'deliveries'")
    folder = source.bucket / "order_events" / "dt=2026-11-28"
    names = {
        f"{waiting:012d}-{waiting:012d}.parquet": False,
        f"{waiting - 1:012d}-{waiting + 1:012d}.parquet": False,
        f"{last + 1:012d}-{last + 9:012d}.parquet": False,
        f"{last - 1:012d}-{last + 1:012d}.parquet": False,
        ".000000000001-000000000002.parquet": False,
        f"{1:012d}-{1:012d}.parquet": True,
        "report.html": True,
    }
    for name in names:
        (folder / name).write_bytes(b"new")
    file = tmp_path / "orders.tar"
    answer("backup", file, "--data", source.root)
    goal = DataDirectory(tmp_path / "goal")
    answer("restore", file, "--data", goal.root)
    restored = {path.name for path in (goal.bucket / "order_events" / "dt=2026-11-28").iterdir()}
    assert {name: name in restored for name in names} == names


def test_a_delivery_of_another_target_excludes_no_file(
    source: DataDirectory, tmp_path: Path
) -> None:
    with source.writer() as database:
        database.connection.execute("update deliveries set target = 'HighValueRule/HighValueQueue'")
    before = files(source)
    [(waiting,)] = select(source, "select min(id) from deliveries")
    name = f"{waiting:012d}-{waiting:012d}.parquet"
    (source.bucket / name).write_bytes(b"delivered")
    file = tmp_path / "orders.tar"
    answer("backup", file, "--data", source.root)
    answer("restore", file, "--data", tmp_path / "goal")
    assert files(DataDirectory(tmp_path / "goal")).keys() == {*before, name}


@pytest.mark.parametrize("name", ["version-1-settled", "version-3-settled"])
def test_a_directory_of_an_older_version_is_backed_up_and_restored_without_migration(
    name: str, tmp_path: Path
) -> None:
    """Users can back up before an upgrade and restore for the older version."""
    older = unpacked(name, tmp_path)
    before = content(older)
    file = tmp_path / "orders.tar"
    result = answer("backup", file, "--data", older.root)
    assert result["schema"] == before[0] < VERSION
    goal = DataDirectory(tmp_path / "goal")
    answer("restore", file, "--data", goal.root)
    assert content(older) == content(goal) == before
    sound(goal)
    assert select(goal, "pragma user_version") == [(VERSION,)]


# ---- refusals without effect


def archive(path: Path, members: dict[str, Any]) -> Path:
    """Write a tar file; a value may be a `TarInfo` that needs no content."""
    with tarfile.open(path, "w") as tar:
        for name, value in members.items():
            if isinstance(value, tarfile.TarInfo):
                tar.addfile(value)
                continue
            body = value.encode() if isinstance(value, str) else value
            described = tarfile.TarInfo(name)
            described.size = len(body)
            tar.addfile(described, io.BytesIO(body))
    return path


def members_of(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def with_manifest(path: Path, **changes: Any) -> Path:
    members = members_of(path)
    manifest = {**json.loads(members["manifest.json"]), **changes}
    return archive(path, {**members, "manifest.json": json.dumps(manifest)})


def linked(name: str, goal: str, kind: bytes) -> tarfile.TarInfo:
    described = tarfile.TarInfo(name)
    described.type, described.linkname = kind, goal
    return described


def nothing_at(root: Path) -> bool:
    """Return whether neither the directory nor a part of it exists."""
    return not root.exists() and not [path for path in root.parent.iterdir() if "goal" in path.name]


@pytest.mark.parametrize("zipped", [False, True])
def test_one_flipped_byte_anywhere_is_detected(file: Path, tmp_path: Path, *, zipped: bool) -> None:
    content = tar = file.read_bytes()
    if zipped:
        content = gzip.compress(tar, 1)
        file = file.with_suffix(".tar.gz")
    goal = tmp_path / "goal"
    for place in range(200, len(content) - 2048, max(1, len(content) // 20)):
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        file.write_bytes(damaged)
        result = run("restore", file, "--data", goal)
        if result.exception is None:  # padding of the tar, or another code of the same bytes
            assert gzip.decompress(damaged) == tar if zipped else content[place] == 0
            for path in sorted(goal.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            goal.rmdir()
            continue
        assert isinstance(result.exception, Refusal), repr(result.exception)
        assert nothing_at(goal)


def test_a_flipped_byte_between_two_files_of_a_gzip_is_detected(file: Path, tmp_path: Path) -> None:
    """The padding after a file of a tar is in no digest of the manifest, but in gzip's."""
    content = file.read_bytes()
    with tarfile.open(file) as tar:
        ends = [member.offset_data + member.size for member in tar if member.size % 512]
    stored = gzip.compress(content, 0)
    place = stored.index(content[ends[0] - 64 : ends[0] + 1]) + 64
    assert stored[place] == 0
    zipped = file.with_suffix(".tar.gz")
    zipped.write_bytes(stored[:place] + b"\1" + stored[place + 1 :])
    assert "damaged" in refusal("restore", zipped, "--data", tmp_path / "goal")
    assert nothing_at(tmp_path / "goal")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(file: Path, tmp_path: Path, share: float) -> None:
    content = file.read_bytes()
    manifest = content.rindex(b'"orderflow-backup"')
    file.write_bytes(content[: int(manifest * share)])
    refusal("restore", file, "--data", tmp_path / "goal")
    assert nothing_at(tmp_path / "goal")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.write_text("hello"), "is damaged, or no backup"),
        (lambda path: archive(path, {}), "ends before its manifest"),
        (lambda path: archive(path, {"notes.txt": "x"}), "'notes.txt', which no backup has"),
        (lambda path: archive(path, {"manifest.json": "{}"}), "is no backup of `orders backup`"),
        (lambda path: archive(path, {"manifest.json": "{"}), "is no backup of `orders backup`"),
        (
            lambda path: archive(path, {**members_of(path), "bucket/extra": "x"}),
            "its bucket/extra differs from the manifest",
        ),
        (
            lambda path: archive(
                path, {n: m for n, m in members_of(path).items() if n != "sandbox.db"}
            ),
            "its sandbox.db differs from the manifest",
        ),
        (lambda path: with_manifest(path, version=2), "made by a newer Orderflow (version 2"),
        (lambda path: with_manifest(path, schema=VERSION + 1), "made by a newer Orderflow (schema"),
        (lambda path: with_manifest(path, schema="4"), "made by a newer Orderflow (schema"),
        (lambda path: with_manifest(path, files=[]), "its manifest has no files"),
        (lambda path: with_manifest(path, files={}), "differs from the manifest"),
        (lambda path: archive(path, {"../goal/x": "x"}), "'../goal/x', which no backup has"),
        (lambda path: archive(path, {"/etc/x": "x"}), "which no backup has"),
        (lambda path: archive(path, {"bucket/../../goal/x": "x"}), "which no backup has"),
        (
            lambda path: archive(
                path, {"a": linked("orderflow.db", "/etc/passwd", tarfile.SYMTYPE)}
            ),
            "'orderflow.db', which no backup has",
        ),
        (
            lambda path: archive(path, {"a": linked("bucket/x", "/etc/passwd", tarfile.LNKTYPE)}),
            "which no backup has",
        ),
        (lambda path: path.unlink(), "cannot be read: No such file"),
    ],
)
def test_an_invalid_or_foreign_archive_is_refused(
    file: Path, tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    make(file)
    goal = tmp_path / "goal"
    assert problem in refusal("restore", file, "--data", goal)
    assert nothing_at(goal)


@pytest.mark.parametrize("name", ["orderflow.db", "bucket", "notes.txt", ".hidden"])
def test_a_directory_that_is_not_empty_is_left_unchanged(
    file: Path, tmp_path: Path, name: str
) -> None:
    goal = tmp_path / "goal"
    goal.mkdir()
    (goal / name).write_text("mine")
    message = refusal("restore", file, "--data", goal)
    assert f"has {name}; nothing was restored" in message
    assert [(path.name, path.read_text()) for path in goal.iterdir()] == [(name, "mine")]


def test_an_empty_directory_may_exist(file: Path, tmp_path: Path) -> None:
    (tmp_path / "goal").mkdir()
    answer("restore", file, "--data", tmp_path / "goal")
    sound(DataDirectory(tmp_path / "goal"))


def test_a_file_in_place_of_the_directory_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "goal").write_text("mine")
    assert "cannot be restored to" in refusal("restore", file, "--data", tmp_path / "goal")
    assert (tmp_path / "goal").read_text() == "mine"


# ---- backups that fail


def test_a_directory_without_orders_or_an_invalid_destination_is_refused(
    source: DataDirectory, tmp_path: Path
) -> None:
    file = tmp_path / "orders.tar"
    assert "has no orders yet" in refusal("backup", file, "--data", tmp_path / "none")
    inside = source.root / "bucket" / "orders.tar"
    assert "name a file outside of it" in refusal("backup", inside, "--data", source.root)
    nowhere = tmp_path / "nowhere" / "orders.tar"
    assert "cannot be written" in refusal("backup", nowhere, "--data", source.root)
    assert not file.exists()
    assert not nowhere.parent.exists()


def test_a_damaged_database_does_not_replace_a_good_backup(
    source: DataDirectory, file: Path
) -> None:
    before = file.read_bytes()
    content = bytearray(source.database.read_bytes())
    for place in range(20, 60):
        content[place * 4096 : place * 4096 + 60] = b"\xff" * 60
    source.database.write_bytes(content)
    refusal("backup", file, "--data", source.root)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if "orders" in path.name] == [file.name]


def test_a_full_disk_leaves_everything_unchanged(source: DataDirectory, file: Path) -> None:
    before, unchanged = file.read_bytes(), content(source)
    goal = file.parent / "goal"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    for arguments in (("backup", file, "--data", source.root), ("restore", file, "--data", goal)):
        done = subprocess.run(
            [COMMAND, *arguments],
            capture_output=True,
            preexec_fn=small,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        message = done.stderr.decode()
        assert done.returncode == 1
        assert len(message.splitlines()) == 1, message
    assert file.read_bytes() == before
    assert content(source) == unchanged
    assert [path.name for path in file.parent.iterdir() if "orders" in path.name] == [file.name]
    assert nothing_at(goal)
