"""An id begins with its time, so that a row is found by the time's index."""

from uuid import UUID

import pytest

from kernel.time_ordered_id import milliseconds_of, time_ordered_id


def test_an_id_has_its_time_and_the_form_of_version_7() -> None:
    text = time_ordered_id(1_769_860_800.25)
    assert milliseconds_of(text) == 1_769_860_800_250
    assert (UUID(text).version, str(UUID(text))) == (7, text)
    assert UUID(text).variant == UUID("0e126a2f-c95d-4582-8d43-cc046287e26e").variant


def test_two_ids_of_one_time_differ_and_a_later_one_is_larger() -> None:
    ids = {time_ordered_id(5.0) for _ in range(1_000)}
    assert len(ids) == 1_000
    assert max(ids) < time_ordered_id(5.001)


@pytest.mark.parametrize(
    "text", ["", "A-1", "0e126a2f-c95d-4582-8d43-cc046287e26e", "0" * 36, "é" * 36]
)
def test_an_id_of_another_form_has_no_time(text: str) -> None:
    assert milliseconds_of(text) is None
