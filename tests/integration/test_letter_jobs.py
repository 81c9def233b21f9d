"""Jobs redrive, discard and restore a group of dead letters at a pace, each dead letter once."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.dead_letters.reading import KEPT
from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Item, Kind
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.dead_letters import DeadLetters
from infra.local.engine.letter_jobs import (
    CHUNK,
    MAX_ACTIVE,
    MAX_LETTERS,
    LetterJobs,
    Wanted,
)
from infra.views.letter_jobs import find_job
from tests.fakes.runtime import DAY, FunctionError, Rig
from tests.integration.test_letters import RECEIVES, VISIBILITY, open_letters

MANY = 30


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


def give_up(rig: Rig, number: int = MANY) -> list[int]:
    """Let messages fail as often as they may; return the numbers of their dead letters."""

    def raising(_: Any) -> Any:
        raise FunctionError("Oops", "nothing works")

    rig.handlers["Worker"] = raising
    rig.send(*(f'{{"order_id": "A-{each}"}}' for each in range(number)))
    rig.settle()
    for _ in range(RECEIVES):
        rig.pass_time(VISIBILITY)
    rig.handlers["Worker"] = lambda _: {}
    found = [letter["id"] for letter in open_letters(rig)]
    assert len(found) == number
    return found


def start(rig: Rig, ids: list[int], action: str = "redrive", rate: float | None = None) -> int:
    wanted = Wanted(action, ids, "a group", "a test", "ada", rate)
    number: int = rig.ask(lambda now: rig.engine.letter_jobs.start(wanted, now))
    return number


def job(rig: Rig, number: int) -> Any:
    [row] = rig.rows("select * from letter_jobs where id = ?", number)
    return row


def redriven(rig: Rig) -> Counter[int]:
    rows = rig.rows("select letter from letter_log where what = 'REDRIVEN'")
    return Counter(row["letter"] for row in rows)


def test_a_job_redrives_each_dead_letter_once_and_is_recorded_once(rig: Rig) -> None:
    ids = give_up(rig)
    number = start(rig, ids)
    rig.settle()
    assert (job(rig, number)["state"], job(rig, number)["handled"]) == ("COMPLETED", MANY)
    assert redriven(rig) == Counter(ids)
    assert open_letters(rig) == []
    [action] = rig.rows("select * from operator_actions")
    assert (action["actor"], action["action"], action["result"]) == ("ada", "redrive group", "DONE")
    assert '"done":30' in action["after"].replace(" ", "")


def test_a_job_takes_several_turns(rig: Rig) -> None:
    ids = give_up(rig, CHUNK + 5)
    number = start(rig, ids, "discard")
    assert job(rig, number)["handled"] <= CHUNK
    rig.settle()
    assert job(rig, number)["handled"] == CHUNK + 5


def test_a_job_keeps_its_pace_also_after_a_pause_and_a_restart(rig: Rig) -> None:
    number = start(rig, give_up(rig), rate=2)
    rig.pass_time(5)
    assert 10 <= job(rig, number)["handled"] <= 12
    rig.ask(lambda now: rig.engine.letter_jobs.pause(number, now))
    before = job(rig, number)["handled"]
    rig.pass_time(60)
    assert (job(rig, number)["state"], job(rig, number)["handled"]) == ("PAUSED", before)
    rig.restart()
    assert job(rig, number)["state"] == "PAUSED"
    rig.ask(lambda now: rig.engine.letter_jobs.go_on(number, now))
    rig.restart()
    rig.pass_time(2)
    assert job(rig, number)["handled"] <= before + 6
    rig.pass_time(60)
    assert job(rig, number)["state"] == "COMPLETED"
    assert set(redriven(rig).values()) == {1}


def test_a_job_at_a_pace_ends_with_its_last_dead_letter(rig: Rig) -> None:
    number = start(rig, give_up(rig, 2), rate=0.01)
    rig.pass_time(101)
    assert (job(rig, number)["state"], job(rig, number)["handled"]) == ("COMPLETED", 2)


def test_a_cancelled_job_leaves_the_rest_open(rig: Rig) -> None:
    number = start(rig, give_up(rig), rate=2)
    rig.pass_time(2)
    rig.ask(lambda now: rig.engine.letter_jobs.cancel(number, now))
    handled = job(rig, number)["handled"]
    rig.pass_time(60)
    assert (job(rig, number)["state"], job(rig, number)["handled"]) == ("CANCELLED", handled)
    assert len(open_letters(rig)) == MANY - handled
    [action] = rig.rows("select result, after from operator_actions")
    assert (action["result"], '"CANCELLED"' in action["after"]) == ("DONE", True)


def test_a_dead_letter_that_was_handled_meanwhile_is_refused_and_named(rig: Rig) -> None:
    ids = give_up(rig)
    number = start(rig, ids, rate=1)
    last = ids[-1]
    rig.ask(lambda now: rig.engine.dead_letters.discard([last], "by hand", "bob", now))
    rig.pass_time(60)
    assert (job(rig, number)["refused"], job(rig, number)["handled"]) == (1, MANY)
    [row] = rig.rows("select letter, problem from letter_job_members where problem is not null")
    assert row["letter"] == last
    assert "is discarded" in row["problem"]
    assert redriven(rig)[last] == 0


def test_an_error_in_one_dead_letter_ends_that_one_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = give_up(rig)
    discard = DeadLetters.discard

    def odd(self: DeadLetters, chosen: list[int], *rest: Any, **more: Any) -> Any:
        if chosen == [ids[3]]:
            raise RuntimeError("odd")
        return discard(self, chosen, *rest, **more)

    monkeypatch.setattr(DeadLetters, "discard", odd)
    rig.failures_expected = True
    number = start(rig, ids, "discard")
    rig.settle()
    assert job(rig, number)["refused"] == 1
    assert [letter["id"] for letter in open_letters(rig)] == [ids[3]]


def test_a_discard_is_undone_as_one_job_and_only_once(rig: Rig) -> None:
    ids = give_up(rig)
    number = start(rig, ids, "discard")
    rig.settle()
    assert open_letters(rig) == []
    undone: int = rig.ask(lambda now: rig.engine.letter_jobs.undo(number, "bob", now))
    rig.settle()
    assert [letter["id"] for letter in open_letters(rig)] == ids
    assert job(rig, undone)["action"] == "restore"
    with pytest.raises(InvalidRequest, match="is undone already"):
        rig.ask(lambda now: rig.engine.letter_jobs.undo(number, "bob", now))
    with pytest.raises(InvalidRequest, match="only an ended discard"):
        rig.ask(lambda now: rig.engine.letter_jobs.undo(undone, "bob", now))


def test_a_discard_is_undone_once_by_two_requests_of_one_turn(rig: Rig) -> None:
    number = start(rig, give_up(rig, 2), "discard")
    rig.settle()

    def twice(now: float) -> int:
        undone: int = rig.engine.letter_jobs.undo(number, "ada", now)
        with pytest.raises(InvalidRequest, match=f"is undone already, by job {undone}"):
            rig.engine.letter_jobs.undo(number, "bob", now)
        return undone

    rig.ask(twice)
    rig.settle()
    assert len(open_letters(rig)) == 2


def test_the_rest_of_a_cancelled_undo_can_be_undone(rig: Rig) -> None:
    number = start(rig, give_up(rig, 4), "discard", rate=1.0)
    rig.pass_time(10)
    jobs = rig.engine.letter_jobs
    first: int = rig.ask(lambda now: jobs.undo(number, "ada", now))
    rig.turn(2)
    rig.ask(lambda now: jobs.cancel(first, now))
    restored = job(rig, first)["handled"]
    assert 0 < restored < 4
    assert find_job(rig.database, number).can_undo  # type: ignore[union-attr]
    second: int = rig.ask(lambda now: jobs.undo(number, "ada", now))
    rig.pass_time(10)
    ended = job(rig, second)
    assert (ended["state"], ended["handled"]) == ("COMPLETED", 4 - restored)
    assert ended["refused"] == 0
    assert len(open_letters(rig)) == 4
    assert find_job(rig.database, number).undone_by == second  # type: ignore[union-attr]


def test_a_job_that_discarded_nothing_has_nothing_to_undo(rig: Rig) -> None:
    number = start(rig, [1, 2], "discard")
    rig.settle()
    with pytest.raises(InvalidRequest, match="no dead letter that is left to restore"):
        rig.ask(lambda now: rig.engine.letter_jobs.undo(number, "bob", now))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"letters": []}, "1 to 10,000"),
        ({"letters": list(range(1, MAX_LETTERS + 2))}, "1 to 10,000"),
        ({"rate": 0}, "rate: "),
        ({"rate": 1e9}, "rate: "),
        ({"action": "burn"}, "action: "),
        ({"action": "discard", "reason": ""}, "reason: "),
    ],
)
def test_a_job_that_cannot_be_run_is_refused_whole(
    rig: Rig, changes: dict[str, Any], problem: str
) -> None:
    fields = {"action": "redrive", "letters": [1], "label": "x", "reason": "y", "who": "ada"}
    wanted = Wanted(**{**fields, **changes})
    with pytest.raises(InvalidRequest, match=problem):
        rig.ask(lambda now: rig.engine.letter_jobs.start(wanted, now))
    assert rig.rows("select * from letter_jobs") == []


def test_too_many_jobs_are_refused(rig: Rig) -> None:
    ids = give_up(rig)
    for _ in range(MAX_ACTIVE):
        start(rig, ids, rate=0.001)
    with pytest.raises(InvalidRequest, match="cancel one"):
        start(rig, ids)


def test_a_job_that_has_ended_or_never_was_is_not_changed(rig: Rig) -> None:
    number = start(rig, give_up(rig))
    rig.settle()
    for which, problem in ((number, "is COMPLETED"), (99, "there is no job 99")):
        with pytest.raises(InvalidRequest, match=problem):
            rig.ask(partial(rig.engine.letter_jobs.pause, which))


def test_jobs_of_one_turn_keep_their_rows(rig: Rig) -> None:
    """A job is paused, another is started and cancelled, in one turn."""
    ids = give_up(rig)
    first = start(rig, ids, rate=0.01)
    jobs = rig.engine.letter_jobs

    def all_at_once(now: float) -> int:
        jobs.pause(first, now)
        second = jobs.start(Wanted("redrive", ids, "b", "", "ada", 0.01), now)
        jobs.cancel(second, now)
        return second

    second: int = rig.ask(all_at_once)
    assert (job(rig, first)["state"], job(rig, second)["state"]) == ("PAUSED", "CANCELLED")


def test_a_dead_letter_that_ended_the_process_twice_is_left_out(rig: Rig) -> None:
    ids = give_up(rig)
    number = start(rig, ids, rate=0.01)
    jobs = rig.engine.letter_jobs
    rig.ask(lambda now: jobs.quarantine(ids[5], "it ended the process twice", now))
    rig.pass_time(10_000)
    assert job(rig, number)["state"] == "COMPLETED"
    assert [letter["id"] for letter in open_letters(rig)] == [ids[5]]
    assert str(Item(Kind.LETTER_JOB, 5, 5)) == "letter_job 5"


def test_the_dead_letter_that_is_left_out_counts_as_refused(rig: Rig) -> None:
    ids = give_up(rig, 4)
    number = start(rig, ids, rate=0.01)
    rig.settle()
    rig.ask(partial(rig.engine.letter_jobs.pause, number))
    rig.ask(lambda now: rig.engine.letter_jobs.quarantine(ids[0], "of a job that is past it", now))
    rig.ask(lambda now: rig.engine.letter_jobs.quarantine(ids[2], "it ended the process", now))
    assert (job(rig, number)["handled"], job(rig, number)["refused"]) == (2, 1)
    rig.ask(partial(rig.engine.letter_jobs.go_on, number))
    rig.pass_time(1_000)
    assert job(rig, number)["state"] == "COMPLETED"
    assert redriven(rig) == Counter([*ids[:2], ids[3]])
    [row] = rig.rows("select letter from letter_job_members where problem is not null")
    assert row["letter"] == ids[2]
    [action] = rig.rows("select after from operator_actions")
    counts = json.loads(action["after"])
    assert (counts["done"], counts["refused"], counts["untouched"]) == (3, 1, 0)


def test_a_recovery_leaves_the_dead_letter_out_before_it_loads_the_job(rig: Rig) -> None:
    ids = give_up(rig, 3)
    number = start(rig, ids, rate=0.01)
    rig.settle()
    jobs = LetterJobs(rig.engine.dead_letters, rig.engine.boundary)

    def recover(now: float) -> None:
        rig.engine.letter_jobs.active.clear()
        jobs.quarantine(ids[1], "it ended the process twice", now)
        jobs.resume(Suspects(rig.engine.journal, [], now), now)

    rig.ask(recover)
    assert (job(rig, number)["handled"], job(rig, number)["refused"]) == (2, 1)


def test_an_undo_leaves_what_somebody_has_discarded_since(rig: Rig) -> None:
    ids = give_up(rig, 3)
    number = start(rig, ids, "discard")
    rig.settle()
    letters = rig.engine.dead_letters
    rig.ask(lambda now: letters.restore(ids[:2], "bob", now))
    rig.ask(lambda now: letters.discard([ids[0]], "really", "bob", now))
    rig.settle()
    undone: int = rig.ask(lambda now: rig.engine.letter_jobs.undo(number, "ada", now))
    rig.settle()
    assert [letter["id"] for letter in open_letters(rig)] == ids[1:]
    assert (job(rig, undone)["handled"], job(rig, undone)["refused"]) == (3, 2)
    problems = rig.rows(
        "select problem from letter_job_members where job = ? and problem > ''", undone
    )
    assert (
        f"dead letter {ids[0]} was restored, and discarded again by bob" in problems[0]["problem"]
    )


def test_a_failed_request_leaves_a_job_and_its_pace_as_they_were(rig: Rig) -> None:
    number = start(rig, give_up(rig, 4), rate=0.01)
    active = rig.engine.letter_jobs.active[number]

    def fail(now: float) -> None:
        rig.engine.letter_jobs.pause(number, now)
        raise InvalidRequest("ValidationException", "refused after all")

    rig.pass_time(1)
    before = (active.state, active.next_at, active.since, active.before)
    with pytest.raises(InvalidRequest, match="after all"):
        rig.ask(fail)
    assert (active.state, active.next_at, active.since, active.before) == before
    assert job(rig, number)["state"] == "RUNNING"


def test_an_ended_job_is_deleted_with_its_list_after_14_days(rig: Rig) -> None:
    start(rig, give_up(rig), "discard")
    rig.settle()
    rig.pass_time(KEPT - DAY)
    assert rig.rows("select count(*) as n from letter_job_members")[0]["n"] == MANY
    rig.pass_time(2 * DAY)
    assert rig.rows("select * from letter_jobs") == []
    assert rig.rows("select * from letter_job_members") == []
