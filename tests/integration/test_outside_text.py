"""Text from outside is text: no command prints a control sequence, markup, or a traceback of it."""

import io
import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import infra.cli.event_files  # noqa: F401 - it sets the recursion limit, which Hypothesis watches
from infra.cli.main import main
from infra.terminal.output import plain
from tests.fakes.events import envelope
from tests.fakes.serving import orders

WORST = "[/x] [red]\x1b[31m\x1b]0;title\x07\x9b2J\r\n\t\0\x7f\u202e\u200b \\[b] %s {0} :smile:"
hostile = st.text(
    st.characters() | st.sampled_from("\x1b\x9b\r\n\t\0\x7f\u202e\ud800\udcff[]/\\'\"|"),
    min_size=1,
    max_size=12,
)


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def said(*arguments: object) -> Said:
    """Run the command in this process, its output a pipe."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    before, sys.argv = sys.argv, ["orders", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    found = []
    for stream in (out, err):
        stream.flush()
        found.append(stream.buffer.getvalue().decode())
    return Said(int(str(ended.value.code)), *found)


def clean(*arguments: object) -> str:
    """Run a command twice, for a person and for a program; return what the person sees."""
    shown = said(*arguments)
    for text in (shown.out, shown.err):
        assert plain(text.replace("\n", "")) == text.replace("\n", ""), arguments
        assert "Traceback" not in text, text
    assert shown.code in (0, 1, 2)
    options = [place for place, one in enumerate(arguments) if str(one).startswith("--")]
    first = options[0] if options else len(arguments)
    told = said(*arguments[:first], "--json", *arguments[first:])
    assert "Traceback" not in told.err
    assert told.code == shown.code
    if told.out and told.code == 0:
        last = told.out.splitlines()[-1]
        assert re.fullmatch("[ -~]*", last)
        json.loads(last, parse_constant=pytest.fail)
    return shown.out + shown.err


# ---- a data directory whose every text is somebody else's


class Poisoned:
    """A data directory in which one order and one dead letter have a text in all their fields."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.database = sqlite3.connect(data / "orderflow.db", isolation_level=None)
        ended = "select order_id from orders where status = 'FAILED' limit 1"
        self.order_id: str = self.database.execute(ended).fetchone()[0]

    def fill(self, text: str) -> str:
        """Put a text into every field that takes one; return the order's id."""
        storable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for table, columns in self._columns_of_orders().items():
            for column in columns:
                value = JSON_OF[column](text) if column in JSON_OF else storable
                with suppress(sqlite3.IntegrityError):  # one of few values: no text of others
                    self.database.execute(
                        f"update {table} set {column} = ? where order_id = ?",
                        [value, self.order_id],
                    )
        self.order_id = storable
        self.database.execute("delete from messages")
        self.database.execute(
            "insert into messages (queue, body, sent_at, visible_at, receives, attributes)"
            " values ('QuarantineQueue', ?, 0, 0, 0, ?)",
            [JSON_OF["body"](text), JSON_OF["attributes"](text)],
        )
        return storable

    def _columns_of_orders(self) -> dict[str, list[str]]:
        """Return the columns of text of each table that has an order's rows, its id last."""
        names = "select name from sqlite_master where type = 'table'"
        found = {}
        for (table,) in self.database.execute(names).fetchall():
            columns = f"select name from pragma_table_info('{table}') where lower(type) = 'text'"
            texts = [name for (name,) in self.database.execute(columns).fetchall()]
            if "order_id" in texts:
                found[table] = sorted(texts, key=lambda name: name == "order_id")
        return found


JSON_OF: dict[str, Callable[[str], str]] = {
    "items": lambda text: json.dumps([[text, 1, 100]]),
    "shipping_address": lambda text: json.dumps({"name": text, text: text}),
    "detail": lambda text: json.dumps({text: text, "run": text}),
    "attributes": lambda text: json.dumps({"ERROR_CODE": text, "ERROR_MESSAGE": text}),
    "body": lambda text: json.dumps({"event": {text: [text]}, "consumer": text, "order_id": text}),
    "envelope": lambda text: json.dumps({"detail": {"metadata": {"event_id": text}}}),
}


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poisoned]:
    data = tmp_path_factory.mktemp("outside") / "data"
    done = orders("run", "--count", 12, "--seed", 5, "--workers", 0, "--data", data)
    assert done.returncode == 0, done
    found = Poisoned(data)
    yield found
    found.database.close()


@given(hostile)
@example(WORST)
@example("[/x]")
@example("[gb]")
@settings(deadline=None, max_examples=4)
def test_what_is_stored_of_others_is_shown_as_text(poisoned: Poisoned, text: str) -> None:
    order_id = poisoned.fill(text)
    place = ("--data", poisoned.data)
    shown = clean("show", *place, "--", order_id)
    assert shown.count(plain(order_id)) >= 5
    assert plain(order_id) in clean("list", "--limit", 100, *place)
    listed = clean("dead-letters", "list", *place)
    assert f"{plain(text)}: {plain(text)}" in listed
    [letter] = json.loads(said("dead-letters", "list", "--json", *place).out.splitlines()[-1])[
        "dead_letters"
    ]
    assert letter["reason"] == f"{text}: {text}"
    assert plain(text) in clean("dead-letters", "show", letter["id"], *place)


def test_even_a_fault_of_ours_is_printed_as_text(poisoned: Poisoned, tmp_path: Path) -> None:
    poisoned.fill(WORST)  # which no reservation is, whatever comes in
    failed = said("export", tmp_path / "x.ndjson", "--data", poisoned.data)
    assert failed.code == 1
    assert "KeyError" in failed.err
    assert plain(failed.err.replace("\n", "")) == failed.err.replace("\n", "")


@given(hostile)
@example(WORST)
@settings(deadline=None, max_examples=4)
def test_what_is_asked_for_is_answered_as_text(poisoned: Poisoned, text: str) -> None:
    place = ("--data", poisoned.data)
    for arguments in (
        ("show", *place, "--", text),
        ("list", *place, "--customer", text),
        ("list", *place, "--status", text),
        ("dead-letters", "show", *place, "--", text),
        ("dead-letters", "list", *place, "--queue", text),
        ("dead-letters", "redrive", *place, "--", f"x{text}"),
        ("query", *place, "--", text),
        ("report", *place, "--date", text),
        ("events", "show", "--", text),
        ("events", "diff", "--", text),
        ("replay", "--filter", text, "--dry-run", *place, "x.json"),
        (text,),
        ("list", f"--{text}"),
    ):
        clean(*arguments)


@given(hostile)
@example(WORST.replace("\0", ""))
@example("[/b]")
@settings(deadline=None, max_examples=6)
def test_the_cells_and_columns_of_an_answer_are_text(poisoned: Poisoned, text: str) -> None:
    cell, name = text.replace("'", "''"), text.replace('"', '""')
    sql = f"select '{cell}' as \"c{name}\", ['{cell}'] as list, 5 as [b]".replace("[b]", '"[b]"')
    shown = clean("query", "--data", poisoned.data, "--", sql)
    if "orders: " not in shown:
        head, row, *_ = shown.splitlines()
        assert plain(f"c{text}") in head
        assert head.endswith("[b]")
        assert row.startswith(plain(text))
        assert row.endswith("5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def named(folder: Path, text: str, suffix: str) -> Path:
    """Return a path whose name has as much of a text as a file's name takes."""
    name = re.sub("[/\0\ud800-\udc7f\udd00-\udfff]", "", f"f{text}")
    return folder / os.fsdecode(os.fsencode(name)[:100]) / f"x{suffix}"


@given(hostile)
@example(WORST)
@example("\udcff")
@settings(deadline=None, max_examples=4)
def test_names_and_contents_of_files_are_text(folder: Path, poisoned: Poisoned, text: str) -> None:
    events, stock, sent = (named(folder, text, suffix) for suffix in (".json", ".csv", ".ndjson"))
    events.parent.mkdir(exist_ok=True)
    event: Any = envelope()
    broken = [
        {**event, "source": text},
        {**event, "time": text},
        {**event, "detail-type": text},
        {**event, "detail": {**event["detail"], "currency": text, "customer_id": text, text: 1}},
        {text: text},
        event,
    ]
    after = text.replace("\0", "").encode(errors="ignore")
    events.write_bytes(json.dumps(broken).encode() + after)
    place = ("--data", poisoned.data)
    assert "1 valid" in clean("events", "validate", events)
    clean("events", "validate", events.parent)
    clean("replay", "--dry-run", *place, events)
    clean("replay", "--dry-run", *place, events.parent)
    stock.write_bytes(b"sku,on_hand\n" + after + b",5\n")
    clean("stock", "receive", stock, "--data", folder / "none")
    stock.write_text("sku,on_hand,\n")
    clean("stock", "receive", stock, "--data", folder / "none")
    sent.write_text(json.dumps({"kind": text, text: text}))
    clean("import", sent, "--data", folder / "none")
    clean("export", sent, "--data", events.parent)
    clean("events", "diff", events, events)


def test_the_name_of_a_data_directory_is_text(poisoned: Poisoned, tmp_path: Path) -> None:
    place = tmp_path / "[b]\x1b[31m\u202e"
    place.symlink_to(poisoned.data, target_is_directory=True)
    for command in (("doctor", "--port", 1), ("report",)):
        assert "[b]\\x1b[31m\\u202e" in clean(*command, "--data", place)
    for others in (("cost",), ("query", "revenue_by_day", "--chart", place / "x.html")):
        clean(*others, "--data", place)
