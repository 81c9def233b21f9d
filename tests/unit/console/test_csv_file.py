"""Texts of others in CSV files."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.console.csv_file import csv_file, safe_cell


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_a_formula_becomes_a_text(first: str) -> None:
    assert safe_cell(f"{first}1+1") == f"'{first}1+1"


def test_a_negative_number_stays_a_number() -> None:
    assert csv_file(["n"], [[-5], [-1.5], [None]]) == b'n\n-5\n-1.5\n""\n'


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2))
def test_a_file_has_the_cells_and_no_formula(row: list[str]) -> None:
    text = csv_file(["a", "b"], [row]).decode()
    [_, read] = csv.reader(io.StringIO(text, newline=""))
    assert read == [safe_cell(cell) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in read)


def test_a_line_end_in_a_cell_begins_no_line() -> None:
    assert csv_file(["a"], [["x\r=1+1"]]) == b'a\n"x\r=1+1"\n'
