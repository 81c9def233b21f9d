"""Events that a command puts on a bus elsewhere: accepted, or told of at once."""

from collections.abc import Sequence
from typing import Any

import pytest
from moto import mock_aws

from infra.cli.errors import CommandError
from infra.cli.event_destination import Entry, put_all
from infra.contracts.snippets import BUS
from infra.deployed.account import Account
from tests.integration.deployed import run

EXAMPLE = "events_schema/order-created/examples/minimal.json"


class Refusing:
    """A destination that takes no entry."""

    where = "AWS"

    def __init__(self, code: str) -> None:
        self.code = code
        self.asked = 0

    def put(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"ErrorCode": self.code, "ErrorMessage": "not allowed"} for _ in entries]


def test_an_entry_with_a_permanent_error_is_sent_once() -> None:
    destination = Refusing("NotAuthorizedForSourceException")
    with pytest.raises(CommandError, match="1 of 1 events were not accepted by AWS: NotAuth"):
        put_all(destination, [{}])
    assert destination.asked == 1


def test_a_missing_bus_is_reported_before_an_event_is_sent() -> None:
    with mock_aws():
        result = run("emit", EXAMPLE, "--region", "us-east-1")
    assert str(result.exception).startswith(f"the bus {BUS} was not found")
    assert str(result.exception).endswith("deploy the stack, or name its --region or --profile")


def test_events_are_put_on_the_bus_of_a_region() -> None:
    with mock_aws():
        Account(region="us-east-1").client("events").create_event_bus(Name=BUS)
        result = run("emit", EXAMPLE, "--region", "us-east-1")
    assert "1 event accepted by AWS, 0 rejected" in result.output
