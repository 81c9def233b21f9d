"""An item that ends the process twice is quarantined, so the platform always starts."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local.directory.crash_marker import Item, Kind, MarkerFile
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.journal import Journal
from infra.local.engine.crash_suspects import Suspects
from storage.sqlite.database import Database
from tests.fakes.poisoned_process import PLACES, STATUS

ENDS = 8
"""Maximum ends of the process: one order may have several poisoned items."""


def run(folder: Path, place: str) -> subprocess.CompletedProcess[str]:
    """Let a process work in a folder, to its end."""
    command = [sys.executable, "-m", "tests.fakes.poisoned_process", str(folder), place]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def signs(database: Database, bucket: Path) -> list[str]:
    """Return the traces of the poisoned order: dead letters, failed executions, sink errors."""
    letters = "select * from messages where attributes || body like '%ended the process%'"
    found = [f"letter: {row['body']}{row['attributes']}" for row in database.rows(letters)]
    found += [
        f"execution: {row['input']}"
        for row in database.rows("select * from executions where cause like '%ended the process%'")
    ]
    for path in (bucket / "errors").rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            told: dict[str, Any] = json.loads(line)
            found.append(f"record: {base64.b64decode(told['rawData']).decode()}")
    return found


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
def test_an_item_that_ends_the_process_twice_is_quarantined(tmp_path: Path, place: str) -> None:
    codes: list[int] = []
    while (done := run(tmp_path, place)).returncode == STATUS and len(codes) < ENDS:
        codes.append(done.returncode)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert codes
    directory = DataDirectory(tmp_path / "data")
    database = directory.reader()
    ended = dict(database.connection.execute("select order_id, status from orders").fetchall())
    assert (ended["T-1"], ended["T-2"]) == ("COMPLETED", "COMPLETED")
    told = signs(database, directory.bucket)
    assert told
    assert all("POISON" in sign for sign in told), "only the poisoned order is put aside"
    if place == "parquet":
        assert len(codes) == 1  # from then on its rows are tried in a process of their own
    else:
        assert database.row("select 1 from failures where error = 'ProcessEnded'")
        assert json.loads(done.stdout.splitlines()[-1])
    database.close()
    again = run(tmp_path, place)
    assert (again.returncode, json.loads(again.stdout)) == (0, [])


# ---- the marker


def test_a_normal_end_of_the_process_leaves_no_item(tmp_path: Path) -> None:
    markers = MarkerFile(tmp_path / "handling")
    markers.engine.enter((Kind.DELIVERY, 5, 5))
    markers.close()
    assert MarkerFile(tmp_path / "handling").interrupted == []


def test_a_crash_leaves_the_items_of_both_threads(tmp_path: Path) -> None:
    markers = MarkerFile(tmp_path / "handling")
    markers.engine.enter((Kind.DELIVERY, 5, 5))
    markers.background.enter((Kind.RECORD, 1, 2_000))
    left = MarkerFile(tmp_path / "handling").interrupted
    assert [str(item) for item in left] == ["delivery 5", "record 1 to 2000"]


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 34, b"\xff" * 100])
def test_a_damaged_marker_does_not_prevent_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "handling").write_bytes(content)
    assert MarkerFile(tmp_path / "handling").interrupted == []


# ---- the suspects


def suspects(journal: Journal, *left: Item) -> Suspects:
    """Return the suspects after a start; the next start knows them."""
    found = Suspects(journal, left, 0.0)
    journal.commit()
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Database(str(tmp_path / "journal.db")))


def test_an_item_is_quarantined_after_the_second_crash(journal: Journal) -> None:
    item = Item(Kind.EXECUTION, 7, 7)
    assert suspects(journal, item).to_quarantine == []
    assert suspects(journal, Item(Kind.DELIVERY, 7, 7)).to_quarantine == []  # of another kind
    assert suspects(journal, Item(Kind.EXECUTION, 8, 8)).to_quarantine == []
    assert suspects(journal, item).to_quarantine == [item]


def test_a_batch_is_handled_one_by_one_after_a_crash(journal: Journal) -> None:
    found = suspects(journal, Item(Kind.MESSAGE, 3, 5), Item(Kind.RECORD, 10, 19))
    assert (found.messages, found.records) == ({3, 4, 5}, [(10, 19)])
    again = suspects(journal, Item(Kind.MESSAGE, 4, 4))
    assert again.to_quarantine == [Item(Kind.MESSAGE, 4, 4)]
    assert again.messages == {3, 4, 5}


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.REQUEST, Kind.CALL, Kind.WORK])
def test_an_unjournalled_item_is_no_suspect(journal: Journal, kind: Kind) -> None:
    for _ in range(3):
        assert suspects(journal, Item(kind, 0, 0)).to_quarantine == []
