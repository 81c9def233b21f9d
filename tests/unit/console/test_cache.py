"""Values that a console of a stack keeps for some seconds."""

from threading import Barrier, Thread

import pytest

from infra.console.stack.cache import MOST, SLOWEST, Cache
from tests.fakes.clock import SetClock


def test_a_value_is_made_again_after_its_seconds_or_a_change() -> None:
    clock, made = SetClock(), list[int]()
    cache = Cache(clock)

    def make() -> int:
        made.append(len(made))
        return len(made)

    assert [cache.get("a", 10, make), cache.get("a", 10, make)] == [1, 1]
    clock.now = 10.1
    assert cache.get("a", 10, make) == 2
    cache.clear()
    assert cache.get("a", 10, make) == 3


def test_an_error_is_not_kept() -> None:
    cache = Cache(SetClock())

    def fail() -> int:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        cache.get("a", 10, fail)
    assert cache.get("a", 10, lambda: 7) == 7


def test_a_value_read_before_an_action_is_not_kept_after_it() -> None:
    cache = Cache(SetClock())

    def read_while_an_action_ends() -> str:
        cache.clear()
        return "before the action"

    assert cache.get("a", 10, read_while_an_action_ends) == "before the action"
    assert cache.get("a", 10, lambda: "after it") == "after it"


def test_a_value_whose_making_was_interrupted_by_a_stop_of_the_process_is_not_kept() -> None:
    clock = SetClock()
    cache = Cache(clock)

    def read_while_the_process_is_stopped() -> str:
        clock.now += SLOWEST + 1
        return "before the stop"

    assert cache.get("a", 600, read_while_the_process_is_stopped) == "before the stop"
    assert cache.get("a", 600, lambda: "after it") == "after it"


def test_a_clock_that_is_set_back_keeps_no_value_for_longer() -> None:
    clock = SetClock()
    clock.now = 1_000.0
    cache = Cache(clock)
    cache.get("a", 10, lambda: 1)
    clock.now = 500.0
    assert cache.get("a", 10, lambda: 2) == 2


def test_of_several_threads_one_makes_the_value() -> None:
    cache, together, made = Cache(), Barrier(4), list[int]()

    def read() -> None:
        together.wait()
        cache.get("a", 60, lambda: made.append(1))

    threads = [Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_the_number_of_values_and_locks_is_bounded() -> None:
    cache = Cache(SetClock())
    for number in range(5 * MOST):
        cache.get(number, 1e9, lambda: None)
    assert len(cache._values) <= MOST  # noqa: SLF001 - memory has no other sign
    assert len(cache._making) <= 2 * MOST + 1  # noqa: SLF001
