"""The backlog: keys are due exactly when the journal may have due rows."""

from math import inf

from infra.local.engine.backlog import Backlog

NOW = 1_000.0


def emptied() -> Backlog:
    """Return a backlog whose keys all rest."""
    backlog = Backlog(["a", "b"])
    backlog.rest("a", None)
    backlog.rest("b", None)
    return backlog


def test_every_key_is_due_at_the_start() -> None:
    backlog = Backlog(["a", "b"])
    assert backlog.is_due("a", NOW)
    assert backlog.is_due("b", NOW)


def test_a_resting_key_is_not_due() -> None:
    backlog = emptied()
    assert not backlog.is_due("a", NOW)
    assert backlog.next_due() == inf


def test_a_row_of_a_turn_counts_after_the_commit() -> None:
    backlog = emptied()
    backlog.wake("a", NOW)
    assert not backlog.is_due("a", NOW)
    backlog.committed()
    assert backlog.is_due("a", NOW)
    assert not backlog.is_due("b", NOW)


def test_a_later_row_is_due_at_its_time() -> None:
    backlog = emptied()
    backlog.wake("a", NOW + 5)
    backlog.committed()
    assert not backlog.is_due("a", NOW + 4.9)
    assert backlog.is_due("a", NOW + 5)
    assert backlog.next_due() == NOW + 5


def test_the_earliest_row_decides_when_a_key_is_due() -> None:
    backlog = emptied()
    backlog.wake("a", NOW + 5)
    backlog.wake("a", NOW + 9)
    backlog.committed()
    backlog.wake("a", NOW + 7)
    backlog.committed()
    assert backlog.next_due() == NOW + 5


def test_a_row_added_in_the_turn_of_a_rest_is_still_counted() -> None:
    backlog = Backlog(["a"])
    backlog.wake("a", NOW)
    backlog.rest("a", NOW + 60)
    backlog.committed()
    assert backlog.is_due("a", NOW)


def test_a_key_that_rests_until_a_moment_is_due_then() -> None:
    backlog = Backlog(["a"])
    backlog.rest("a", NOW + 60)
    assert backlog.next_due() == NOW + 60
    assert backlog.is_due("a", NOW + 60)


def test_a_commit_counts_once() -> None:
    backlog = emptied()
    backlog.wake("a", NOW)
    backlog.committed()
    backlog.rest("a", None)
    backlog.committed()
    assert not backlog.is_due("a", NOW)


def test_a_backlog_contains_its_keys() -> None:
    backlog = Backlog(["a"])
    assert "a" in backlog
    assert "c" not in backlog


def test_nothing_is_ever_due_without_keys() -> None:
    assert Backlog([]).next_due() == inf
