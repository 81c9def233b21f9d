"""Every refusal comes before the first effect: no directory is made, and none is changed."""

import json
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.schema import VERSION
from infra.local.platform import platform
from tests.host import order

Tree = dict[str, bytes | None]


class Refused(NamedTuple):
    """How a refused command ended, and what it changed."""

    code: int
    said: str
    made: list[str]
    changed: list[str]


# ---- commands, by name: their arguments, and what they say


def commands(folder: Path, port: int) -> dict[str, tuple[list[object], str]]:
    """Return commands that are refused, without their ``--data``."""
    files = folder / "files"
    good, bad, broken = files / "good.ndjson", files / "bad.ndjson", files / "broken.csv"
    missing = files / "missing"
    return {
        "serve, port taken": (["serve", "--port", port], f"port {port} cannot be used"),
        "serve, not loopback": (["serve", "--host", "192.0.2.1"], "is not a loopback address"),
        "serve, no address": (["serve", "--host", "no such host"], "is not a loopback address"),
        "serve, stock broken": (["serve", "--port", 0, "--stock", broken], "'many' is not a"),
        "serve, stock missing": (["serve", "--port", 0, "--stock", missing], "cannot be read"),
        "serve, wrong port": (["serve", "--port", 99_999], "65535"),
        "run, file missing": (["run", "--from", missing], "does not exist"),
        "run, stock broken": (["run", "--count", 1, "--stock", broken], "'many' is not a"),
        "run, stock broken, events": (["run", "--from", good, "--stock", broken], "'many'"),
        "run, wrong workers": (["run", "--count", 1, "--workers", 65], "64"),
        "run, two sources": (["run", "--count", 1, "--from", good], "exclude each other"),
        "run, unknown option": (["run", "--nonsense"], "No such option"),
        "emit, file missing": (["emit", missing], "does not exist"),
        "emit, a second file missing": (["emit", good, missing], "does not exist"),
        "emit, a second folder empty": (["emit", good, files / "empty"], "holds no file"),
        "emit, a second file binary": (["emit", good, files / "binary.json"], "is binary"),
        "emit, nothing valid": (["emit", bad], "1 event was rejected"),
        "replay, file missing": (["replay", good, missing], "does not exist"),
        "replay, nothing valid": (["replay", bad], "1 event was rejected"),
        "replay, no pattern": (["replay", good, "--filter", "{"], "--filter"),
        "replay, elsewhere": (["replay", good, "--region", "eu-west-1"], "say --yes"),
        "import, file missing": (["import", missing], "missing"),
        "import, damaged": (["import", files / "damaged.ndjson"], "damaged.ndjson"),
        "import, cut off": (["import", files / "cut.ndjson"], "cut.ndjson"),
        "import, of something else": (["import", good], "good.ndjson"),
        "stock, broken": (["stock", "receive", broken], "'many' is not a"),
        "dead letters, no id": (["dead-letters", "redrive"], "name dead letters"),
    }


NAMES = [*commands(Path(), 1)]

NOTHING_THERE: dict[str, list[object]] = {
    "export": ["export", "FOLDER/exported.ndjson"],
    "redrive": ["dead-letters", "redrive", "--all"],
    "list": ["list"],
    "show": ["show", "T-1"],
    "mail": ["show", "T-1", "--mail", "FOLDER/mail.eml"],
}
"""Commands that need a directory with orders."""


def make_files(files: Path) -> None:
    """Write the files that the commands are given."""
    (files / "empty").mkdir(parents=True)
    (files / "good.ndjson").write_text(json.dumps(order("T-1")) + "\n")
    (files / "bad.ndjson").write_text(json.dumps(order("T-1", total=1)) + "\n")
    (files / "binary.json").write_bytes(b"\0\1\2" * 50)
    (files / "broken.csv").write_text("sku,on_hand\nTEA,many\n")


def place(data: Path) -> None:
    """Put an order into a directory, as `orders emit` does."""
    with platform(DataDirectory(data), clock=Clock(), workers=0) as engine:
        engine.accept_only = True
        one = order("T-0")
        entry = {"EventBusName": "orders-bus", "Source": one["source"]}
        entry |= {"DetailType": one["detail-type"], "Detail": json.dumps(one["detail"])}
        engine.call(lambda now: engine.put_events([entry], now))
        engine.turn(0)


def export(data: Path, files: Path) -> None:
    """Export a directory, and damage two copies of that."""
    run("export", files / "export.ndjson", data=data)
    whole = (files / "export.ndjson").read_text()
    kept = [one for one in whole.splitlines(keepends=True) if '"envelope"' not in one]
    assert len(kept) < whole.count("\n")
    (files / "damaged.ndjson").write_text("".join(kept))
    (files / "cut.ndjson").write_text(whole[: len(whole) // 2])


def run(*arguments: object, data: Path) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it says."""
    given = [*map(str, arguments), "--data", str(data)]
    result = CliRunner().invoke(app, given, env={"COLUMNS": "200", "TERM": "dumb"})
    said = "" if isinstance(result.exception, SystemExit) else str(result.exception or "")
    return result.exit_code, f"{result.output} {said}"


def tree(folder: Path) -> Tree:
    """Return a folder's files, databases as text: what is in them counts, not their pages."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.endswith(("-wal", "-shm", ".lock")):
            continue
        content = None if path.is_dir() else path.read_bytes()
        if content and content.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                content = "\n".join(database.iterdump()).encode()
        found[name] = content
    return found


def attempt(folder: Path, arguments: Sequence[object], data: Path) -> Refused:
    """Run a command; return what of a folder it changed."""
    before = tree(folder)
    code, said = run(*arguments, data=data)
    after = tree(folder)
    made = [path for path in after if path not in before]
    return Refused(code, said, made, [path for path in before if after.get(path) != before[path]])


def refuse_all(folder: Path) -> dict[str, Refused]:
    """Run every command on a new directory and on one with an order."""
    make_files(folder / "files")
    there = folder / "there"
    place(there)
    export(there, folder / "files")
    told = {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for name, (arguments, _) in commands(folder, taken.getsockname()[1]).items():
            for data in (folder / "new", there):
                told[f"{name}, {data.name}"] = attempt(folder, arguments, data)
    for name, command in NOTHING_THERE.items():
        given: list[object] = [str(one).replace("FOLDER", str(folder)) for one in command]
        told[name] = attempt(folder, given, folder / "new")
    return told


@pytest.fixture(scope="module")
def refused(
    apart: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Refused]:
    told: dict[str, Refused] = apart(refuse_all, tmp_path_factory.mktemp("refused"))
    return told


@pytest.mark.parametrize("data", ["new", "there"])
@pytest.mark.parametrize("name", NAMES)
def test_a_refused_command_changes_nothing(
    refused: dict[str, Refused], name: str, data: str
) -> None:
    one = refused[f"{name}, {data}"]
    _, said = commands(Path(), 1)[name]
    assert one.code != 0
    assert said.replace("port 1 ", "") in one.said
    assert (one.made, one.changed) == ([], [])


@pytest.mark.parametrize("name", NOTHING_THERE)
def test_a_refused_command_creates_no_directory(refused: dict[str, Refused], name: str) -> None:
    assert refused[name].code != 0
    assert "no orders yet" in refused[name].said
    assert refused[name].made == []


# ---- directories that cannot be used


def log_is_a_folder(data: Path) -> None:
    (data / "orderflow.log").mkdir(parents=True)


def partners_are_a_folder(data: Path) -> None:
    (data / "sandbox.db").mkdir(parents=True)


def lock_is_a_folder(data: Path) -> None:
    (data / "orderflow.db.lock").mkdir(parents=True)


def endpoint_is_a_folder(data: Path) -> None:
    (data / "endpoint").mkdir(parents=True)


def database_is_none(data: Path) -> None:
    data.mkdir()
    (data / "orderflow.db").write_text("no database" * 100)


def is_newer(data: Path) -> None:
    data.mkdir()
    with closing(sqlite3.connect(data / "orderflow.db")) as database:
        database.execute(f"pragma user_version = {VERSION + 1}")


UNUSABLE = {
    "orderflow.log": log_is_a_folder,
    "sandbox.db": partners_are_a_folder,
    "orderflow.db": database_is_none,
    "endpoint": endpoint_is_a_folder,
    "newer Orderflow": is_newer,
}
WRITING: list[list[object]] = [
    ["run", "--count", 1],
    ["run", "--count", 1, "--workers", 0],
    ["serve", "--port", 0],
    ["emit", "FILES/good.ndjson"],
    ["doctor"],
]


def try_unusable(folder: Path) -> dict[str, Refused]:
    """Run every command that writes on every directory that cannot be used."""
    make_files(folder / "files")
    told = {}
    for number, (name, make) in enumerate(UNUSABLE.items()):
        data = folder / f"data{number}"
        make(data)
        for command in WRITING:
            given = [str(one).replace("FILES", str(folder / "files")) for one in command]
            told[f"{name}, {' '.join(map(str, command))}"] = attempt(data, given, data)
    return told


@pytest.fixture(scope="module")
def unusable(
    apart: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Refused]:
    told: dict[str, Refused] = apart(try_unusable, tmp_path_factory.mktemp("unusable"))
    return told


@pytest.mark.parametrize("command", [" ".join(map(str, one)) for one in WRITING])
@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_directory_is_reported_and_not_changed(
    unusable: dict[str, Refused], name: str, command: str
) -> None:
    one = unusable[f"{name}, {command}"]
    assert one.code == 1
    assert name in " ".join(one.said.split())
    assert "Traceback" not in one.said
    assert (one.made, one.changed) == ([], [])
