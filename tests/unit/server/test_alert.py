"""The alert: a change is reported, once an hour at most, and no change twice."""

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.local.directory.data_directory import DataDirectory
from infra.server import alert
from infra.server.alert import CONFIRMED, QUIET, Alert, teller, text_of, watched
from infra.settings.declared import settings
from infra.views.health import Health, Need

GOOD = Health("place", "2026-01-01", (), (), (), (), (), (), {}, None, None, None, None)
BAD = replace(GOOD, needs=(Need("disk", 1, "the disk has 3 MB left", "make room"),))
PRINTS = """
import os, sys
open(sys.argv[1], "a").write(os.environ["ORDERS_STATUS"] + sys.stdin.read() + "\\n")
"""


class Told:
    """The reported statuses; the first calls fail, as often as wanted."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.documents: list[dict[str, Any]] = []
        self.failures = 0

    def __call__(self, status: str, document: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no route to host")
        self.statuses.append(status)
        self.documents.append(json.loads(document))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def one(told: Told, tmp_path: Path) -> Alert:
    return Alert(told, tmp_path / "alert.json")


def observe(one: Alert, health: Health, *times: float) -> list[bool]:
    return [one.observe(health, time) for time in times]


def test_a_status_that_turns_bad_is_told_once(one: Alert, told: Told) -> None:
    assert observe(one, GOOD, 10_000, 10_030) == [False, False]
    assert observe(one, BAD, 10_060, 10_090, 10_120) == [False, True, False]
    assert told.statuses == ["bad"]
    assert told.documents[0]["needs"][0]["text"] == "the disk has 3 MB left"
    assert told.documents[0]["text"] == text_of(BAD) == "place:\nthe disk has 3 MB left"


def test_a_state_of_one_reading_is_not_told(one: Alert, told: Told) -> None:
    for time in range(10_000, 11_000, 100):
        one.observe(BAD, time)
        one.observe(GOOD, time + 30)
    assert CONFIRMED == 2
    assert told.statuses == []


def test_it_is_told_when_it_is_good_again_and_not_within_an_hour(one: Alert, told: Told) -> None:
    observe(one, BAD, 10_000, 10_030)
    observe(one, GOOD, 10_060, 10_090, 10_030 + QUIET - 1)
    assert told.statuses == ["bad"]
    observe(one, GOOD, 10_030 + QUIET)
    assert told.statuses == ["bad", "good"]


def test_a_status_that_changes_often_is_told_once_an_hour(one: Alert, told: Told) -> None:
    for number in range(400):
        health = BAD if number // 4 % 2 else GOOD
        one.observe(health, 10_000 + 30 * number)
    assert len(told.statuses) <= 1 + 400 * 30 / QUIET
    assert "bad" in told.statuses


def test_a_failed_call_is_tried_again(one: Alert, told: Told) -> None:
    told.failures = 1
    one.observe(BAD, 10_000)
    with pytest.raises(OSError, match="no route"):
        one.observe(BAD, 10_030)
    assert one.observe(BAD, 10_060)
    assert told.statuses == ["bad"]


def test_a_restart_tells_nothing_again(one: Alert, told: Told, tmp_path: Path) -> None:
    observe(one, BAD, 10_000, 10_030)
    again = Alert(told, tmp_path / "alert.json")
    observe(again, BAD, 20_000, 20_030, 20_060)
    assert told.statuses == ["bad"]
    observe(again, GOOD, 20_090, 20_120)
    assert told.statuses == ["bad", "good"]


@pytest.mark.parametrize("content", ["", "[]", '{"ok": 1}', '{"ok": true, "at": "x"}'])
def test_a_damaged_file_is_as_none(told: Told, tmp_path: Path, content: str) -> None:
    (tmp_path / "alert.json").write_text(content)
    damaged = Alert(told, tmp_path / "alert.json")
    observe(damaged, BAD, 10_000, 10_030)
    assert told.statuses == ["bad"]


def test_a_command_gets_the_document_and_the_status(tmp_path: Path) -> None:
    script, out = tmp_path / "tell me.py", tmp_path / "out"
    script.write_text(PRINTS)
    tell = teller(f"{sys.executable} '{script}' {out}")
    tell("bad", b'{"n": 1}')
    assert out.read_text() == 'bad{"n": 1}\n'


def test_a_command_is_not_run_by_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    teller(f"{sys.executable} -c pass ; touch {out}")("bad", b"{}")
    assert not out.exists()


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            received.append((self.headers["content-type"], self.rfile.read(length)))
            self.send_response(200 if self.path == "/hook" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    received: list[tuple[str, bytes]] = []
    listening = HTTPServer(("127.0.0.1", 0), Hook)
    vars(listening)["received"] = received
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield listening
    listening.shutdown()
    listening.server_close()


def test_a_url_gets_a_post_and_its_refusal_is_an_error(server: HTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    teller(f"{url}/hook")("good", b'{"n": 1}')
    assert vars(server)["received"] == [("application/json", b'{"n": 1}')]
    with pytest.raises(OSError, match="500"):
        teller(f"{url}/other")("good", b"{}")


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:1/x", "https://a.example", "notify 'a b'", "/bin/true", ""]
)
def test_a_command_or_a_url_is_a_setting(value: str) -> None:
    assert settings()["Alert"].wanted(value) == ""


@pytest.mark.parametrize("value", ["ftp://a/b", "http://", "notify 'a"])
def test_another_value_is_refused(value: str) -> None:
    assert "a URL of http or https" in settings()["Alert"].wanted(value)


def test_the_watcher_logs_a_call_that_fails_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert, "EVERY", 0.01)
    where, called = DataDirectory(tmp_path), threading.Event()
    marker = tmp_path / "marker"
    command = (
        f"{sys.executable} -c 'import os, sys; known = os.path.exists(sys.argv[1]);"
        f' open(sys.argv[1], "w"); sys.exit(None if known else "the hook is down")\' {marker}'
    )

    def read() -> Health:
        if (tmp_path / "alert.json").exists():
            called.set()
        return BAD

    with watched(command, read, where):
        assert called.wait(20)
    lines = [json.loads(line) for line in where.log.read_text().splitlines()]
    assert "the hook is down" in lines[0]["message"]
    assert lines[0]["level"] == "ERROR"
    assert lines[-1]["message"] == "the alert was sent"


def test_without_a_target_nothing_is_read(tmp_path: Path) -> None:
    with watched("", lambda: pytest.fail("it was read"), DataDirectory(tmp_path)):
        pass
