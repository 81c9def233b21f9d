"""Replays of the archive are paced jobs of the engine, which outlive a crash."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Item, Kind
from infra.local.engine import replays
from infra.local.engine.replays import BEHIND, CHUNK, MAX_ACTIVE
from tests.fakes.runtime import DAY, Rig, entry

FAR = 4e9
SECOND = 1.0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def archived(rig: Rig) -> Rig:
    """A bus whose archive has a few chunks of events."""
    for first in range(0, 3 * CHUNK, 10):
        rig.put(*(entry("Spare", Detail=f'{{"n": {first + each}}}') for each in range(10)))
    rig.settle()
    return rig


def start(rig: Rig, name: str = "again", rate: float | None = None) -> None:
    rig.ask(lambda now: rig.engine.replays.start(name, 0.0, FAR, (), now, rate))


def ask(rig: Rig, change: Callable[[str, float], str]) -> None:
    rig.ask(lambda now: change("again", now))


def state(rig: Rig, name: str = "again") -> tuple[str, int]:
    [row] = rig.rows("select state, replayed from replays where name = ?", name)
    return row["state"], row["replayed"]


def test_a_replay_takes_several_turns(archived: Rig) -> None:
    start(archived)
    assert state(archived)[0] == "RUNNING"
    assert state(archived)[1] <= CHUNK
    archived.settle()
    assert state(archived) == ("COMPLETED", 3 * CHUNK)
    assert archived.engine.replays.active == {}


def test_several_replays_share_a_turn(archived: Rig) -> None:
    for number in range(4):
        start(archived, f"r-{number}")
    before = sum(state(archived, f"r-{number}")[1] for number in range(4))
    archived.turn()
    after = [state(archived, f"r-{number}")[1] for number in range(4)]
    assert sum(after) - before == CHUNK
    archived.settle()
    assert {state(archived, f"r-{number}") for number in range(4)} == {("COMPLETED", 3 * CHUNK)}


def test_a_replay_that_starts_in_the_turn_of_another_change_is_kept(archived: Rig) -> None:
    start(archived, "again", rate=0.01)

    def both(now: float) -> None:
        archived.engine.replays.pause("again", now)
        archived.engine.replays.start("second", 0.0, FAR, (), now)

    archived.ask(both)
    assert state(archived, "second") == ("RUNNING", CHUNK)
    archived.restart()
    archived.settle()
    assert state(archived) == ("PAUSED", 1)
    assert state(archived, "second") == ("COMPLETED", 3 * CHUNK)


def test_a_replay_at_a_pace_ends_with_its_last_event(rig: Rig) -> None:
    rig.put(entry("Spare"), entry("Spare"))
    rig.settle()
    start(rig, rate=0.01)
    rig.pass_time(101)
    assert state(rig) == ("COMPLETED", 2)


def test_a_replay_of_nothing_is_completed(rig: Rig) -> None:
    start(rig)
    rig.settle()
    assert state(rig) == ("COMPLETED", 0)


def test_after_a_crash_a_replay_continues_and_delivers_each_event_once(rig: Rig) -> None:
    for first in range(0, 2 * CHUNK, 10):
        rig.put(*(entry(Detail=f'{{"n": {first + each}}}') for each in range(10)))
    rig.settle()
    rig.ask(lambda now: rig.engine.journal.batch.add("delete from messages"))
    start(rig)
    position = state(rig)[1]
    rig.restart()
    rig.settle()
    assert position < 2 * CHUNK
    assert state(rig) == ("COMPLETED", 2 * CHUNK)
    times = Counter(row["body"] for row in rig.queue("Work"))
    assert (len(times), set(times.values())) == (2 * CHUNK, {1})


def test_a_replay_keeps_its_rate(archived: Rig) -> None:
    start(archived, rate=10)
    archived.turn()
    first = state(archived)[1]
    for _ in range(4):
        archived.pass_time(SECOND)
        archived.turn()
    assert first <= 1
    assert 40 <= state(archived)[1] <= 42
    archived.ask(lambda now: archived.engine.replays.cancel("again", now))


def test_a_pause_is_not_caught_up_with(archived: Rig) -> None:
    start(archived, rate=10)
    archived.ask(lambda now: archived.engine.replays.pause("again", now))
    before = state(archived)[1]
    archived.pass_time(100 * SECOND)
    archived.turn()
    assert state(archived) == ("PAUSED", before)
    archived.ask(lambda now: archived.engine.replays.go_on("again", now))
    archived.turn()
    assert state(archived)[1] <= before + 1
    archived.ask(lambda now: archived.engine.replays.cancel("again", now))
    archived.settle()
    assert state(archived)[0] == "CANCELLED"


def test_a_paused_replay_is_paused_after_a_restart(archived: Rig) -> None:
    start(archived)
    archived.ask(lambda now: archived.engine.replays.pause("again", now))
    archived.restart()
    archived.settle()
    assert state(archived)[0] == "PAUSED"
    archived.ask(lambda now: archived.engine.replays.go_on("again", now))
    archived.settle()
    assert state(archived) == ("COMPLETED", 3 * CHUNK)


def test_a_replay_waits_while_a_target_is_behind(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(*(entry() for _ in range(10)))
    rig.settle()
    monkeypatch.setattr(replays, "BEHIND", 5)
    monkeypatch.setattr(type(rig.engine.bus.rule_targets["queue"]), "room", lambda _: 0)
    rig.put(*(entry() for _ in range(6)))
    start(rig)
    rig.turn()
    assert state(rig) == ("RUNNING", 0)
    monkeypatch.undo()
    rig.pass_time(SECOND)
    assert state(rig)[0] == "COMPLETED"
    assert BEHIND > 5


def test_a_change_that_the_state_forbids_is_refused(archived: Rig) -> None:
    start(archived)
    with pytest.raises(InvalidRequest, match="RUNNING"):
        archived.ask(lambda now: archived.engine.replays.go_on("again", now))
    archived.settle()
    for change in (archived.engine.replays.pause, archived.engine.replays.cancel):
        with pytest.raises(InvalidRequest, match="COMPLETED"):
            ask(archived, change)


def test_the_number_of_replays_is_bounded(archived: Rig) -> None:
    for number in range(MAX_ACTIVE):
        start(archived, f"slow-{number}", rate=0.01)
    with pytest.raises(InvalidRequest) as refused:
        start(archived, "more")
    assert refused.value.code == "LimitExceededException"


def delivered(rig: Rig, patch: pytest.MonkeyPatch) -> set[int]:
    """Replay all events; return the numbers of those that went to the rules."""
    seen: set[int] = set()
    with patch.context() as patched:
        bus = rig.engine.bus
        patched.setattr(bus, "deliver_matching", lambda number, *_: seen.add(number))
        start(rig, f"again-{len(rig.rows('select 1 from replays'))}")
        rig.settle()
    return seen


def test_events_that_ended_the_process_twice_are_left_out_of_each_later_replay(
    archived: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two such events would end each process in turn, if a start forgot the one before."""
    archived.failures_expected = True
    for number in (5, 9, 5, 9):
        archived.restart()
        archived.engine._recover([Item(Kind.REPLAY, number, number)])  # noqa: SLF001
    archived.restart()
    everything = set(range(1, 3 * CHUNK + 1))
    assert delivered(archived, monkeypatch) == everything - {5, 9}
    assert state(archived, "again-0") == ("COMPLETED", 3 * CHUNK)
    assert archived.engine.replays.next_due() == float("inf")
    archived.clock.time += 2 * DAY
    archived.turn()
    archived.restart()
    assert delivered(archived, monkeypatch) == everything  # after a day it is tried again
