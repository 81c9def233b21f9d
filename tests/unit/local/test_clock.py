"""The clocks: real time, and skipping time."""

import time

from infra.local.clock import Clock, SkippingClock


def test_the_real_clock_has_the_hosts_time() -> None:
    assert abs(Clock().now() - time.time()) < 1
    assert not Clock().skips


def test_a_skipping_clock_jumps_to_a_moment_and_runs_on_from_it() -> None:
    clock = SkippingClock()
    due = clock.now() + 3_600
    clock.skip_to(due)
    assert clock.skips
    assert 0 <= clock.now() - due < 1
    assert abs(clock.offset - 3_600) < 1


def test_a_clock_never_goes_back() -> None:
    clock = SkippingClock()
    clock.skip_to(clock.now() + 100)
    before = clock.offset
    clock.skip_to(clock.now() - 50)
    assert clock.offset == before


def test_skips_add_up() -> None:
    clock = SkippingClock()
    for _ in range(3):
        clock.skip_to(clock.now() + 100)
    assert abs(clock.offset - 300) < 1
