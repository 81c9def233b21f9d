"""Files that people hand in: any bytes are lines, or an error that says what is wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.cli.event_files import UnreadableFile, read_events, to_put_entry
from infra.cli.stock_file import MAX_UNITS, read_stock
from kernel.errors import InvalidStock
from tests.fakes.events import envelope
from tests.strategies import json_values, nested

SOUND = json.dumps(envelope()).encode()
pieces = st.sampled_from(
    [SOUND, SOUND[:40], b"\n", b"\r\n", b"\n\n", b"[", b"]", b",", b"{", b"}", b"\xef\xbb\xbf"]
    + [b"\0", b"\xff", b" ", b'"', b"null", b"{}", b"[]", b'{"source": 1}', b"\x85", b"NaN"]
)
event_files = (
    st.lists(pieces | st.binary(max_size=8), max_size=8).map(b"".join)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.lists(json_values, max_size=4).map(
        lambda values: "\n".join(map(json.dumps, values)).encode()
    )
)
cells = st.sampled_from(
    [b"sku", b"on_hand", b"TEA", b"CUP-1", b"5", b"0", b"-1", b"1e3", b"", b" 7 ", b'"TEA"', b'"']
    + [b"\xd9\xa3", b"9" * 500, b"\xff", b"\0", b"\xef\xbb\xbf", b"TEA" * 40, b"on_hand "]
)
rows = st.lists(cells, max_size=3).map(b",".join)
stock_files = st.builds(
    lambda head, lines, end: end.join([*head, *lines]),
    st.sampled_from([[b"sku,on_hand"], [b"on_hand,sku"], []]),
    st.lists(rows | st.binary(max_size=6), max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bytes], Path]:
    """Write a file, over the one before, and return its path."""
    folder = tmp_path_factory.mktemp("files")

    def write(name: str, content: bytes) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


@given(event_files, st.sampled_from(["any.json", "any.ndjson"]))
@example(nested(100_000).encode(), "any.json")
@example(nested(100_000).encode(), "any.ndjson")
@example(b'{"Source": 1, "DetailType": 2, "Detail": "' + b"[" * 9_000 + b'"}', "any.json")
def test_any_bytes_are_events_or_problems_with_their_lines(
    file: Callable[[str, bytes], Path], content: bytes, name: str
) -> None:
    path = file(name, content)
    try:
        lines = list(read_events(path))
    except UnreadableFile as error:
        assert error.problem
        return
    for line in lines:
        assert (line.event is None) is bool(line.problem)
        assert 1 <= line.number <= content.count(b"\n") + content.count(b"\r") + 1
        if line.envelope is not None:
            entry: dict[str, Any] = to_put_entry(line.envelope)
            assert json.loads(entry["Detail"])["order_id"]


@given(stock_files)
@example(b"sku,on_hand\nTEA,\xd9\xa3")
@example(b'sku,on_hand\n"TEA,5')
def test_any_bytes_are_stock_or_an_error_with_its_line(
    file: Callable[[str, bytes], Path], content: bytes
) -> None:
    path = file("stock.csv", content)
    try:
        receipt = read_stock(path)
    except InvalidStock as error:
        assert error.field.startswith(str(path))
        return
    assert receipt.units
    assert all(0 <= units <= MAX_UNITS for units in receipt.units.values())
    assert read_stock(path) == receipt


@pytest.mark.parametrize("digits", [5_000, 200_000])
def test_a_number_of_any_length_is_refused_with_its_line(
    file: Callable[[str, bytes], Path], digits: int
) -> None:
    path = file("stock.csv", b"sku,on_hand\nTEA," + b"9" * digits)
    with pytest.raises(InvalidStock):
        read_stock(path)
