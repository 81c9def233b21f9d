"""Files of events: both forms are read, what is malformed is named, and the rest goes on."""

import gzip
import io
import json
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cli.event_files import MAX_LINE, Line, UnreadableFile, read_events, to_put_entry
from infra.contracts.folder import FOLDER
from kernel.events import MAX_EVENT_BYTES, SOURCE, parse

JSON = dict[str, Any]


def created(order_id: str = "A-1", **fields: Any) -> JSON:
    detail = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": "TEA", "quantity": 2, "unit_price": 12.5}],
        "total": 25.0,
        "timestamp": "2026-01-31T12:00:00Z",
        **fields,
    }
    return {"source": SOURCE, "detail-type": "Order Created", "detail": detail}


def entry(event: JSON, *, as_text: bool = True, **more: Any) -> JSON:
    detail = json.dumps(event["detail"]) if as_text else event["detail"]
    names = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": detail}
    return {"EventBusName": "orders-bus", **names, **more}


def lines_of(*events: object) -> str:
    return "".join(
        f"{event if isinstance(event, str) else json.dumps(event)}\n" for event in events
    )


def read(tmp_path: Path, content: str | bytes, name: str = "events.ndjson") -> list[Line]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_events(path))


def order_ids(lines: list[Line]) -> list[str | None]:
    """Return the order of each event; None for what is malformed."""
    return [line.event.detail.order_id if line.event else None for line in lines]


# Forms


def test_a_line_has_its_envelope_its_event_and_its_number(tmp_path: Path) -> None:
    event = {**created(), "time": "2026-01-31T12:00:00Z"}
    [line] = read(tmp_path, lines_of(event))
    assert (line.path, line.number, line.problem) == (str(tmp_path / "events.ndjson"), 1, None)
    assert line.envelope == event
    assert line.event == parse(event)


@pytest.mark.parametrize("form", ["text", "object"])
def test_a_put_events_entry_is_the_same_event(tmp_path: Path, form: str) -> None:
    more = {"Time": "2026-01-31T12:00:00Z", "Resources": ["arn:x"]}
    [line] = read(tmp_path, lines_of(entry(created(), as_text=form == "text", **more)))
    assert line.envelope == {
        **created(),
        "time": "2026-01-31T12:00:00Z",
        "resources": ["arn:x"],
    }
    assert line.event == parse(created())


def test_an_entrys_time_may_be_in_seconds(tmp_path: Path) -> None:
    [line] = read(tmp_path, lines_of(entry(created(), Time=1_769_860_800)))
    assert line.envelope is not None
    assert line.envelope["time"] == "2026-01-31T12:00:00.000Z"


def test_fields_that_eventbridge_adds_are_kept(tmp_path: Path) -> None:
    event = {**created(), "version": "0", "id": "x", "account": "1", "resources": []}
    [line] = read(tmp_path, lines_of(event))
    assert line.envelope == event


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one.json", json.dumps(created(), indent=2)),
        ("one.json", json.dumps(created())),
        ("list.json", json.dumps([created()])),
        ("list.json", json.dumps([created()], indent=2) + "\n\n"),
        ("lines.jsonl", lines_of(created())),
        ("lines.json", lines_of(created())),
        ("lines.txt", lines_of(created())),
        ("blank.ndjson", "\n  \n" + lines_of(created()) + "\n"),
        ("dos.ndjson", lines_of(created()).replace("\n", "\r\n")),
        ("unended.ndjson", json.dumps(created())),
        ("marked.ndjson", "\ufeff" + lines_of(created())),
        ("marked.json", "\ufeff" + json.dumps([created()], indent=2)),
        ("entries.json", json.dumps([entry(created())])),
    ],
)
def test_an_event_is_read_from_files_of_every_form(tmp_path: Path, name: str, content: str) -> None:
    assert order_ids(read(tmp_path, content, name)) == ["A-1"]


def test_events_of_a_json_document_have_their_first_line(tmp_path: Path) -> None:
    listed = json.dumps([created("A-1"), created("A-2")], indent=1)
    lines = read(tmp_path, listed, "list.json")
    assert order_ids(lines) == ["A-1", "A-2"]
    assert [listed.splitlines()[line.number - 1].strip() for line in lines] == ["{", "{"]
    one_by_one = f"{json.dumps(created('A-1'), indent=1)}\n{json.dumps(created('A-2'), indent=1)}"
    assert order_ids(read(tmp_path, one_by_one, "several.json")) == ["A-1", "A-2"]


def test_an_empty_list_holds_no_events(tmp_path: Path) -> None:
    assert read(tmp_path, "[]", "list.json") == []


def test_standard_input_is_read_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    content = lines_of(created("A-1"), created("A-2")).encode()
    stdin = SimpleNamespace(buffer=io.BytesIO(content))
    monkeypatch.setattr("sys.stdin", stdin)
    lines = list(read_events("-"))
    assert order_ids(lines) == ["A-1", "A-2"]
    assert {line.path for line in lines} == {"-"}
    assert not stdin.buffer.closed


# Malformed lines

BAD_LINES = [
    ("no JSON", "order A-1", None, "is not JSON (unexpected character, expected a JSON value"),
    ("half a line", json.dumps(created())[:80], None, "is cut off in the middle of an event"),
    ("NaN", json.dumps(created()).replace("25.0", "NaN"), None, "is not JSON"),
    ("a bracket too much", "]" + "x", None, "is not JSON (unexpected character"),
    ("a list", "[]", None, "is no event: an event is a JSON object with source"),
    ("text", '"Order Created"', None, "is no event"),
    ("too deep", "[" * 5000, None, "is nested deeper than 1000 levels"),
    ("a bare detail", created()["detail"], "source", "is missing; an event is a JSON object"),
    ("no detail type", {"source": SOURCE, "detail": {}}, "detail-type", "is missing"),
    ("no Detail", {"Source": SOURCE, "DetailType": "Order Created"}, "Detail", "is missing"),
    ("a Detail that is cut", entry(created()) | {"Detail": "{"}, "Detail", "is cut off"),
    ("a Detail that is null", entry(created()) | {"Detail": None}, "detail", "not a JSON object"),
    ("another source", {**created(), "source": "x"}, "source", "'x' is not 'orders.service'"),
    ("an unknown event", {**created(), "detail-type": "Eaten"}, "detail-type", "is unknown"),
    ("a detail that is text", {**created(), "detail": "x"}, "detail", "is not a JSON object"),
    ("a wrong total", created(total=24.99), "detail.total", "is not the sum of the lines"),
    (
        "a quantity of 0",
        created(items=[{"sku": "TEA", "quantity": 0, "unit_price": 1}]),
        "detail.items[0].quantity",
        "greater than or equal to 1",
    ),
    ("a time in words", {**created(), "time": "noon"}, "time", "'noon' is not an RFC 3339 time"),
    ("a time in seconds", {**created(), "time": 5}, "time", "is not an RFC 3339 time"),
    ("a Time in words", entry(created(), Time="noon"), "Time", "is not an RFC 3339 time"),
    ("an endless Time", entry(created(), Time=1e300), "Time", "is not an RFC 3339 time"),
    ("a Time that is true", entry(created(), Time=True), "Time", "is not an RFC 3339 time"),
    (
        "a time before the year 1 in UTC",
        {**created(), "time": "0001-01-01T00:00:00+10:00"},
        "time",
        "is not an RFC 3339 time",
    ),
    ("resources in words", {**created(), "resources": "x"}, "resources", "is no list of texts"),
    ("Resources of numbers", entry(created(), Resources=[5]), "Resources", "is no list of texts"),
]


@pytest.mark.parametrize(
    ("content", "field", "problem"),
    [case[1:] for case in BAD_LINES],
    ids=[case[0] for case in BAD_LINES],
)
def test_a_malformed_line_is_named_and_the_others_are_read(
    tmp_path: Path, content: object, field: str | None, problem: str
) -> None:
    first, bad, last = read(tmp_path, lines_of(created("A-1"), content, created("A-2")))
    assert order_ids([first, bad, last]) == ["A-1", None, "A-2"]
    assert (bad.number, bad.field, bad.envelope) == (2, field, None)
    assert problem in str(bad.problem)
    assert str(bad.problem).startswith(f"{field}: " if field else "is ")


def test_zeros_far_into_a_file_are_a_malformed_line(tmp_path: Path) -> None:
    *good, bad = read(tmp_path, lines_of(*(created(f"A-{n}") for n in range(40))) + "\0" * 512)
    assert None not in order_ids(good)
    assert (bad.number, bad.event) == (41, None)


def test_a_line_that_is_cut_off_is_reported(tmp_path: Path) -> None:
    whole = lines_of(created("A-1"), created("A-2"))
    for cut in (whole[:-2], whole[:-50], whole[: len(whole) // 2 + 1]):
        first, half = read(tmp_path, cut)
        assert order_ids([first, half]) == ["A-1", None]
        assert (half.number, half.problem) == (2, "is cut off in the middle of an event")


def test_a_document_that_is_cut_off_gives_its_complete_events(tmp_path: Path) -> None:
    whole = json.dumps([created("A-1"), created("A-2")], indent=1)
    for cut in (whole[:-2], whole[:-1], whole[:-20]):
        *lines, half = read(tmp_path, cut, "list.json")
        assert order_ids(lines)[0] == "A-1"
        assert half.problem == "is cut off in the middle of an event"


@pytest.mark.parametrize(
    ("change", "line", "problem"),
    [
        (lambda text: text.replace("},\n {", "}\n {"), 20, "needs ',' or ']' here"),
        (lambda text: text + "x", 38, "there is more after the list"),
        (lambda text: text.replace('"source":', '"source"', 1), 3, "Expecting ':' delimiter"),
        (lambda text: "[" + "[" * 100_000, 1, "is nested deeper than 1000 levels"),
        (lambda text: text.replace("25.0", "NaN", 1), 2, "is not JSON"),
    ],
)
def test_a_malformed_document_is_reported_with_its_line(
    tmp_path: Path, change: Any, line: int, problem: str
) -> None:
    text = json.dumps([created("A-1"), created("A-2")], indent=1)
    bad = [one for one in read(tmp_path, change(text), "list.json") if one.problem]
    assert len(bad) == 1
    assert problem in str(bad[0].problem)
    assert bad[0].number == line


@pytest.mark.parametrize("name", ["deep.ndjson", "deep.json"])
def test_a_detail_as_deep_as_the_bus_takes_is_sent(tmp_path: Path, name: str) -> None:
    event = created()
    deep = json.loads('{"a":' * 999 + "1" + "}" * 999)
    event["detail"]["unknown"] = deep
    [line] = read(tmp_path, json.dumps(event), name)
    assert line.envelope is not None
    assert json.loads(to_put_entry(line.envelope)["Detail"])["unknown"] == deep


@pytest.mark.parametrize("name", ["long.ndjson", "long.json"])
def test_a_number_of_any_length_is_a_problem_of_its_line(tmp_path: Path, name: str) -> None:
    text = json.dumps(created()).replace("25.0", "9" * 5_000, 1)
    [line] = read(tmp_path, text, name)
    assert "is not JSON" in str(line.problem)


@pytest.mark.parametrize("name", ["latin.ndjson", "latin.json"])
def test_text_in_another_encoding_is_reported(tmp_path: Path, name: str) -> None:
    event = created(shipping_address=None, email="é@example.com")
    text = json.dumps(event, ensure_ascii=False, indent=1 if name == "latin.json" else None)
    [line] = read(tmp_path, text.encode("latin-1"), name)
    assert line.problem == "is not UTF-8 text; save it as UTF-8"


# Size


def padded(size: int) -> JSON:
    """Return an event whose PutEvents entry has this many bytes."""
    event = created(note="")
    entry_bytes = sum(len(value) for value in to_put_entry(event).values())
    event["detail"]["note"] = "x" * (size - entry_bytes)
    return event


def test_an_event_is_as_large_as_the_bus_takes_and_no_larger(tmp_path: Path) -> None:
    limit = MAX_EVENT_BYTES
    most, over = read(tmp_path, lines_of(padded(limit), padded(limit + 1)))
    assert most.event is not None
    assert over.field == "detail"
    assert over.problem == "detail: the event has 262,145 bytes; the bus takes 262,144 at most"


def test_a_line_of_excessive_length_is_skipped(tmp_path: Path) -> None:
    huge = '{"x": "' + "y" * (2 * MAX_LINE) + '"}'
    lines = read(tmp_path, lines_of(created("A-1"), huge, created("A-2"), huge))
    assert order_ids(lines) == ["A-1", None, "A-2", None]
    assert [line.number for line in lines] == [1, 2, 3, 4]
    assert "the line has more than 2,097,152 bytes" in str(lines[1].problem)


def test_lines_are_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    line = json.dumps(created(note="x" * 10_000)) + "\n"
    path.write_text(line * 3_000)
    assert path.stat().st_size > 30_000_000
    for _ in read_events(FOLDER / "order-created"):
        pass  # what is imported and compiled on first use does not count
    tracemalloc.start()
    assert sum(1 for _ in read_events(path)) == 3_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


# Files


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.ndjson", b"", "is empty"),
        ("blank.json", b" \n\n", "is empty"),
        ("marked.json", b"\xef\xbb\xbf", "is empty"),
        ("zip.ndjson", b"PK\x03\x04\x14\0\0\0\x08\0", "is binary"),
        ("empty.ndjson.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("picture.json.gz", gzip.compress(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", mtime=0), "is binary"),
        ("cut.json.gz", gzip.compress(b"{}", mtime=0)[:9], "is cut off: gzip expects more"),
        ("damaged.json.gz", b"\x1f\x8b\x08\0 no gzip at all", "is damaged: gzip cannot unpack it"),
        ("picture.json", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is binary"),
        ("wide.json", "\ufeff{}".encode("utf-16-le"), "is binary, or text in UTF-16"),
    ],
)
def test_a_file_without_text_is_refused_at_the_call(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=problem) as caught:
        read_events(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist"):
        read_events(tmp_path / "none.json")


def test_a_folder_gives_its_files_by_name_and_no_schemas(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/two.ndjson").write_text(lines_of(created("B-1"), created("B-2")))
    (tmp_path / "a.json").write_text(json.dumps(created("A-1")))
    (tmp_path / "c.jsonl").write_text(json.dumps(created("C-1")))
    (tmp_path / "notes.txt").write_text("no events")
    for name in ("schema.json", "schema.draft4.json", "asyncapi.json", "baseline.json"):
        (tmp_path / "b" / name).write_text("{}")
    assert order_ids(list(read_events(tmp_path))) == ["A-1", "B-1", "B-2", "C-1"]


def test_a_folder_with_an_unreadable_file_or_none_is_refused_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="holds no file of events"):
        read_events(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(created("A-1")))
    (tmp_path / "b.json").write_text("")
    with pytest.raises(UnreadableFile, match=r"b\.json: is empty"):
        read_events(tmp_path)


def test_every_published_example_is_read() -> None:
    lines = list(read_events(FOLDER))
    assert len(lines) >= 30
    assert not [line for line in lines if line.problem]


def test_an_event_is_sent_as_an_entry(tmp_path: Path) -> None:
    event = {**created(), "time": "2026-01-31T12:00:00Z", "resources": ["arn:x"], "id": "x"}
    [line] = read(tmp_path, lines_of(event))
    assert line.envelope is not None
    sent = to_put_entry(line.envelope)
    assert json.loads(sent.pop("Detail")) == event["detail"]
    assert sent == {
        "Source": SOURCE,
        "DetailType": "Order Created",
        "Time": "2026-01-31T12:00:00Z",
        "Resources": ["arn:x"],
    }
    assert set(to_put_entry(created())) == {"Source", "DetailType", "Detail"}
