"""``orders workflow redrive`` on a served directory, on one without a server, and on a stack."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.cli.commands.redriving import redrive_there
from infra.cli.errors import CommandError
from tests.fakes.serving import Served, answer, orders

STATES = "arn:aws:states:us-east-1:000000000000"
RECOVERY = f"{STATES}:stateMachine:OrderRecovery"
INPUT = '{"order_id": "T-9", "wait_seconds": 9999}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Served(tmp_path_factory.mktemp("redrive") / "data") as served:
        client = served.client("stepfunctions")
        for name in ("served", "alone"):
            arn = client.start_execution(stateMachineArn=RECOVERY, name=name, input=INPUT)
            client.stop_execution(executionArn=arn["executionArn"], error="Halt")
        told = orders("workflow", "redrive", "served", "--reason", "mended", "--data", served.data)
        assert told.stdout == "served: redriven; it was ABORTED\n", told.stderr
        again = orders("workflow", "redrive", "served", "--data", served.data)
        assert "served: Execution is RUNNING and cannot be redriven" in again.stderr
        assert (
            client.describe_execution(executionArn=f"{STATES}:execution:OrderRecovery:served")[
                "redriveCount"
            ]
            == 1
        )
    return served.data  # it is not served any more


def test_without_a_server_the_redrive_is_kept(data: Path) -> None:
    found = answer("workflow", "redrive", "alone", "--data", data)
    assert (found["status"], found["error"], found["redrive_count"]) == ("ABORTED", "Halt", 1)
    with closing(sqlite3.connect(data / "orderflow.db")) as database:
        query = "select status from executions where name = 'alone'"
        assert database.execute(query).fetchall() == [("RUNNING",)]
        query = "select subject, action, result from operator_actions order by id desc limit 1"
        assert database.execute(query).fetchone() == ("T-9", "redrive execution", "DONE")


def test_an_order_without_a_record_has_no_story_but_its_action_is_recorded(data: Path) -> None:
    with closing(sqlite3.connect(data / "orderflow.db")) as database:
        query = "select reason, result, after from operator_actions order by id"
        rows = database.execute(query).fetchall()
    told = [(reason, result) for reason, result, _ in rows[:2]]
    assert told == [("mended", "DONE"), ("", "REFUSED")]
    assert json.loads(rows[0][2])["execution"] == "served"


@pytest.mark.parametrize("name", ["nobody", f"{STATES}:execution:Other:served"])
def test_an_unknown_execution_is_refused(data: Path, name: str) -> None:
    done = orders("workflow", "redrive", name, "--data", data)
    assert done.returncode == 1
    assert "no execution is named" in done.stderr


def test_a_reason_that_aws_would_not_store_is_refused() -> None:
    done = orders("workflow", "redrive", "one", "--stack", "shop", "--reason", "mended")
    assert done.returncode == 1
    assert "--reason: AWS stores no reason of a redrive" in done.stderr


class StepFunctions:
    """A client whose executions are a dictionary by ARN."""

    def __init__(self, executions: dict[str, dict[str, Any]]) -> None:
        self.executions = executions
        self.redriven: list[str] = []

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        if executionArn not in self.executions:
            error: Any = {"Error": {"Code": "ExecutionDoesNotExist", "Message": "none"}}
            raise ClientError(error, "DescribeExecution")
        return self.executions[executionArn]

    def redrive_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.redriven.append(executionArn)
        return {"redriveDate": datetime(2026, 11, 29, tzinfo=UTC)}


def test_a_name_is_looked_up_in_each_state_machine_of_a_stack() -> None:
    arn = f"{STATES}:execution:OrderRecovery:one"
    told = {"name": "one", "stateMachineArn": RECOVERY, "status": "FAILED", "error": "Down"}
    client = StepFunctions({arn: {**told, "redriveCount": 1}})
    names = {"A": f"{STATES}:stateMachine:Another", "R": RECOVERY, "T": "table"}
    stack: Any = SimpleNamespace(names=names, client=lambda _: client)
    for given in ("one", arn):
        found = redrive_there(stack, given)
        assert (found["state_machine"], found["redrive_count"]) == ("OrderRecovery", 2)
    assert client.redriven == [arn, arn]
    with pytest.raises(CommandError, match="no STANDARD execution of the stack is named 'two'"):
        redrive_there(stack, "two")
