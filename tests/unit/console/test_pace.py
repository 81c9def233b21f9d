"""The pace of a form."""

import pytest

from infra.console.pace import pace_of


@pytest.mark.parametrize(("text", "pace"), [("", None), (" ", None), ("0.1", 0.1), ("20", 20.0)])
def test_a_pace_is_read(text: str, pace: float | None) -> None:
    assert pace_of(text, "events", 20) == pace


@pytest.mark.parametrize("text", ["0.09", "20.1", "nan", "inf", "-1", "fast"])
def test_a_wrong_pace_names_its_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"pace: '.*' is no number of events a second from 0.1 to"):
        pace_of(text, "events", 20)
