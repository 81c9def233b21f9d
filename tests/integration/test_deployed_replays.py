"""Replays of the archive of a deployed stack, against moto."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.deployed.account import Account
from infra.deployed.archive_replays import ArchiveReplays
from infra.errors import AWSError


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("events", region_name="eu-west-1")
        bus = client.create_event_bus(Name="orders-bus")["EventBusArn"]
        client.create_archive(ArchiveName="orders-archive", EventSourceArn=bus)
        for rule in ("orderflow-dev-OrderCreatedRule-1A2B", "orderflow-dev-AnalyticsRule-3C4D"):
            pattern = '{"source": ["orders.service"]}'
            client.put_rule(Name=rule, EventBusName="orders-bus", EventPattern=pattern)
        yield client


def replays() -> ArchiveReplays:
    return ArchiveReplays(Account(region="eu-west-1"), "orders-archive")


def test_a_replay_names_the_rules_of_the_stack(events: Any) -> None:
    replays().start("again", time.time() - 60, time.time(), ["OrderCreatedRule"])
    [arn] = events.describe_replay(ReplayName="again")["Destination"]["FilterArns"]
    assert arn.endswith("rule/orders-bus/orderflow-dev-OrderCreatedRule-1A2B")
    [listed] = replays().all()
    assert (listed["name"], listed["source"]) == ("again", "archive")
    assert replays().find("again")["name"] == "again"


def test_an_unknown_rule_or_replay_is_refused(events: Any) -> None:
    with pytest.raises(AWSError, match=r"no rule Nope; its rules are .*OrderCreatedRule"):
        replays().start("again", time.time() - 60, time.time(), ["Nope"])
    with pytest.raises(AWSError, match="the replay never"):
        replays().find("never")
    with pytest.raises(AWSError, match="the replay never"):
        replays().cancel("never")


def test_a_replay_of_another_archive_is_neither_listed_nor_cancelled(events: Any) -> None:
    """The hosted console has its function's permissions, and its users have none of their own."""
    bus = events.create_event_bus(Name="others-bus")["EventBusArn"]
    archive = events.create_archive(ArchiveName="not-orders-archive", EventSourceArn=bus)
    times = {"EventStartTime": time.time() - 60, "EventEndTime": time.time()}
    source = {"EventSourceArn": archive["ArchiveArn"], "Destination": {"Arn": bus}}
    events.start_replay(ReplayName="theirs", **source, **times)

    assert replays().all() == []
    for act in (replays().find, replays().cancel):
        with pytest.raises(AWSError, match="theirs is not of the archive orders-archive"):
            act("theirs")
    assert events.describe_replay(ReplayName="theirs")["State"] not in ("CANCELLING", "CANCELLED")
