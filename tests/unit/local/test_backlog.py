"""The backlog says when it is worth looking into the journal, and never looks in vain."""

from math import inf

from infra.local.engine.backlog import Backlog

NOW = 1_000.0


def emptied() -> Backlog:
    """Return a backlog of which everything was fetched."""
    backlog = Backlog(["a", "b"])
    backlog.rest("a", None)
    backlog.rest("b", None)
    return backlog


def test_at_the_start_every_key_is_worth_a_look() -> None:
    backlog = Backlog(["a", "b"])
    assert backlog.is_due("a", NOW)
    assert backlog.is_due("b", NOW)


def test_a_key_that_rests_is_worth_none() -> None:
    backlog = emptied()
    assert not backlog.is_due("a", NOW)
    assert backlog.next_due() == inf


def test_what_a_turn_adds_counts_once_the_turn_is_committed() -> None:
    backlog = emptied()
    backlog.wake("a", NOW)
    assert not backlog.is_due("a", NOW)
    backlog.committed()
    assert backlog.is_due("a", NOW)
    assert not backlog.is_due("b", NOW)


def test_what_is_due_later_is_worth_a_look_then() -> None:
    backlog = emptied()
    backlog.wake("a", NOW + 5)
    backlog.committed()
    assert not backlog.is_due("a", NOW + 4.9)
    assert backlog.is_due("a", NOW + 5)
    assert backlog.next_due() == NOW + 5


def test_the_earliest_row_counts_whatever_comes_after() -> None:
    backlog = emptied()
    backlog.wake("a", NOW + 5)
    backlog.wake("a", NOW + 9)
    backlog.committed()
    backlog.wake("a", NOW + 7)
    backlog.committed()
    assert backlog.next_due() == NOW + 5


def test_what_was_added_in_the_turn_that_looked_is_not_forgotten() -> None:
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


def test_a_backlog_knows_its_keys() -> None:
    backlog = Backlog(["a"])
    assert "a" in backlog
    assert "c" not in backlog


def test_nothing_is_ever_due_without_keys() -> None:
    assert Backlog([]).next_due() == inf
