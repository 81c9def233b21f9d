"""Charts are proportional and start at zero, and their labels do not overlap."""

import re

import pytest

from analytics import charts


def attributes(svg: str, tag: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'<{tag} [^>]*\b{name}="([-\d.]+)"', svg)]


def test_horizontal_bars_are_proportional_to_their_values() -> None:
    svg = charts.bars([("a", 10), ("b", 40), ("c", 0)], "x")
    a, b, c = attributes(svg, "rect", "width")
    assert b == pytest.approx(4 * a, rel=0.01)
    assert c < 2, "a mark that there is nothing"


def test_vertical_bars_start_at_zero() -> None:
    svg = charts.columns([("a", 10), ("b", -10)], "x")
    (up, down), (tall, deep) = attributes(svg, "rect", "y"), attributes(svg, "rect", "height")
    assert up + tall == pytest.approx(down, abs=0.2)
    assert tall == pytest.approx(deep, abs=0.2)


def test_the_points_of_a_line_are_at_their_positions() -> None:
    svg = charts.lines([0, 1, 4], ["a", "b", "c"], {"": [1.0, None, 3.0]}, "x")
    first, last = attributes(svg, "circle", "cx")
    assert svg.count("<circle") == 2, "what is absent is not nought"
    assert first < last


def test_a_single_series_has_no_legend() -> None:
    one = charts.lines([0, 1], ["a", "b"], {"USD": [1.0, 2.0]}, "x")
    two = charts.lines([0, 1], ["a", "b"], {"USD": [1.0, 2.0], "EUR": [2.0, 1.0]}, "x")
    assert "legend" not in one
    assert re.findall(r"<i></i>(\w+)", two) == ["USD", "EUR"]


def test_overlapping_labels_are_left_out() -> None:
    names = [f"2026-01-31 12:{minute:02d}" for minute in range(60)]
    svg = charts.lines(list(range(60)), names, {"": [1.0] * 60}, "x")
    shown = re.findall(r'text-anchor="middle">([^<]+)<', svg)
    assert names[0] in shown
    assert 3 < len(shown) < 10


@pytest.mark.parametrize("points", [[], [("a", 0.0)], [("a", 1e-9)], [("a", 1e15)]])
def test_nothing_and_extremes_can_be_drawn(points: list[charts.Point]) -> None:
    for svg in (charts.bars(points, "x"), charts.columns(points, "x")):
        assert svg.count("<rect") == len(points)
        assert "nan" not in svg


@pytest.mark.parametrize(
    ("value", "text", "short"),
    [
        (0, "0", "0"),
        (1234567, "1,234,567", "1.23M"),
        (1234.5, "1,234.50", "1.23k"),
        (-2500, "-2,500", "-2.5k"),
        (0.125, "0.12", "0.125"),
        (0.00312, "0.0031", "0.00312"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str, short: str) -> None:
    assert charts.number(value) == text
    assert charts.compact(value) == short
