"""Events of files on their way to the bus: in the order of their times, where folders have none."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.cli.event_reader import EventReader
from tests.fakes.events import envelope


def event(order_id: str, time: str, **more: Any) -> str:
    sound: Any = envelope()
    detail = {**sound["detail"], "order_id": order_id}
    return json.dumps({**sound, "time": time, "detail": detail, **more})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(event("LATE", "2026-01-31T13:00:00Z") + "{bad}")
    (tmp_path / "b.ndjson").write_text(
        event("EARLY", "2026-01-31T11:00:00Z", account="123456789012") + "\n"
        "\n" + event("MIDDLE", "2026-01-31T12:00:00Z") + "\n"
    )
    (tmp_path / "notes.txt").write_text("no events")
    return tmp_path


def test_events_of_a_folder_are_sorted_by_time(folder: Path) -> None:
    lines = list(EventReader([folder]).events())
    assert [line.event and line.event.detail.order_id for line in lines] == [
        "EARLY",
        "MIDDLE",
        "LATE",
    ]
    places = [(Path(line.path).name, line.number) for line in lines]
    assert places == [("b.ndjson", 1), ("b.ndjson", 3), ("a.json", 1)]
    assert lines[0].envelope is not None
    assert lines[0].envelope["account"] == "123456789012"


def test_events_of_files_keep_their_order(folder: Path) -> None:
    files = [folder / "b.ndjson", folder / "a.json"]
    lines = list(EventReader(files).events())
    assert [line.event and line.event.detail.order_id for line in lines] == [
        "EARLY",
        "MIDDLE",
        "LATE",
    ]


def test_rejected_events_and_skipped_files_are_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = EventReader([folder])
    assert len(list(reader.events())) == 3
    assert reader.rejected == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"{folder}: skipped")
    assert said[0].endswith(": notes.txt")
    assert said[1].startswith(f"rejected {folder}/a.json:1: is not JSON (")
    assert len(said) == 2
