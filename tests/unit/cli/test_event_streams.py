"""Events one after another in every form: the same events, in their lines, in bounded memory."""

import gzip
import json
import re
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.cli import text_source
from infra.cli.event_files import Line, read_events, skipped_files, to_put_entry
from infra.cli.json_stream import MAX_VALUE, Fault, JSONStream, Value, compact, member
from kernel.events import SOURCE
from tests.strategies import json_values, nested

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


def entry(event: JSON) -> JSON:
    """Return the entry of a PutEvents request, as the AWS CLI has it."""
    return {"EventBusName": "orders-bus", **to_put_entry(event)}


def read(folder: Path, content: str | bytes, name: str = "events.json") -> list[Line]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_events(path))


def found(lines: list[Line]) -> list[str | None]:
    """Return the order of each event; None for what is malformed."""
    return [line.event.detail.order_id if line.event else None for line in lines]


# ---- forms

EVENTS = [created("A-1"), created("A-2"), created("A-3")]
ONE, PRETTY = [json.dumps(one) for one in EVENTS], [json.dumps(one, indent=2) for one in EVENTS]
REQUEST = {"Entries": [entry(one) for one in EVENTS]}
FORMS = {
    "nothing between": "".join(ONE),
    "nothing between, a line's end": "".join(ONE) + "\n",
    "a line each": "\n".join(ONE),
    "a line each, ended": "\r\n".join(ONE) + "\r\n",
    "two on a line": f"{ONE[0]} {ONE[1]}\n{ONE[2]}\n",
    "several lines each": "\n".join(PRETTY),
    "several lines each, nothing between": "".join(PRETTY) + "\n",
    "lines, then several lines": f"{ONE[0]}\n{PRETTY[1]}\n{ONE[2]}\n",
    "nothing between, then several lines": ONE[0] + PRETTY[1] + ONE[2],
    "a list": json.dumps(EVENTS),
    "a list of several lines": json.dumps(EVENTS, indent=1) + "\n",
    "two lists": f"[{ONE[0]},{ONE[1]}][{ONE[2]}]",
    "a list a line": f"[{ONE[0]},{ONE[1]}]\n[{ONE[2]}]\n",
    "a request": json.dumps(REQUEST),
    "a request of several lines": json.dumps({"EndpointId": "x.y", **REQUEST}, indent=4) + "\n",
    "a request, then its endpoint": json.dumps({**REQUEST, "EndpointId": None}),
    "two requests": json.dumps({"Entries": [entry(EVENTS[0])]})
    + json.dumps({"Entries": [entry(one) for one in EVENTS[1:]]}),
    "commas between": ",".join(ONE),
    "commas at the ends of lines": ",\n".join(ONE) + ",\n",
    "marks between": f"\ufeff{ONE[0]}\n\ufeff{ONE[1]}\n\ufeff{ONE[2]}",
}


@pytest.mark.parametrize("name", ["events.json", "events.ndjson", "EVENTS.JSON", "no-suffix"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_events_are_read_from_every_form(tmp_path: Path, form: str, name: str) -> None:
    assert found(read(tmp_path, FORMS[form], name)) == ["A-1", "A-2", "A-3"]


@pytest.mark.parametrize("form", FORMS)
def test_a_gzipped_file_is_read_as_its_content(tmp_path: Path, form: str) -> None:
    packed = gzip.compress(FORMS[form].encode(), mtime=0)
    plain = [(line.number, line.envelope) for line in read(tmp_path, FORMS[form])]
    for name in ("events.ndjson.gz", "events.json"):
        lines = read(tmp_path, packed, name)
        assert found(lines) == ["A-1", "A-2", "A-3"]
    lines = read(tmp_path, packed, "events.json.gz")
    assert [(line.number, line.envelope) for line in lines] == plain


def test_a_gzipped_file_may_have_several_members(tmp_path: Path) -> None:
    members = b"".join(gzip.compress(one.encode(), mtime=0) for one in ONE)
    assert found(read(tmp_path, members + b"\0" * 512, "a.json.gz")) == ["A-1", "A-2", "A-3"]


blanks = st.text(" \t\r\n", max_size=3)
separators = st.tuples(blanks, st.sampled_from([None, 1, 4]))


@given(
    st.lists(separators, min_size=1, max_size=5),
    st.sampled_from(["events.json", "events.ndjson"]),
    st.sampled_from(["stream", "list", "request"]),
)
@example([("", 1), ("", None)], "events.ndjson", "stream")
def test_events_have_their_first_line(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, int | None]],
    name: str,
    form: str,
) -> None:
    begin, between, end = {
        "stream": ("", "", ""),
        "list": ("[", ",", "]"),
        "request": ('{"Entries": [', ",", "]}"),
    }[form]
    text, numbers = begin, []
    for place, (blank, indent) in enumerate(parts):
        text += between * bool(place) + blank
        numbers.append(text.count("\n") + 1)
        text += json.dumps(created(f"A-{place}"), indent=indent)
    named = "events.json" if form != "stream" else name
    lines = read(tmp_path_factory.getbasetemp(), text + end, named)
    assert found(lines) == [f"A-{place}" for place in range(len(parts))]
    assert [line.number for line in lines] == numbers


def pieces(text: str, sizes: list[int]) -> Iterator[str]:
    """Cut a text into chunks of these sizes, again and again."""
    at, turn = 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        yield text[at : at + size]
        at, turn = at + size, turn + 1


streams = st.lists(
    st.builds(
        lambda value, indent, after: json.dumps(value, indent=indent, ensure_ascii=False) + after,
        json_values.filter(lambda value: isinstance(value, dict | list)),
        st.sampled_from([None, 1]),
        st.sampled_from(["", "\n", "x", "}", '"']),
    )
    | st.sampled_from(['{"Entries": [{}, 1]}', "[1, [2], {}]", '{"a":', "[", "}{", "[}", "12"]),
    max_size=5,
).map("".join)


@given(
    streams,
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.sampled_from(["", "lines"]),
)
def test_events_do_not_depend_on_the_chunks_of_the_text(
    text: str, sizes: list[int], lines: str
) -> None:
    whole = list(JSONStream(iter([text]), by_line=bool(lines)))
    assert list(JSONStream(pieces(text, sizes), by_line=bool(lines))) == whole
    for one in whole:
        assert 1 <= one.number <= text.count("\n") + 1
        if isinstance(one, Value):
            assert json.loads(one.text) is not Fault


# ---- what is malformed between

BAD = ['{"source" 1}', '{"a": [1}', '{"a": "x', '{"a": {"b": 1}', "nonsense", "[1", '{"a":', "{]"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["events.json", "events.ndjson"])
def test_a_malformed_line_affects_no_other_line(tmp_path: Path, bad: str, name: str) -> None:
    lines = read(tmp_path, f"{ONE[0]}\n{bad}\n{ONE[1]}\n{bad}\n{bad}\n{ONE[2]}\n", name)
    assert found(lines) == ["A-1", None, "A-2", None, None, "A-3"]
    assert [line.number for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("bad", ['{"source" 1}', '{"a": [1}', '{"a": {"b": 1}', "{]}", "x"])
def test_a_malformed_object_affects_no_other_on_its_line(tmp_path: Path, bad: str) -> None:
    assert found(read(tmp_path, ONE[0] + bad + ONE[1] + ONE[2])) == ["A-1", None, "A-2", "A-3"]


def test_a_malformed_object_of_several_lines_is_one_problem(tmp_path: Path) -> None:
    bad = PRETTY[1].replace('"currency":', '"currency"')
    lines = read(tmp_path, "\n".join([PRETTY[0], bad, PRETTY[2]]))
    assert found(lines) == ["A-1", None, "A-3"]
    height = PRETTY[0].count("\n") + 1
    assert lines[1].number == height + 7
    assert lines[1].problem == "is not JSON (Expecting ':' delimiter, column 16)"


def test_an_entry_that_is_no_event_affects_no_other(tmp_path: Path) -> None:
    request = {"Entries": [entry(EVENTS[0]), {"Source": "x"}, 5, entry(EVENTS[1])]}
    lines = read(tmp_path, json.dumps(request, indent=1))
    assert found(lines) == ["A-1", None, None, "A-2"]
    assert [line.number for line in lines] == [3, 9, 12, 13]


@pytest.mark.parametrize("end", ["", "]", "]x", '], "More": 1}', "}"])
def test_a_request_with_a_wrong_end_is_reported(tmp_path: Path, end: str) -> None:
    *lines, last = read(tmp_path, '{"Entries": [\n' + json.dumps(entry(EVENTS[0])) + end)
    assert found(lines) == ["A-1"]
    assert (last.number, last.event) == (2, None)


def test_a_value_of_excessive_length_is_skipped_without_separators(tmp_path: Path) -> None:
    huge = '{"x": "' + "y" * (2 * MAX_VALUE) + '"}'
    lines = read(tmp_path, ONE[0] + huge + ONE[1])
    assert found(lines) == ["A-1", None, "A-2"]
    assert "has more than 2,097,152 bytes" in str(lines[1].problem)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("cut", lambda data: data[: len(data) // 2], "is cut off: gzip expects more data"),
        ("damaged", lambda data: data[:-8] + b"\0" * 8, "is damaged: gzip cannot unpack it"),
        ("more behind", lambda data: data + b"more", "is damaged: gzip cannot unpack it"),
    ],
)
def test_damage_within_a_gzipped_file_is_reported(
    tmp_path: Path, name: str, change: Any, problem: str
) -> None:
    text = "".join(json.dumps(created(f"A-{number}", note="ü" * 99)) for number in range(3_000))
    *lines, last = read(tmp_path, change(gzip.compress(text.encode(), mtime=0)), "a.json.gz")
    assert "A-0" in found(lines)
    assert problem in str(last.problem)


@pytest.mark.parametrize("filling", [b" ", b"\n", b"[", b'{"a": "', b'"'])
def test_a_gzip_bomb_is_reported_and_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filling: bytes
) -> None:
    monkeypatch.setattr(text_source, "ALWAYS_ACCEPTED", 1_000_000)
    monkeypatch.setattr(text_source, "MAX_RATIO", 100)
    content = ONE[0].encode() + b"\n" + filling * (40_000_000 // len(filling))
    path = tmp_path / "bomb.ndjson.gz"
    path.write_bytes(gzip.compress(content, 1, mtime=0))
    del content
    tracemalloc.start()
    first, last = None, None
    for line in read_events(path):
        first, last = first or line, line
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first is not None
    assert first.event is not None
    assert last is not None
    assert "unpacks to more than 100 times its size" in str(last.problem)
    assert peak < 30_000_000


@pytest.mark.parametrize("form", ["nothing between", "list", "request", "gzipped"])
def test_events_of_every_form_are_read_lazily(tmp_path: Path, form: str) -> None:
    one = json.dumps(created(note="x" * 10_000))
    sent = json.dumps(entry(json.loads(one)))
    content = {
        "nothing between": one * 1_500,
        "list": f"[{','.join([one] * 1_500)}]",
        "request": '{"Entries": [' + ",".join([sent] * 1_500) + "]}",
        "gzipped": one * 1_500,
    }[form]
    data = gzip.compress(content.encode(), 1) if form == "gzipped" else content.encode()
    path = tmp_path / "long.json"
    path.write_bytes(data)
    del content, data
    read(tmp_path, ONE[0])  # what is imported and compiled on first use does not count
    tracemalloc.start()
    assert sum(line.event is not None for line in read_events(path)) == 1_500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


# ---- what is sent is what is in the file

EXACT = [
    "999.99999999999999999",
    "123456789012345678901234567890",
    "9007199254740993e0",
    "1e-400",
    "0.1234567890123456789",
    "-9223372036854775809",
    "1234567890.1234567",
]


@pytest.mark.parametrize("number", EXACT)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_detail_is_sent_with_the_numbers_of_the_file(
    tmp_path: Path, number: str, indent: int | None
) -> None:
    note = 'a  \\" b'
    text = json.dumps(created(note=note, more=0), indent=indent)
    [line] = read(tmp_path, text.replace('"more": 0', f'"more": {number}'))
    assert line.entry is not None
    assert f'"more":{number}' in line.entry["Detail"]
    assert f'"note":{json.dumps(note)}' in line.entry["Detail"]
    assert "\n" not in line.entry["Detail"]


def test_the_text_of_an_entrys_detail_is_sent_unchanged(tmp_path: Path) -> None:
    text = json.dumps(created()["detail"], indent=3) + " "
    event = {"Source": SOURCE, "DetailType": "Order Created", "Detail": text}
    [line] = read(tmp_path, json.dumps(event))
    assert line.entry is not None
    assert line.entry["Detail"] == text


@pytest.mark.parametrize("form", ["envelope", "entry with an object", "entry with text"])
def test_a_detail_is_as_deep_as_the_bus_takes_and_no_deeper(tmp_path: Path, form: str) -> None:
    for depth, taken in ((900, True), (1_001, False)):
        event = json.dumps(created(more=0)).replace('"more": 0', f'"more": {nested(depth)}')
        detail = event[event.index('"detail": ') + 10 : -1]
        given_detail = json.dumps(detail) if form == "entry with text" else detail
        text = f'{{"Source": "{SOURCE}", "DetailType": "Order Created", "Detail": {given_detail}}}'
        [line] = read(tmp_path, event if form == "envelope" else text)
        assert (line.event is not None) is taken
        if line.entry:
            assert nested(depth) in line.entry["Detail"]
        else:
            assert re.search("is nested deeper than 100[01] levels", str(line.problem))


numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,2})?", fullmatch=True
)


@given(numbers)
@example("-0")
def test_no_number_changes_its_value_when_it_is_sent(
    tmp_path_factory: pytest.TempPathFactory, number: str
) -> None:
    text = json.dumps(created(more=0)).replace('"more": 0', f'"more": {number}')
    [line] = read(tmp_path_factory.getbasetemp(), text)
    assert line.entry is not None
    sent = json.loads(line.entry["Detail"], parse_float=Decimal, parse_int=Decimal)
    assert sent["more"] == Decimal(number)


@given(json_values, json_values)
def test_a_member_has_its_text_and_compact_text_the_same_value(
    value: object, other: object
) -> None:
    text = json.dumps({"other": other, "detail": 1, "x": {"detail": 2}, "y": value}, indent=2)
    text = text.replace('"y"', '"detail"')
    assert json.loads(member(text, "detail")) == json.loads(text)["detail"]
    spread = json.dumps([value, {"other": other}], indent=2)
    assert compact(spread) == json.dumps(json.loads(spread), separators=(",", ":"))


# ---- folders


def test_file_names_of_a_folder_match_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "a.JSON").write_text(ONE[0])
    (tmp_path / "b.NdJson").write_text(ONE[1])
    (tmp_path / "c.JSONL.GZ").write_bytes(gzip.compress(ONE[2].encode()))
    assert found(list(read_events(tmp_path))) == ["A-1", "A-2", "A-3"]
    assert skipped_files(tmp_path) == []


def test_skipped_files_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(ONE[0])
    (tmp_path / "deep").mkdir()
    for name in ("deep/notes.txt", "backup.json.bak", "archive.tar.gz", "no-suffix"):
        (tmp_path / name).write_text("?")
    (tmp_path / "schema.json").write_text("{}")
    wanted = ["archive.tar.gz", "backup.json.bak", "deep/notes.txt", "no-suffix"]
    assert skipped_files(tmp_path) == wanted
