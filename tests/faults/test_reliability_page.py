"""docs/reliability.md says what these tests show."""

from tests.reliability import PAGE, page


def test_the_page_is_as_the_tests_have_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.reliability"
