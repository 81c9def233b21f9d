"""docs/reliability.md is generated from these tests."""

from tests.reliability import PAGE, page


def test_the_page_matches_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.reliability"
