"""`orders run --lambda-faults`: an account's limits cost time, and no order and no event."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import completing
from tests.fakes.serving import answer, orders
from tests.simulation.verdict import BUSINESS

OUTCOME = (
    *("accepted", "rejected", "quarantined", "completed", "failed", "cancelled", "in_flight"),
    *("not_begun", "dead_letters", "failed_items", "revenue", "units_shipped", "totals"),
)
LIMITS = "concurrency=10,timeouts=0.05,cold=6"


@pytest.fixture(scope="module")
def generated(pytestconfig: pytest.Config) -> list[Any]:
    count, seed = (pytestconfig.getoption(f"account_{name}") for name in ("orders", "seed"))
    return ["run", "--count", count, "--seed", seed]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small") / "data"


@pytest.fixture(scope="module")
def ran(generated: list[Any], small: Path) -> Any:
    return answer(*generated, "--lambda-faults", "new-account", "--data", small, timeout=600)


def test_the_orders_end_as_in_an_account_without_limits(
    generated: list[Any], ran: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = answer(*generated, "--data", tmp_path / "plain", timeout=600)
    assert "lambda_faults" not in plain
    with capsys.disabled():
        print(f"\n{json.dumps({name: ran[name] for name in (*OUTCOME, 'lambda_faults')})}")  # noqa: T201
    assert {name: ran[name] for name in OUTCOME} == {name: plain[name] for name in OUTCOME}
    assert (ran["quarantined"], ran["dead_letters"], ran["in_flight"]) == (0, 0, 0)


def test_the_account_had_the_trouble_that_was_asked_for(ran: Any) -> None:
    figures = ran["lambda_faults"]
    assert figures["limits"] == LIMITS
    assert figures["throttled"] > figures["begun"] / 4 > 0
    assert figures["timed_out"] / figures["begun"] == pytest.approx(0.05, abs=0.025)
    assert figures["cold"] > 10
    assert 1 < figures["minutes_median"] <= figures["minutes_99_percent"]
    assert figures["minutes_99_percent"] <= figures["minutes_last"] < 24 * 60


def test_each_order_that_was_undone_was_undone_for_a_reason_of_its_own(
    ran: Any, small: Path
) -> None:
    query = "select failure, count(*) from orders where failure is not null group by 1"
    reasons = _counts(small, query)
    assert sum(reasons.values()) == ran["failed"] + ran["cancelled"]
    assert reasons.keys() <= BUSINESS


def test_every_invariant_holds_afterwards(ran: Any, small: Path) -> None:
    assert ran
    assert orders("audit", "--data", small).returncode == 0


def test_each_order_that_can_complete_completes(
    pytestconfig: pytest.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count, seed = (pytestconfig.getoption(f"account_{name}") for name in ("orders", "seed"))
    events, stock = completing.write(completing.completing(count, seed), tmp_path)
    data = tmp_path / "data"
    given = ["--from", events, "--stock", stock, "--lambda-faults", LIMITS, "--data", data]
    ran = answer("run", *given, timeout=600)
    with capsys.disabled():
        print(f"\n{json.dumps({name: ran[name] for name in (*OUTCOME, 'lambda_faults')})}")  # noqa: T201
    assert (ran["accepted"], ran["completed"]) == (count, count)
    for name in ("failed", "cancelled", "quarantined", "in_flight", "not_begun", "dead_letters"):
        assert ran[name] == 0, name
    assert _counts(data, "select status, count(*) from charges group by 1") == {"CHARGED": count}
    assert _counts(data, "select status, count(*) from orders group by 1") == {"COMPLETED": count}
    figures = ran["lambda_faults"]
    assert min(figures["throttled"], figures["timed_out"], figures["cold"]) > 0
    assert orders("audit", "--data", data).returncode == 0


def _counts(data: Path, query: str) -> dict[str, int]:
    with closing(sqlite3.connect(data / "orderflow.db")) as database:
        return dict(database.execute(query).fetchall())


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("concurrency=0", "concurrency: '0' is not an integer from 1 to 100000"),
        ("fast", "write for example concurrency=10,timeouts=0.05,cold=6, or a name: new-account"),
    ],
)
def test_other_limits_are_refused_before_anything_is_done(
    tmp_path: Path, limits: str, told: str
) -> None:
    done = orders("run", "--lambda-faults", limits, "--data", tmp_path / "data")
    assert (done.returncode, told in done.stderr) == (1, True), done
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_real_directory_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answer("run", "--count", 10, "--seed", 1, "--data", data)
    with closing(sqlite3.connect(data / "orderflow.db")) as database:
        database.execute("update directory set value = 'real' where key = 'kind'")
        database.commit()
    done = orders("run", "--count", 1, "--lambda-faults", "new-account", "--data", data)
    assert done.returncode == 1
    assert "is a real data directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1
