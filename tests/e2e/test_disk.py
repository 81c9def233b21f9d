"""No space, or nothing writable: one clear line, nothing acknowledged that is not there, no damage.

With space again, the same once more completes everything.
"""

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from infra.cli.generator import generate
from tests.e2e.audit import audit
from tests.e2e.small_disk import make_read_only, mount, remount, why_not
from tests.e2e.upstream import Entry, sent, stock_file, to_entries
from tests.fakes.serving import COMMAND, PATIENCE, Served, answer, orders
from tests.skipped import work_to_the_end

GENERATED = generate(120, 3)
RUN = ("run", "--count", GENERATED.count, "--seed", GENERATED.seed, "--data")
TOO_SMALL = 1_200
"""A disk size in kB that is too small for these orders."""

AMPLE = 100_000

Apart = Callable[..., Any]


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    reason = why_not(tmp_path_factory.mktemp("mount"))
    if reason:
        pytest.skip(f"no disk can be mounted here: {reason}")


def one_line(done: "CompletedProcess[str]") -> str:
    """Return the message of a failed command: one line without a traceback."""
    assert done.returncode == 1, done
    said = [line for line in done.stderr.splitlines() if not line.startswith("rejected ")]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("orders: ")
    return said[0]


# ---- full disk


@pytest.mark.usefixtures("mounts")
def test_a_run_on_a_full_disk_stops_and_the_same_run_with_space_completes_everything(
    apart: Apart, tmp_path: Path
) -> None:
    assert apart(run_on_a_full_disk, tmp_path) == []


def run_on_a_full_disk(folder: Path) -> list[str]:
    disk = folder / "disk"
    mount(disk, TOO_SMALL)
    assert "disk is full" in one_line(orders(*RUN, disk / "data"))
    remount(disk, f"size={AMPLE}k")
    assert answer(*RUN, disk / "data")["sink_error"] is None
    return audit(disk / "data", sent(GENERATED, invalid=False))


def test_a_run_with_a_file_size_limit_stops_and_completes_everything_without_it(
    tmp_path: Path,
) -> None:
    """A quota gives another system error than a full disk."""
    assert "disk I/O error" in one_line(limited(TOO_SMALL // 4, *RUN, tmp_path / "data"))
    assert answer(*RUN, tmp_path / "data")["sink_error"] is None
    assert audit(tmp_path / "data", sent(GENERATED, invalid=False)) == []


def limited(kilobytes: int, *arguments: object) -> "CompletedProcess[str]":
    """Run the command with a limit of the size of its files."""
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (kilobytes * 1024,) * 2)
    out, err = process.communicate(timeout=PATIENCE)
    return CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.usefixtures("mounts")
def test_a_server_on_a_full_disk_stops_and_keeps_all_acknowledged_events(
    apart: Apart, tmp_path: Path
) -> None:
    assert apart(serve_on_a_full_disk, tmp_path) == []


def serve_on_a_full_disk(folder: Path) -> list[str]:
    disk, stock = folder / "disk", stock_file(GENERATED, folder)
    mount(disk, TOO_SMALL)
    entries = list(to_entries(GENERATED))
    with Served(disk / "data", "--stock", str(stock)) as server:
        acknowledged = put(server, entries)
        assert len(acknowledged) < len(entries)
        assert server.process is not None
        assert server.process.wait(PATIENCE) == 1
        said = (disk / "serve.out").read_text()
        assert "disk is full" in said.splitlines()[-1]
        assert "Traceback" not in said
        remount(disk, f"size={AMPLE}k")
        server.start()
        acknowledged += put(server, entries[len(acknowledged) :])
        assert server.stop() == 0
    assert work_to_the_end(disk / "data")["in_flight"] == 0
    return audit(disk / "data", sent(GENERATED, acknowledged))


def put(server: Served, entries: list[Entry]) -> list[str]:
    """Put events until an answer is missing; return the acknowledged ids."""
    client, acknowledged = server.client("events"), list[str]()
    try:
        for first in range(0, len(entries), 10):
            told = client.put_events(Entries=entries[first : first + 10])
            acknowledged += [entry["EventId"] for entry in told["Entries"]]
    except (BotoCoreError, ClientError):
        pass  # not acknowledged
    return acknowledged


@pytest.mark.usefixtures("mounts")
def test_orders_continue_on_a_full_disk_of_the_sink_and_it_catches_up(
    apart: Apart, tmp_path: Path
) -> None:
    assert apart(run_with_a_full_sink, tmp_path) == []


def run_with_a_full_sink(folder: Path) -> list[str]:
    data, disk = folder / "data", folder / "disk"
    mount(disk, 16)
    data.mkdir()
    (data / "bucket").symlink_to(disk)
    assert "the analytics sink failed" in one_line(orders(*RUN, data))
    remount(disk, f"size={AMPLE}k")
    ran = answer("run", "--count", 0, "--data", data)
    assert (ran["completed"], ran["failed"], ran["sink_error"]) == (0, 0, None)
    return audit(data, sent(GENERATED, invalid=False))


def test_orders_continue_on_a_full_disk_of_the_log(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "orderflow.log").symlink_to("/dev/full")
    assert answer(*RUN, data)["sink_error"] is None
    assert audit(data, sent(GENERATED, invalid=False)) == []


# ---- read-only disk

WRITING = {
    "run": ["run", "--count", 5],
    "serve": ["serve", "--port", 0],
    "redrive": ["dead-letters", "redrive", "--all"],
}
READING = {
    "list": ["list"],
    "show": ["show", "G3-000001"],
    "dead letters": ["dead-letters", "list"],
    "query": ["query", "revenue_by_day"],
    "report": ["report"],
}


@pytest.fixture(scope="module")
def read_only(
    mounts: None, apart: Apart, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, "CompletedProcess[str]"]:
    """Return the result of each command in a read-only directory."""
    told: dict[str, CompletedProcess[str]] = apart(
        on_a_read_only_disk, tmp_path_factory.mktemp("read-only"), WRITING | READING
    )
    return told


def on_a_read_only_disk(folder: Path, commands: dict[str, list[object]]) -> dict[str, Any]:
    disk = folder / "disk"
    mount(disk, AMPLE)
    answer("run", "--count", 20, "--seed", GENERATED.seed, "--data", disk / "data")
    remount(disk, "ro")
    return {name: orders(*command, "--data", disk / "data") for name, command in commands.items()}


@pytest.mark.usefixtures("mounts")
def test_a_database_that_is_read_only_is_named(apart: Apart, tmp_path: Path) -> None:
    assert "orderflow.db cannot be written" in one_line(apart(with_a_read_only_database, tmp_path))


def with_a_read_only_database(folder: Path) -> "CompletedProcess[str]":
    disk = folder / "disk"
    mount(disk, AMPLE)
    answer("run", "--count", 0, "--data", disk / "data")
    make_read_only(disk / "data" / "orderflow.db")
    return orders("run", "--count", 5, "--data", disk / "data")


@pytest.mark.parametrize("name", WRITING)
def test_a_writing_command_reports_a_read_only_directory_in_one_line(
    read_only: dict[str, "CompletedProcess[str]"], name: str
) -> None:
    assert "Read-only file system" in one_line(read_only[name])


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_answers_or_reports_the_reason_in_one_line(
    read_only: dict[str, "CompletedProcess[str]"], name: str
) -> None:
    done = read_only[name]
    assert done.returncode == 0 or "read-only" in one_line(done).lower()
