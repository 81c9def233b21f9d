"""Tables as a person sees them at 80 columns, and as a program gets them: ids are never cut."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from infra.local.directory.data_directory import DataDirectory
from infra.moving.sqlite import SQLitePlace
from kernel.order_record import Entry
from kernel.order_status import Status
from orders.store import SQLiteOrders
from tests.fakes.events import envelope
from tests.fakes.records import NOW, order
from tests.fakes.serving import COMMAND, orders

LONG, UUID, SHORT = "X" * 64, "1b9e9984-3435-5247-afd2-589b57c4a382", "A-1"
CUSTOMER = "C" * 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tables") / "data"
    with DataDirectory(root).writer() as database:
        SQLitePlace(database, "").prepare()
        for order_id, status in (
            (LONG, Status.COMPENSATING),
            (UUID, Status.COMPLETED),
            (SHORT, Status.WAITING),
        ):
            held = order(version=0, order_id=order_id, customer_id=CUSTOMER, status=status)
            SQLiteOrders(database).save(
                held.change(Entry("CHARGED", NOW, {"run": f"{order_id[:60]}-1"}))
            )
        with database.write() as connection:
            connection.execute(
                "insert into messages (queue, body, sent_at, visible_at, receives, attributes)"
                " values ('QuarantineQueue', ?, 0, 0, 0, ?)",
                [json.dumps({"order_id": LONG}), json.dumps({"REASON": f"{UUID} is held"})],
            )
    return root


def at_a_terminal(columns: int, *arguments: object) -> str:
    """Return what a command prints to a terminal of a width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "dumb"},
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65_536):
            said += chunk
    except OSError:  # Linux says so at the end
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 0
    return said.decode().replace("\r\n", "\n")


def commands(data: Path) -> dict[str, tuple[list[object], list[str]]]:
    """Return commands by name, with the words that each shows whole."""
    events = data.parent / "events.json"
    sound = envelope()
    sound["detail"]["order_id"] = LONG

    events.write_text(json.dumps(sound))
    statuses = ["COMPENSATING", "COMPLETED", "WAITING"]
    place = ["--data", data]
    return {
        "list": (["list", *place], [LONG, UUID, SHORT, CUSTOMER, *statuses]),
        "show": (["show", UUID, *place], [UUID, CUSTOMER, "COMPLETED", f"{UUID}-1"]),
        "dead-letters": (["dead-letters", "list", *place], [LONG, UUID, "QuarantineQueue"]),
        "replay": (
            ["replay", events, "--dry-run", *place],
            [LONG, "conflict:", "OrderProcessing:"],
        ),
        "query": (
            ["query", f"select '{LONG}' as a, '{UUID}' as b, '{CUSTOMER}' as c", *place],
            [LONG, UUID, CUSTOMER],
        ),
    }


NAMES = ["list", "show", "dead-letters", "replay", "query"]


@pytest.mark.parametrize("name", NAMES)
def test_no_id_and_no_status_is_cut_at_80_columns(data: Path, name: str) -> None:
    arguments, wanted = commands(data)[name]
    words = at_a_terminal(80, *arguments).split()
    assert [word for word in wanted if word not in words] == []
    assert "…" not in words


@pytest.mark.parametrize("name", NAMES)
def test_into_a_pipe_a_row_is_one_line(data: Path, name: str) -> None:
    arguments, wanted = commands(data)[name]
    lines = orders(*arguments).stdout.splitlines()
    assert [word for word in wanted if not any(word in line.split() for line in lines)] == []
    if name == "list":
        assert [line.split()[:2] for line in lines[1:]] == sorted(
            [[LONG, "COMPENSATING"], [UUID, "COMPLETED"], [SHORT, "WAITING"]], reverse=True
        )
        assert all(line.split()[-1] != "" and CUSTOMER in line for line in lines[1:])


def test_every_command_is_in_the_table(data: Path) -> None:
    assert list(commands(data)) == NAMES
