"""``make test-sfn-local``: the mocked scenarios on Step Functions Local, through its boto3 client.

Step Functions Local reads ``workflows/order_processing.mocks.json`` at its start
(``SFN_MOCK_CONFIG``); the part of a state machine's ARN after ``#`` is the name of the test case.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from infra.terminal.output import console
from tests.rehearsal.history import path
from tests.rehearsal.ministack import RehearsalError, client
from tests.rehearsal.mocks import INPUT, MACHINE, Mocks, TestCase, definition

URL = "http://127.0.0.1:8083"

ROLE = "arn:aws:iam::123456789012:role/StepFunctionsLocal"

PATIENCE = 60.0
"""Maximum seconds until a run ends, with its real retry delays."""


def answers(url: str) -> bool:
    """Return whether a server listens at an address."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1):
            return True
    except OSError:
        return False


def create(states: Any, name: str = MACHINE) -> str:
    """Create or update the state machine; return its ARN."""
    text, arn = json.dumps(definition()), ""
    for existing in states.list_state_machines()["stateMachines"]:
        if existing["name"] == name:
            arn = existing["stateMachineArn"]
            states.update_state_machine(stateMachineArn=arn, definition=text)
    if not arn:
        created = states.create_state_machine(name=name, definition=text, roleArn=ROLE)
        arn = created["stateMachineArn"]
    return arn


def run(states: Any, machine: str, case: TestCase) -> str:
    """Run a test case and return its path of states.

    Raises
    ------
    RehearsalError
        The run did not end in time.
    """
    started = states.start_execution(
        stateMachineArn=f"{machine}#{case.name}",
        name=f"{case.name}-{time.time_ns()}",
        input=json.dumps(INPUT),
    )
    arn = started["executionArn"]
    deadline = time.monotonic() + PATIENCE
    while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
        if time.monotonic() > deadline:
            raise RehearsalError(f"{case.name} did not end in {PATIENCE:.0f} s")
        time.sleep(0.05)
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return path(event for page in pages for event in page["events"])


def differing(url: str) -> dict[str, str]:
    """Run every test case; return the paths that differ from the table."""
    states = client("stepfunctions", url)
    machine = create(states)
    differences = {}
    for case in Mocks().cases():
        actual = run(states, machine, case)
        console.print(f"{'ok' if actual == case.expected else 'DIFFERS'}  {case.name}")
        if actual != case.expected:
            differences[case.name] = actual
    return differences


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every test case; return 0 if all paths are as expected, or if no server answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal.sfn_local")
    parser.add_argument("--endpoint-url", default=URL)
    url = parser.parse_args(arguments).endpoint_url
    if not answers(url):
        console.print(
            f"skipped: Step Functions Local does not answer at {url};"
            " `docker compose up stepfunctions-local` starts it"
        )
        return 0
    differences = differing(url)
    for name, actual in differences.items():
        console.print(f"{name} took the path: {actual}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
