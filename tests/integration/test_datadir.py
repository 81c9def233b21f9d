"""The data directory: one writer, any number of readers, and errors in one line."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from infra.local.directory.data_directory import DataDirectory, DataDirectoryError
from infra.local.directory.schema import VERSION
from infra.local.orderflow import MAIL_QUEUE
from infra.local.platform import stack_of

HOLDER = """
import sys, time
from pathlib import Path
from infra.local.directory.data_directory import DataDirectory
sys.argv[1:] = ["serve", "--port"]
with DataDirectory(Path(FOLDER)).writer():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


@pytest.fixture
def holder(directory: DataDirectory) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Return a function that starts another writer process, which ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        script = HOLDER.replace("FOLDER", repr(str(directory.root)))
        started.append(subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == b"held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


# ---- one writer


def test_the_writer_creates_missing_files(directory: DataDirectory) -> None:
    with directory.writer() as database:
        row = database.row("pragma user_version")
        assert row is not None
        assert row[0] == VERSION
    assert directory.database.is_file()
    assert directory.bucket.is_dir()


def test_a_second_writer_is_refused_with_the_name_of_the_first(
    directory: DataDirectory, holder: Callable[[], Any]
) -> None:
    with directory.writer():
        pass  # who was here before is not who has it
    process = holder()
    with pytest.raises(DataDirectoryError) as refused, directory.writer():
        pass
    said = str(refused.value)
    assert said.count("process") == 1
    assert str(directory.root) in said
    assert f"process {process.pid} (serve --port)" in said
    assert "--data" in said


def test_a_second_writer_in_the_same_process_is_refused_too(directory: DataDirectory) -> None:
    with (
        directory.writer(),
        pytest.raises(DataDirectoryError, match="in use"),
        DataDirectory(directory.root).writer(),
    ):
        pass


def test_a_refused_writer_does_not_change_the_lock_file(
    directory: DataDirectory, holder: Callable[[], Any]
) -> None:
    process = holder()
    for _ in range(2):
        with pytest.raises(DataDirectoryError, match=f"process {process.pid}"), directory.writer():
            pass


def test_after_a_writer_another_may_write(directory: DataDirectory) -> None:
    for _ in range(2):
        with directory.writer() as database:
            assert database.row("select 1") is not None


def test_a_killed_writer_holds_no_lock(directory: DataDirectory, holder: Callable[[], Any]) -> None:
    process = holder()
    process.kill()
    process.wait()
    with directory.writer() as database:
        assert database.row("select 1") is not None


def test_an_error_of_the_writer_releases_the_lock(directory: DataDirectory) -> None:
    with pytest.raises(ZeroDivisionError), directory.writer():
        raise ZeroDivisionError
    with directory.writer():
        pass


# ---- readers


def test_a_reader_reads_the_committed_rows_of_a_running_writer(directory: DataDirectory) -> None:
    with directory.writer() as writer:
        writer.connection.execute("create table t (n integer)")
        reader = directory.reader()
        with writer.write() as connection:
            connection.execute("insert into t values (1)")
            assert reader.rows("select * from t") == []
        assert [row["n"] for row in reader.rows("select * from t")] == [1]
        reader.close()


def test_a_reader_changes_nothing(directory: DataDirectory) -> None:
    with directory.writer() as writer:
        writer.connection.execute("create table t (n integer)")
    reader = directory.reader()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.connection.execute("insert into t values (1)")
    reader.close()


def test_a_reader_of_an_empty_directory_is_refused_with_the_first_command(
    directory: DataDirectory,
) -> None:
    with pytest.raises(DataDirectoryError, match="no orders yet; run `orders run`"):
        directory.reader()
    assert not directory.root.exists()


# ---- unusable directories


def newer(directory: DataDirectory) -> None:
    """Make the directory one of a newer version."""
    with directory.writer() as database:
        database.connection.execute(f"pragma user_version = {VERSION + 1}")


def test_a_directory_of_a_newer_version_is_not_changed(directory: DataDirectory) -> None:
    newer(directory)
    for opened in (directory.writer, directory.reader):
        with pytest.raises(DataDirectoryError) as refused:
            _enter(opened())
        assert f"version {VERSION + 1}, this one knows {VERSION}" in str(refused.value)
    [[version]] = sqlite3.connect(directory.database).execute("pragma user_version").fetchall()
    assert version == VERSION + 1


def _enter(opened: Any) -> None:
    if hasattr(opened, "__enter__"):
        with opened:
            pass


@pytest.mark.parametrize("content", [b"not a database, but long enough to be none" * 40])
@pytest.mark.parametrize(
    "way",
    [
        "writer",
        pytest.param("reader"),
    ],
)
def test_a_file_other_than_a_database_is_named(
    directory: DataDirectory, content: bytes, way: str
) -> None:
    directory.root.mkdir()
    directory.database.write_bytes(content)
    with pytest.raises(DataDirectoryError, match=re.escape(str(directory.database))):
        _enter(getattr(directory, way)())
    assert directory.database.read_bytes() == content


@pytest.mark.parametrize("place", ["itself", "above"])
def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file")
    root = tmp_path / "file" if place == "itself" else tmp_path / "file" / "data"
    with pytest.raises(DataDirectoryError, match="not writable"), DataDirectory(root).writer():
        pass
    assert (tmp_path / "file").read_text() == "a file"


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Drop root's permissions from this process, if it is root."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(own)


def test_a_read_only_directory_is_refused_to_a_writer() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        directory = DataDirectory(Path(folder))
        with (
            as_unprivileged_user(),
            pytest.raises(DataDirectoryError, match=r"not writable \(Permission denied\)"),
            directory.writer(),
        ):
            pass
        Path(folder).chmod(0o755)


def test_a_read_only_directory_can_be_read() -> None:
    with TemporaryDirectory() as folder:
        directory = DataDirectory(Path(folder))
        with directory.writer() as writer:
            writer.connection.execute("create table t (n integer)")
        for path in (directory.root, *directory.root.iterdir()):
            path.chmod(0o555)
        with as_unprivileged_user():
            assert directory.reader().rows("select * from t") == []
        directory.root.chmod(0o755)


# ---- the address of a server


def test_a_server_is_found_by_the_address_it_wrote(
    directory: DataDirectory, holder: Callable[[], Any]
) -> None:
    assert directory.served_at() is None
    process = holder()
    directory.endpoint.write_text("http://127.0.0.1:1234\n")
    assert directory.served_at() == "http://127.0.0.1:1234"
    process.kill()
    process.wait()
    assert directory.served_at() is None, "an address that a killed server left is no server"


def test_a_search_for_a_server_does_not_block_a_writer(directory: DataDirectory) -> None:
    with directory.writer():
        directory.publish_endpoint("http://127.0.0.1:1234", None)
    assert directory.served_at() is None
    with directory.writer():
        directory.publish_endpoint("http://127.0.0.1:1234", None)
        assert directory.served_at() == "http://127.0.0.1:1234"


def test_the_next_writer_removes_the_address_of_a_killed_server(
    directory: DataDirectory,
) -> None:
    with directory.writer():
        directory.publish_endpoint("http://127.0.0.1:1234", None)
    with directory.writer():
        assert directory.served_at() is None


# ---- files in place of AWS's services


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("dynamodb://OrdersTable", "sqlite:///{}/orderflow.db"),
        ("dynamodb://SandboxTable", "sqlite:///{}/sandbox.db"),
        ("ses://orders@example.com", "sqlite:///{}/sandbox.db"),
        ("s3://Bucket/reports", "file://{}/bucket/reports"),
        ("athena://database/primary", "duckdb://{}/bucket"),
        ("plain", "plain"),
    ],
)
def test_a_functions_urls_become_files(directory: DataDirectory, value: str, place: str) -> None:
    assert directory.local_value("ANY_URL", value) == place.format(directory.root)


def test_functions_of_the_http_api_sync_each_commit(
    directory: DataDirectory,
) -> None:
    stack = stack_of(directory)
    stores = {name: one.variables.get("STORE_URL") for name, one in stack.functions.items()}
    plain = f"sqlite:///{directory.database}"
    assert stores["OrdersApiFunction"] == f"{plain}?synchronous=FULL"
    assert {url for name, url in stores.items() if name != "OrdersApiFunction"} == {plain}


def test_the_rate_of_ses_does_not_limit_the_mails_of_one_machine(directory: DataDirectory) -> None:
    batches = {one.queue: one.concurrency for one in stack_of(directory).consumers}
    assert batches[MAIL_QUEUE] == batches["OrderChangesQueue"] > 2


@pytest.mark.parametrize("name", ["quo'te [a] ha#sh? 1%20 ünï"])
def test_a_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    command = Path(sys.executable).with_name("orders")
    where = tmp_path / name
    done = subprocess.run(
        [command, "run", "--count", "9", "--data", where],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert list(where.glob("bucket/order_events/dt=*/*.parquet"))
    assert (where / "sandbox.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
