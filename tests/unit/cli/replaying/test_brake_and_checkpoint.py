"""The brake of a replay, its progress, and its checkpoint."""

from pathlib import Path

import pytest

from infra.cli.errors import CommandError
from infra.cli.replaying.checkpoint import (
    CANCELLED,
    COMPLETED,
    EVERY,
    PAUSED,
    RUNNING,
    Checkpoint,
    Checkpoints,
    Keeper,
    StopRequested,
    key_of,
)
from infra.cli.replaying.interruption import Interruption
from infra.cli.replaying.pacing import BEHIND, CAUGHT_UP, Brake
from infra.cli.replaying.progress import ReplayProgress
from infra.cli.replaying.tally import Tally
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.schema import JOURNAL
from infra.local.platform import stack_of
from storage.sqlite.database import Database

NOW = 1_000.0
TARGET = "OrderCreatedRule/OrderProcessing"


class Platform:
    """A journal with due deliveries, of which some are made whenever the brake sleeps."""

    def __init__(self, root: Path, waiting: int, at_once: int) -> None:
        self.database = Database(str(root / "orderflow.db"))
        self.database.define(JOURNAL)
        self.now = NOW
        self.at_once = at_once
        self.add(waiting, TARGET, NOW - 1)
        self.stack = stack_of(DataDirectory(root))

    def add(self, number: int, target: str, due: float) -> None:
        with self.database.transaction() as connection:
            connection.executemany(
                "insert into deliveries (event_seq, target, due, attempts) values (?, ?, ?, 0)",
                [(1, target, due)] * number,
            )

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        with self.database.transaction() as connection:
            connection.execute(
                "delete from deliveries where id in (select id from deliveries limit ?)",
                (self.at_once,),
            )

    def brake(self) -> Brake:
        return Brake(self.database, self.stack, lambda: self.now, self.sleep)


def test_a_brake_holds_until_the_platform_has_caught_up(tmp_path: Path) -> None:
    platform = Platform(tmp_path, BEHIND + 1, 100)
    brake, seen = platform.brake(), list[int]()
    brake.wait(seen.append)
    assert brake.behind() <= CAUGHT_UP
    assert len(seen) == -(-(BEHIND + 1 - CAUGHT_UP) // 100)
    assert brake.held == pytest.approx(len(seen) * 0.25)


def test_a_brake_does_not_hold_for_a_little_work_or_for_work_of_the_future(tmp_path: Path) -> None:
    platform = Platform(tmp_path, BEHIND, 1)
    platform.add(BEHIND, TARGET, NOW + 60)
    platform.add(BEHIND, "AnalyticsRule/OrderEvents", NOW - 1)  # a stream waits for its interval
    seen: list[int] = []
    platform.brake().wait(seen.append)
    assert seen == []


def test_a_brake_looks_a_few_times_a_second_alone(tmp_path: Path) -> None:
    platform = Platform(tmp_path, 0, 1)
    brake, seen = platform.brake(), list[int]()
    brake.wait(seen.append)
    platform.add(2 * BEHIND, TARGET, NOW - 1)
    brake.wait(seen.append)
    assert seen == []
    platform.at_once = 2 * BEHIND
    platform.now += 1
    brake.wait(seen.append)
    assert seen == [2 * BEHIND]


def test_progress_tells_share_rate_and_the_remaining_time() -> None:
    share = [0.0]
    progress = ReplayProgress(lambda: share[0], lambda: 0.0)
    progress.show(0, 0)
    share[0] = 0.25
    assert progress.described(500, 400, 10.0) == "25 %; 500 read, 400 sent, 50/s; 30 s left"
    share[0] = 0.001
    assert progress.described(5, 5, 10.0).endswith("2 h 46 min left")
    assert ReplayProgress(lambda: None, lambda: 0.0).described(5, 4, 1.0) == "5 read, 4 sent, 5/s"
    dry = ReplayProgress(lambda: None, lambda: 0.0, done="selected")
    assert dry.described(5, 4, 1.0) == "5 read, 4 selected, 5/s"


# ---- the checkpoint


def begun(root: Path) -> tuple[Checkpoints, Keeper, list[float]]:
    checkpoints, clock = Checkpoints(root), [100.0]
    checkpoint = Checkpoint("key", "name", "file", started="2026-01-31T12:00:00.000Z")
    return checkpoints, Keeper(checkpoints, checkpoint, lambda: clock[0]), clock


def test_a_checkpoint_is_saved_at_most_once_per_interval(tmp_path: Path) -> None:
    checkpoints, keeper, clock = begun(tmp_path)
    keeper.save()
    keeper.advance(5, {"counts": {"read": 5}})
    first = checkpoints.find("key")
    assert first is not None
    assert (first.offset, first.counts) == (0, {})
    clock[0] += EVERY
    keeper.advance(9, {"counts": {"read": 9}})
    found = checkpoints.find("key")
    assert found is not None
    assert (found.offset, found.counts, found.state) == (9, {"counts": {"read": 9}}, RUNNING)


@pytest.mark.parametrize("state", [PAUSED, CANCELLED])
def test_another_command_stops_a_running_replay(tmp_path: Path, state: str) -> None:
    checkpoints, keeper, clock = begun(tmp_path)
    keeper.save()
    checkpoints.ask("key", state)
    clock[0] += EVERY
    with pytest.raises(StopRequested) as stopped:
        keeper.advance(7, {})
    assert stopped.value.state == state
    found = checkpoints.find("key")
    assert found is not None
    assert (found.state, found.offset) == (state, 7)


def test_a_request_to_stop_is_of_one_run_alone(tmp_path: Path) -> None:
    checkpoints, keeper, _ = begun(tmp_path)
    checkpoints.ask("key", PAUSED)
    with checkpoints.held("key"):
        keeper.save()
    checkpoints.ask("key", "anything")
    keeper.check()
    found = checkpoints.find("key")
    assert found is not None
    assert found.state == RUNNING


def test_one_process_alone_sends_the_events_of_a_replay(tmp_path: Path) -> None:
    checkpoints = begun(tmp_path)[0]
    assert not checkpoints.is_running("key")
    with checkpoints.held("key"):
        assert checkpoints.is_running("key")
        assert not checkpoints.is_running("other")
        with (
            pytest.raises(CommandError, match="running in another process"),
            checkpoints.held("key"),
        ):
            pass
    assert not checkpoints.is_running("key")


def test_the_oldest_ended_replays_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cli.replaying.checkpoint.KEPT", 2)
    checkpoints = Checkpoints(tmp_path)
    for number, state in enumerate((PAUSED, CANCELLED, COMPLETED, CANCELLED, COMPLETED)):
        with checkpoints.held(str(number)):
            checkpoints.save(Checkpoint(str(number), "n", "f", state=state, started=str(number)))
    assert [each.key for each in checkpoints.all()] == ["0", "3", "4"]
    assert len(list(checkpoints.folder.iterdir())) == 6


def test_a_wait_ends_when_another_command_stops_the_replay() -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) > 1:
            raise StopRequested(PAUSED)

    with pytest.raises(StopRequested):
        Interruption(look).sleep(60)
    assert looks == [0, 1]


def test_a_damaged_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints, keeper, _ = begun(tmp_path)
    keeper.save()
    (checkpoints.folder / "key.json").write_text("{")
    assert (checkpoints.find("key"), checkpoints.all()) == (None, [])


def test_a_checkpoint_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "replays").write_text("a file")
    with pytest.raises(CommandError, match="cannot be written"):
        begun(tmp_path)[1].save()


def test_a_key_depends_on_every_part() -> None:
    parts = {"digest": "d", "to": "t", "limit": None}
    keys = {key_of(parts), *(key_of({**parts, name: "x"}) for name in parts)}
    assert len(keys) == 1 + len(parts)


def test_counts_continue_from_a_checkpoint() -> None:
    first = Tally()
    first.count("read", 3)
    first.types["Order Created"] += 2
    second = Tally(first.saved())
    second.count("read")
    assert (second["read"], second.types["Order Created"]) == (4, 2)
