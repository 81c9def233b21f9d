"""``orders status --stack``: alarms, queues, open orders and CloudWatch's metrics."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.deployed.health import read_health
from infra.deployed.stack import DeployedStack
from infra.views.health import Health
from kernel import clock
from kernel.order_status import ChargeStatus, Status
from orders.dynamodb import DynamoOrders
from tests.fakes.records import order
from tests.integration.deployed import PLACE, run

LATE = 2_000.0


class Statistics:
    """CloudWatch, of which moto has no percentiles; other calls are moto's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_metric_data(self, **request: Any) -> Any:
        [query] = request["MetricDataQueries"]
        stat = query["MetricStat"]["Stat"]
        if stat in ("p50", "p99"):
            name = query["MetricStat"]["Metric"]["MetricName"]
            value = {"p50": 2.0, "p99": 9.0}[stat] * (100 if "Latency" in name else 1)
            return {"MetricDataResults": [{"Values": [value]}]}
        return self._client.get_metric_data(**request)


@pytest.fixture
def watched(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    """Return a stack with an alarm, and with percentiles."""
    made = type(stack.account).client
    monkeypatch.setattr(
        type(stack.account),
        "client",
        lambda account, service, **config: (
            Statistics(made(account, service, **config))
            if service == "cloudwatch"
            else made(account, service, **config)
        ),
    )
    return DeployedStack({**stack.names, "AttentionAlarm": "orderflow-attention"}, stack.account)


def metric(stack: DeployedStack, name: str, value: float, minutes: float, **more: str) -> None:
    dimensions = {"service": "orders", **more}
    stack.client("cloudwatch").put_metric_data(
        Namespace="Orderflow",
        MetricData=[
            {
                "MetricName": name,
                "Value": value,
                "Timestamp": datetime.now(UTC) - timedelta(minutes=minutes),
                "Dimensions": [{"Name": key, "Value": each} for key, each in dimensions.items()],
            }
        ],
    )


def health(stack: DeployedStack) -> Health:
    return read_health(stack, "orderflow-test")


def test_a_quiet_stack_has_no_need(watched: DeployedStack) -> None:
    found = health(watched)
    assert found.ok
    assert found.totals == {"open": 0}
    assert (found.disk, found.workers, found.reviews) == (None, None, None)


def test_an_alarm_of_the_stack_is_a_need(watched: DeployedStack) -> None:
    client = watched.client("cloudwatch")
    for name in ("orderflow-attention", "another-team"):
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription="A step fails at every retry. See the reason in the message.",
            Namespace="N",
            MetricName="M",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    [need] = health(watched).needs
    assert (need.kind, need.subject) == ("alarm", "Attention")
    assert need.text == "Attention: A step fails at every retry"
    assert need.remedy == "See the reason in the message."


def test_open_orders_are_counted_and_late_ones_need_somebody(watched: DeployedStack) -> None:
    now, store = clock.now(), DynamoOrders(watched.table())
    past = {"created_at": now - LATE, "updated_at": now - LATE, "version": 0}
    store.save(
        order(
            order_id="A-1",
            status=Status.COMPENSATING,
            charge=ChargeStatus.CHARGED,
            lease_until=now - LATE,
            **past,
        ).change()
    )
    wait = {"lease_owner": None, "lease_until": 0.0, "waiting_for": "OutOfStock", "attempts": 1}
    store.save(
        order(
            order_id="A-2", status=Status.WAITING, resume_at=now + 300, **{**past, **wait}
        ).change()
    )
    store.save(order(order_id="A-3", status=Status.COMPLETED, **past).change())
    found = health(watched)
    assert [(need.kind, need.subject) for need in found.needs] == [
        ("unpaid refunds", "A-1"),
        ("past their lease", "A-1"),
    ]
    assert found.totals == {"open": 2}
    [waiting] = found.waiting
    assert (waiting.waits_for, waiting.order_id, waiting.count) == ("stock", "A-2", 1)
    assert {stage.name for stage in found.stages} == {"orders COMPENSATING", "orders WAITING"}


def test_dead_letters_and_waiting_messages_are_counted(watched: DeployedStack) -> None:
    sqs = watched.client("sqs")
    for queue in ("AttentionQueue", "HighValueQueue"):
        sqs.send_message(QueueUrl=watched.names[queue], MessageBody="{}")
    found = health(watched)
    [need] = found.needs
    assert (need.kind, need.count, need.subject) == ("dead letters", 1, "AttentionQueue")
    assert {stage.name for stage in found.stages} == {"messages in HighValueQueue"}


def test_the_figures_are_cloudwatchs(watched: DeployedStack) -> None:
    for minutes, value in ((2, 10), (30, 50), (90, 1_000)):
        metric(watched, "OrdersCompleted", value, minutes)
    metric(watched, "OrdersFailedByReason", 3, 10, reason="OutOfStock")
    metric(watched, "OrdersFailedByReason", 2, 90, reason="OutOfStock")
    metric(watched, "OrdersFailedByReason", 1, 90, reason="PaymentDeclined")
    found = health(watched)
    rates = {rate.name: (rate.per_minute, rate.last_hour) for rate in found.rates}
    assert rates["completed"] == (2.0, 60)
    assert [(each.reason, each.last_hour, each.hour_before) for each in found.failures] == [
        ("OutOfStock", 3, 2),
        ("PaymentDeclined", 0, 1),
    ]
    latencies = {each.name: (each.p50, each.p99) for each in found.latencies}
    assert latencies == {"placed to completed": (2.0, 9.0), "event to delivered": (0.2, 0.9)}


def test_the_command_prints_it_and_has_the_exit_code(watched: DeployedStack) -> None:
    good = run("status", *PLACE, "--json")
    assert (good.exit_code, json.loads(good.stdout)["ok"]) == (0, True)
    watched.client("sqs").send_message(QueueUrl=watched.names["QuarantineQueue"], MessageBody="{}")
    bad = run("status", *PLACE)
    assert bad.exit_code == 1
    assert "1 dead letter in QuarantineQueue" in bad.stdout
