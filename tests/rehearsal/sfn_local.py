"""``make test-sfn-local``: the mocked scenarios on Step Functions Local, through its boto3 client.

Step Functions Local reads ``workflows/order_processing.mocks.json`` when it starts
(``SFN_MOCK_CONFIG``); the part of a state machine's ARN behind ``#`` names the test case.
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
from tests.rehearsal.mocks import GIVEN, MACHINE, Mocks, TestCase, definition

URL = "http://127.0.0.1:8083"

ROLE = "arn:aws:iam::123456789012:role/StepFunctionsLocal"

PATIENCE = 60.0
"""Seconds until a run must have ended; its retries take their time there."""


def answers(url: str) -> bool:
    """Say whether anybody listens at an address."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1):
            return True
    except OSError:
        return False


def create(states: Any, name: str = MACHINE) -> str:
    """Create the state machine, or bring the one that is there up to date; return its ARN."""
    text, arn = json.dumps(definition()), ""
    for found in states.list_state_machines()["stateMachines"]:
        if found["name"] == name:
            arn = found["stateMachineArn"]
            states.update_state_machine(stateMachineArn=arn, definition=text)
    if not arn:
        made = states.create_state_machine(name=name, definition=text, roleArn=ROLE)
        arn = made["stateMachineArn"]
    return arn


def run(states: Any, machine: str, case: TestCase) -> str:
    """Run a test case and return the path of states that it took.

    Raises
    ------
    RehearsalError
        It did not end in time.
    """
    started = states.start_execution(
        stateMachineArn=f"{machine}#{case.name}",
        name=f"{case.name}-{time.time_ns()}",
        input=json.dumps(GIVEN),
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
    """Run every test case; return the paths of those that went elsewhere than the table says."""
    states = client("stepfunctions", url)
    machine = create(states)
    found = {}
    for case in Mocks().cases():
        taken = run(states, machine, case)
        console.print(f"{'ok' if taken == case.expected else 'DIFFERS'}  {case.name}")
        if taken != case.expected:
            found[case.name] = taken
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every test case; 0 where all take their path, or where nobody answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal.sfn_local")
    parser.add_argument("--endpoint-url", default=URL)
    url = parser.parse_args(arguments).endpoint_url
    if not answers(url):
        console.print(
            f"skipped: Step Functions Local does not answer at {url};"
            " `docker compose up stepfunctions-local` starts it"
        )
        return 0
    found = differing(url)
    for name, taken in found.items():
        console.print(f"{name} went: {taken}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
