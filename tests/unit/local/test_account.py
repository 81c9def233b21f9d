"""The limits of a Lambda account: how they are written, and what becomes of calls."""

import pytest

from infra.local.template.stack import Function
from infra.local.workers.account import (
    KEPT_WARM,
    NEW_ACCOUNT,
    Account,
    Call,
    Limits,
    LimitsError,
    described,
    parse_limits,
)

ONE = Function("One", "arn:one", "one.handler", 10.0, 256, {})
OTHER = Function("Other", "arn:other", "other.handler", 20.0, 256, {})


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("new-account", NEW_ACCOUNT),
        ("concurrency=10,timeouts=0.05,cold=6", NEW_ACCOUNT),
        (" cold=6 , concurrency = 10,timeouts=5e-2", NEW_ACCOUNT),
        ("concurrency=2", Limits(concurrency=2)),
        ("warm=1.5,seed=7", Limits(warm=1.5, seed=7)),
    ],
)
def test_limits_are_a_name_or_members(text: str, limits: Limits) -> None:
    assert parse_limits(text) == limits
    assert parse_limits(described(limits)) == limits


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "'nonsense' is not MEMBER=NUMBER"),
        ("old-account", "or a name: new-account"),
        ("concurrency", "'concurrency' is not MEMBER=NUMBER"),
        ("concurrency=10,,cold=1", "'' is not MEMBER=NUMBER"),
        ("memory=1", "concurrency, timeouts, cold, warm, seed"),
        ("concurrency=0", "concurrency: '0' is not an integer from 1 to 100000"),
        ("concurrency=2.5", "concurrency: '2.5' is not an integer"),
        ("timeouts=0.51", "timeouts: '0.51' is not a number from 0 to 0.5"),
        ("timeouts=-0.1", "timeouts: '-0.1' is not a number"),
        ("timeouts=nan", "timeouts: 'nan' is not a number"),
        ("cold=11", "cold: '11' is not a number from 0 to 10"),
        ("cold=", "cold: '' is not a number"),
        ("warm=0", "warm: '0' is not a number from 0.001 to 5"),
        ("seed=-1", "seed: '-1' is not an integer"),
        ("cold=1,cold=2", "cold is named twice"),
    ],
)
def test_other_texts_are_refused_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(LimitsError) as refused:
        parse_limits(text)
    assert str(refused.value).startswith("--lambda-faults: ")
    assert told in str(refused.value)


def test_a_call_is_throttled_while_all_executions_are_taken_by_any_function() -> None:
    account = Account(Limits(concurrency=2, warm=1.0))
    assert account.begin(ONE, 100.0, 0.9) == Call(101.0, times_out=False)
    assert account.begin(OTHER, 100.5, 0.9) == Call(101.5, times_out=False)
    assert account.begin(ONE, 100.9, 0.9) is None
    assert account.begin(ONE, 101.0, 0.9) == Call(102.0, times_out=False)
    assert account.begin(ONE, 101.4, 0.9) is None
    assert account.counts == {"begun": 3, "throttled": 2, "cold": 2, "timed_out": 0}


def test_an_environment_is_its_functions_own_and_is_used_again_for_a_while() -> None:
    account = Account(Limits(cold=6.0, warm=1.0))
    assert account.begin(ONE, 0.0, 0.9) == Call(7.0, times_out=False)
    assert account.begin(ONE, 1.0, 0.9) == Call(8.0, times_out=False), "the first is busy"
    assert account.begin(OTHER, 9.0, 0.9) == Call(16.0, times_out=False)
    assert account.begin(ONE, 9.0, 0.9) == Call(10.0, times_out=False)
    assert account.begin(ONE, 10.0 + KEPT_WARM, 0.9) == Call(17.0 + KEPT_WARM, times_out=False)


def test_a_call_that_times_out_takes_the_functions_timeout_after_the_init_phase() -> None:
    account = Account(Limits(timeouts=0.05, cold=6.0, warm=1.0))
    assert account.begin(ONE, 0.0, 0.049) == Call(16.0, times_out=True)
    assert account.begin(ONE, 16.0, 0.05) == Call(23.0, times_out=False), "it starts cold again"
    assert account.begin(ONE, 23.0, 0.05) == Call(24.0, times_out=False)
