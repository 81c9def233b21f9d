"""Worker processes run handlers, are killed at a timeout and replaced after a crash."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.local.template.stack import Function
from infra.local.workers.invocations import Invocation, Result
from infra.local.workers.pool import WorkerError, WorkerPool
from infra.local.workers.worker import RETURN_AFTER
from infra.local.workers.worker_handle import PREFETCH, PREFETCH_BYTES
from kernel.json_text import MAX_DEPTH
from storage.sqlite.database import Database

ROOT = Path(__file__).parents[2]
SOON = 0.3
"""Seconds: the timeout of the functions that exceed it."""

MORE_THAN_A_PIPE = 5_000_000


def function(name: str, timeout: float = 30, **environment: str) -> Function:
    """Return one of the functions in `tests/fakes/functions.py`."""
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    return Function(name, arn, f"tests.fakes.functions.{name}", timeout, 256, environment)


FUNCTIONS = {
    "echo": function("echo"),
    "seen": function("seen", A="of seen", B="only here"),
    "also_seen": Function(
        "also_seen", "arn", "tests.fakes.functions.seen", 30, 512, {"A": "of also_seen"}
    ),
    "fails": function("fails"),
    "answers_no_json": function("answers_no_json"),
    "sleeps": function("sleeps"),
    "hangs": function("hangs", SOON),
    "crashes": function("crashes"),
    "leaves": function("leaves"),
    "large": function("large"),
    "prints": function("prints"),
    "prints_lone_surrogate": function("prints_lone_surrogate"),
    "fails_unreadable": function("fails_unreadable"),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Return the database that the function ``writes`` writes to."""
    opened = Database(str(tmp_path / "store.db"))
    with opened.write() as connection:
        connection.execute("create table t (n integer primary key)")
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setitem(FUNCTIONS, "writes", function("writes", STORE_URL=url))
    monkeypatch.setitem(FUNCTIONS, "stubborn", function("stubborn", SOON, STORE_URL=url))
    yield opened
    opened.close()


def numbers(store: Database) -> list[int]:
    """Return the numbers in the database."""
    return [row["n"] for row in store.rows("select n from t order by n")]


class Pool:
    """A pool with the calls of a test."""

    def __init__(self, log: Path, size: int) -> None:
        self.log = log
        self.pool = WorkerPool(FUNCTIONS, log, size)
        self.pool.start()
        self.count = 0

    def submit(self, name: str, **payload: Any) -> int:
        """Send an invocation; return its number."""
        self.count += 1
        body = json.dumps(payload).encode()
        self.pool.submit(Invocation(self.count, FUNCTIONS[name], body))
        return self.count

    def results(self, number: int, seconds: float = 20) -> list[Result]:
        """Return ``number`` results in the order of their arrival."""
        results: list[Result] = []
        end = time.monotonic() + seconds
        while len(results) < number:
            assert time.monotonic() < end, f"{len(results)} of {number} results in {seconds} s"
            results += [result for result in self.pool.poll(0.1) if result.id >= 0]
        return results

    def call(self, name: str, **payload: Any) -> Result:
        """Return the result of one invocation."""
        self.submit(name, **payload)
        [result] = self.results(1)
        return result

    def workers(self) -> list[int]:
        """Return the ids of the worker processes."""
        return [worker.pid for worker in self.pool.workers]


Make = Callable[[int], Pool]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a factory of pools; their processes are killed at the end of the test."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    opened: list[Pool] = []

    def build(size: int) -> Pool:
        opened.append(Pool(tmp_path / "functions.log", size))
        return opened[-1]

    yield build
    for pool in opened:
        processes = pool.pool.processes()
        pool.pool.close()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def alive(process: int) -> bool:
    """Return whether a process is running."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone_within(seconds: float, *processes: int) -> bool:
    """Return whether processes end within a time."""
    end = time.monotonic() + seconds
    while any(alive(process) for process in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# ---- events and results of a handler


def test_a_function_answers_with_its_payload(make: Make) -> None:
    result = make(1).call("echo", order_id="A-1", city="Zürich")
    assert (result.payload, result.error) == ({"order_id": "A-1", "city": "Zürich"}, None)
    assert result.seconds >= 0


def test_an_error_has_its_class_message_and_trace(make: Make) -> None:
    error = make(1).call("fails", message="nothing there").error
    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == ("LookupError", "nothing there")
    assert "functions.py" in error["stackTrace"][-1]


def test_a_result_that_is_not_json_is_the_functions_error(make: Make) -> None:
    pool = make(1)
    error = pool.call("answers_no_json").error
    assert error is not None
    assert pool.call("echo", still="here").payload == {"still": "here"}


def test_an_error_whose_message_cannot_be_read_has_its_class(make: Make) -> None:
    pool = make(1)
    before = pool.workers()
    error = pool.call("fails_unreadable").error
    assert error is not None
    reported = (error["errorType"], error["errorMessage"])
    assert reported == ("Unreadable", "its message cannot be read: ValueError")
    assert pool.workers() == before


def test_text_that_utf_8_cannot_encode_does_not_end_a_worker(make: Make) -> None:
    pool = make(1)
    before = pool.workers()
    result = pool.call("prints_lone_surrogate", a=1)
    assert (result.payload, result.metrics) == ({"a": 1}, ['{"_aws": "\\ud800"}'])
    assert "lone \\ud800 surrogate" in pool.log.read_text()
    assert pool.workers() == before


def test_each_function_has_only_its_own_variables(make: Make) -> None:
    pool = make(1)
    variables = ["A", "B", "AWS_LAMBDA_FUNCTION_NAME"]
    environments = [
        pool.call(name, variables=variables).payload["environment"]
        for name in ("seen", "also_seen", "seen")
    ]
    first = {"A": "of seen", "B": "only here", "AWS_LAMBDA_FUNCTION_NAME": "seen"}
    second = {"A": "of also_seen", "B": None, "AWS_LAMBDA_FUNCTION_NAME": "also_seen"}
    assert environments == [first, second, first]


def test_a_context_has_the_function_and_its_remaining_time(make: Make) -> None:
    pool = make(1)
    first, second = (pool.call("seen", variables=[]).payload for _ in range(2))
    assert (first["name"], first["memory"]) == ("seen", 256)
    assert first["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:seen"
    assert 29_000 < first["milliseconds"] <= 30_000
    assert first["request"] != second["request"]


def test_a_handler_uses_the_platforms_clock(make: Make) -> None:
    pool = make(1)
    pool.pool.offset = 86_400.0
    assert abs(pool.call("seen", variables=[]).payload["now"] - time.time() - 86_400) < 60


def test_output_goes_to_the_log_and_metrics_to_the_result(
    make: Make,
) -> None:
    pool = make(1)
    result = pool.call("prints", line="hello from the handler")
    assert result.metrics == ['{"_aws":{"CloudWatchMetrics":[]}}\n']
    assert pool.log.read_text() == "hello from the handler\n"
    assert pool.call("echo").metrics == []


# ---- concurrency and order


def test_results_of_one_worker_are_in_the_order_of_the_invocations(make: Make) -> None:
    pool = make(1)
    numbers = [pool.submit("echo", n=number) for number in range(50)]
    results = pool.results(50)
    assert [result.id for result in results] == numbers
    assert [result.payload["n"] for result in results] == list(range(50))


def test_workers_run_concurrently(make: Make) -> None:
    pool = make(2)
    for _ in range(2):
        pool.submit("sleeps", seconds=0.5)
    started = time.monotonic()
    pool.results(2)
    assert time.monotonic() - started < 0.95


def test_a_worker_prefetches_a_limited_number_of_invocations(make: Make) -> None:
    pool = make(1)
    for _ in range(PREFETCH + 3):
        pool.submit("sleeps", seconds=0.05)
    pool.pool.poll(0)
    assert len(pool.pool.workers[0].sent) == PREFETCH
    pool.results(PREFETCH + 3)


def test_results_are_gathered_while_the_workers_are_busy(make: Make) -> None:
    """Each `poll` is followed by a commit."""
    pool = make(1)
    for _ in range(PREFETCH):
        pool.submit("sleeps", seconds=0.002)
    gathered = [result for result in pool.pool.poll(5) if result.id >= 0]
    assert len(gathered) > 1
    pool.results(PREFETCH - len(gathered))


def test_a_single_result_does_not_wait_for_another(make: Make) -> None:
    pool = make(1)
    pool.submit("echo")
    pool.submit("sleeps", seconds=0.5)
    assert [result.id for result in pool.pool.poll(5)] == [1]
    pool.results(1)


def test_a_large_payload_is_never_prefetched(make: Make) -> None:
    pool = make(1)
    pool.submit("sleeps", seconds=0.2)
    pool.submit("echo", text="x" * PREFETCH_BYTES)
    pool.pool.poll(0)
    assert len(pool.pool.workers[0].sent) == 1
    assert len(pool.results(2)[1].payload["text"]) == PREFETCH_BYTES


@pytest.mark.parametrize("levels", [255, 1_000, 1_003])
def test_a_payload_of_maximum_depth_is_sent_and_returned(make: Make, levels: int) -> None:
    deep = json.loads('{"a":' * (levels - 2) + "18446744073709551616" + "}" * (levels - 2))
    result = make(1).call("echo", deep=deep)
    if levels <= MAX_DEPTH:
        assert result.payload == {"deep": deep}
    else:
        assert result.error is not None
        assert result.error["errorType"] == "Runtime.MarshalError"


def test_payloads_larger_than_a_pipe_are_sent_and_returned_concurrently(make: Make) -> None:
    pool = make(2)
    for _ in range(6):
        pool.submit("echo", text="x" * MORE_THAN_A_PIPE)
        pool.submit("large", bytes=MORE_THAN_A_PIPE)
    sizes = [
        len(result.payload if isinstance(result.payload, str) else result.payload["text"])
        for result in pool.results(12)
    ]
    assert sizes == [MORE_THAN_A_PIPE] * 12


def test_results_larger_than_a_pipe_do_not_block_prefetching(make: Make) -> None:
    pool = make(1)
    for _ in range(8):
        pool.submit("large", bytes=MORE_THAN_A_PIPE)
    assert [len(result.payload) for result in pool.results(8)] == [MORE_THAN_A_PIPE] * 8


# ---- timeouts and crashes


def test_a_function_past_its_timeout_is_killed_and_its_worker_replaced(make: Make) -> None:
    pool = make(1)
    [before] = pool.workers()
    started = time.monotonic()
    result = pool.call("hangs")
    assert SOON <= time.monotonic() - started < SOON + 2
    assert result.error == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "Error: Task timed out after 0.30 seconds",
    }
    assert gone_within(2, before)
    assert pool.call("echo", alive=True).payload == {"alive": True}
    assert pool.workers() != [before]


@pytest.mark.parametrize("left_open", [False, True], ids=["committed", "uncommitted"])
def test_a_function_that_ignores_signals_is_killed_at_its_timeout_and_stops_writing(
    make: Make, store: Database, *, left_open: bool
) -> None:
    pool = make(1)
    [before] = pool.workers()
    started = time.monotonic()
    result = pool.call("stubborn", n=1_000, open=left_open)
    assert SOON <= time.monotonic() - started < SOON + 2
    assert result.error is not None
    assert result.error["errorType"] == "Sandbox.Timedout"
    assert gone_within(2, before)
    written = numbers(store)
    assert written == list(range(1_000, 1_000 + len(written)))
    assert left_open is not bool(written), "it was killed before it wrote, or its write was kept"
    assert pool.call("writes", n=1).payload["n"] == 1
    time.sleep(SOON)
    assert numbers(store) == [1, *written]


def test_a_function_that_ignores_signals_does_not_block_the_others(
    make: Make, store: Database
) -> None:
    pool = make(2)
    stubborn = pool.submit("stubborn", n=1_000, open=False)
    others = [pool.submit("writes", n=number) for number in range(5)]
    results = pool.results(6)
    assert {result.id: result.error is None for result in results} == {
        stubborn: False,
        **dict.fromkeys(others, True),
    }
    assert set(range(5)) <= set(numbers(store))


def test_a_slow_function_within_its_timeout_is_not_killed(make: Make) -> None:
    assert make(1).call("sleeps", seconds=SOON + 0.2).error is None


def test_a_prefetched_invocation_has_its_full_timeout(make: Make) -> None:
    pool = make(1)
    pool.submit("sleeps", seconds=SOON + 0.2)
    pool.submit("hangs")
    pool.submit("echo", last=True)
    started = time.monotonic()
    slept, hung, last = pool.results(3)
    assert slept.error is None
    assert hung.error is not None
    assert time.monotonic() - started >= 2 * SOON + 0.2
    assert last.payload == {"last": True}


@pytest.mark.parametrize("way", ["crashes", "leaves"])
def test_a_crash_fails_the_running_invocation_and_runs_the_prefetched_ones(
    make: Make, way: str
) -> None:
    pool = make(1)
    pool.submit("echo", n=1)
    crashed = pool.submit(way)
    ahead = [pool.submit("echo", n=number) for number in (2, 3)]
    results = {result.id: result for result in pool.results(4)}
    error = results[crashed].error
    assert error is not None
    assert error["errorType"] == "Runtime.ExitError"
    assert way in error["errorMessage"]
    assert [results[number].payload["n"] for number in ahead] == [2, 3]
    assert list(results) == sorted(results), "prefetched invocations run in their order"


def test_a_result_from_before_a_crash_is_kept(make: Make) -> None:
    pool = make(1)
    answered, crashed = pool.submit("sleeps", seconds=0.05), pool.submit("crashes")
    [worker] = pool.workers()
    received = pool.pool.poll(0)
    assert gone_within(5, worker)
    after = pool.submit("echo", n=3)
    received += pool.results(3 - len(received))
    results = {result.id: result for result in received}
    assert results[answered].payload == {"seconds": 0.05}
    assert results[crashed].error is not None
    assert results[after].payload == {"n": 3}


def test_a_worker_that_is_killed_from_outside_is_replaced(make: Make) -> None:
    pool = make(2)
    pool.submit("sleeps", seconds=20)
    pool.pool.poll(0)
    [busy] = [worker.pid for worker in pool.pool.workers if worker.sent]
    os.kill(busy, signal.SIGKILL)
    [result] = pool.results(1)
    assert result.error is not None
    assert busy not in pool.workers()
    assert len(pool.workers()) == 2


def test_an_idle_worker_that_ended_fails_no_invocation(make: Make) -> None:
    pool = make(1)
    [worker] = pool.workers()
    os.kill(worker, signal.SIGKILL)
    assert gone_within(2, worker)
    pool.pool.poll(0)
    assert pool.call("echo", fine=True).payload == {"fine": True}


def test_a_pool_survives_repeated_crashes(make: Make) -> None:
    pool = make(2)
    for _ in range(10):
        pool.submit("crashes")
        pool.submit("echo")
    results = pool.results(20)
    assert sum(result.error is not None for result in results) == 10
    assert len(pool.workers()) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_cannot_be_imported_is_an_error_at_the_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = {"gone": Function("gone", "arn", "no.such.module.handler", 3, 128, {})}
    pool = WorkerPool(missing, tmp_path / "log", 1)
    try:
        with pytest.raises(WorkerError):
            pool.start()
    finally:
        pool.close()
    assert "No module named 'no'" in capfd.readouterr().err


# ---- the end


def test_wake_ends_a_poll(make: Make) -> None:
    pool = make(1)
    pool.pool.wake()
    started = time.monotonic()
    assert pool.pool.poll(10) == []
    assert time.monotonic() - started < 5


def test_a_poll_ends_at_its_timeout(make: Make) -> None:
    started = time.monotonic()
    assert make(1).pool.poll(0.2) == []
    assert 0.2 <= time.monotonic() - started < 2


def test_all_processes_end_with_the_pool(make: Make) -> None:
    pool = make(2)
    processes = pool.pool.processes()
    pool.pool.close()
    ended = gone_within(5, *processes)
    pool.pool = WorkerPool(FUNCTIONS, pool.log, 0)
    assert ended


def test_a_hung_worker_is_killed_after_its_pool_is_closed(make: Make) -> None:
    pool = make(1)
    pool.submit("hangs")
    pool.pool.poll(0)
    [worker] = pool.workers()
    pool.pool.close()
    ended = gone_within(SOON + 2, worker)
    pool.pool = WorkerPool(FUNCTIONS, pool.log, 0)
    if not ended:
        os.kill(worker, signal.SIGKILL)
    assert ended


ENGINE = """
import sys, time
from pathlib import Path
from infra.local.workers.invocations import Invocation
from tests.integration.test_workers import FUNCTIONS
from infra.local.workers.pool import WorkerPool
pool = WorkerPool(FUNCTIONS, Path(sys.argv[1]), 2)
pool.start()
pool.submit(Invocation(1, FUNCTIONS["sleeps"], b'{"seconds": 0.5}'))
pool.poll(0)
print(*pool.processes(), flush=True)
time.sleep(60)
"""


def test_workers_end_when_the_engine_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    assert engine.stdout is not None
    processes = [int(word) for word in engine.stdout.readline().split()]
    engine.kill()
    engine.wait()
    engine.stdout.close()
    try:
        assert len(processes) == 3
        assert gone_within(5, *processes)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


# ---- group commits


def test_the_writes_of_answered_invocations_are_committed(make: Make, store: Database) -> None:
    pool = make(1)
    for number in range(20):
        pool.submit("writes", n=number)
    results = pool.results(20)
    assert [result.payload["n"] for result in results] == list(range(20))
    assert numbers(store) == list(range(20))


def test_a_failed_write_does_not_roll_back_the_others(make: Make, store: Database) -> None:
    pool = make(1)
    for number in range(4):
        pool.submit("writes", n=number)
    failed = pool.submit("writes", n=4, raises="on purpose")
    for number in (5, 6):
        pool.submit("writes", n=number)
    results = {result.id: result for result in pool.results(7)}
    error = results[failed].error
    assert error is not None
    assert error["errorMessage"] == "on purpose"
    assert [result.id for result in results.values() if result.error is not None] == [failed]
    assert numbers(store) == [0, 1, 2, 3, 5, 6]


def test_a_worker_that_dies_commits_no_write_of_an_unanswered_invocation(
    make: Make, store: Database
) -> None:
    pool = make(1)
    pool.submit("writes", n=1)
    pool.submit("crashes")
    pool.submit("writes", n=2)
    answered = [result.payload["n"] for result in pool.results(3) if result.error is None]
    assert numbers(store) == sorted(answered)
    assert 2 in answered


def test_invocations_behind_a_slow_one_run_on_another_worker(make: Make, store: Database) -> None:
    pool = make(2)
    first = pool.call("writes", n=0).payload["pid"]
    slow = pool.submit("writes", n=1, seconds=10 * RETURN_AFTER)
    quick = [pool.submit("writes", n=number) for number in range(2, 8)]
    results = pool.results(7)
    assert [result.id for result in results] == [*quick, slow]
    assert {result.payload["pid"] for result in results} > {first}
    assert numbers(store) == list(range(8)), "the slow invocation holds no write lock"
