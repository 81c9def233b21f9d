"""The bill agrees with a manual calculation of the happy path."""

import re
import tomllib
from dataclasses import replace
from datetime import date

import pytest

from infra.cli.commands.cost import SERVICES, spent_rows
from infra.cost.bill import bill, total
from infra.cost.contrast import contrast
from infra.cost.deployment import PROD, Deployment, read_deployment
from infra.cost.monthly import CUSTOM_METRICS, FAILURE_REASONS, fixed, kept
from infra.cost.prices import PRICES
from infra.cost.usage import Usage
from infra.deployed.spending import Spending
from infra.local.template.project import TEMPLATE

STEPS = ("ValidateOrder", "CheckInventory", "ProcessPayment", "UpdateInventory", "CreateShipment")
ONE_ORDER = Usage(
    orders=1,
    lines=2.6,
    executions=1,
    states=10,
    functions={f"{name}Function": 1 for name in (*STEPS, "CompleteOrder")},
    messages={"ConfirmationsQueue": 1},
    events={"Order Created": 1, "Order Completed": 1},
    relayed={"Order Completed": 1},
    event_units=2,
    event_bytes=2_048,
    firehose_bytes=10_240,
    mails=1,
    http_requests=0,
    log_bytes=0,
)
FUNCTIONS = (*ONE_ORDER.functions, "SendConfirmationFunction", "RelayFunction", "OrdersApiFunction")
DEPLOYED = Deployment(
    memory={**dict.fromkeys(FUNCTIONS, 256), "ProcessRecordsFunction": 512},
    arm64=True,
    sampling=0.05,
    batches={"SendConfirmationFunction": 1, "RelayFunction": 10, "ProcessRecordsFunction": 1},
    system_logs=False,
    buffer_seconds=60,
)
"""The deployment of the manual calculation; the template may differ."""

# One vCPU is 1,769 MB, so that 256 MB take 6.91 times as long; every call 1.5 ms of it, and every
# request 1.5 ms. A read answers after 4 ms, a write after 6, a transaction after 12, others 150.
SLOWER = 1769 / 256
VALIDATE = (1.5 + 2 * 1.5) * SLOWER + 4 + 6  # the order: read, written
CHECK = (1.5 + 2 * 1.5) * SLOWER + 4 + 12  # the order read; it and its lines in a transaction
PAY = (1.5 + 4 * 1.5) * SLOWER + 4 + 2 * 6 + 150  # PENDING, the gateway, CHARGED
UPDATE = CHECK
SHIP = (1.5 + 3 * 1.5) * SLOWER + 4 + 6 + 150  # read, the carrier, written
COMPLETE = VALIDATE
MAIL = (1.5 + 4 * 1.5) * SLOWER + 2 * 4 + 6 + 50  # the order, the mark, the mail, the mark
RELAY = (1.5 / 10 + (1 + 1 / 10) * 1.5) * SLOWER + 6 + 10 / 10  # ten per call and per PutEvents
MILLISECONDS = (VALIDATE, CHECK, PAY, UPDATE, SHIP, COMPLETE, MAIL, RELAY)
CHUNK = 1024 * 1024 / 2_048  # orders whose two events make one call of Firehose's processor
ROWS = (1.5 / CHUNK + 2 * 0.1) * 1769 / 512

BY_HAND = {
    # Order Created starts one run
    "step_functions_requests": 1.0,
    # four steps in a row, the slower branch, and the end: 20 ms each on top, 2 ms for the three
    # other states (both choices, the Parallel); 64 MB, in units of 100 ms
    "step_functions_duration": 0.7 * 64 / 1024,
    # six steps, a mail, a tenth of a relay, and the call of Firehose's processor
    "lambda_requests": 6 + 1 + 0.1 + 1 / CHUNK,
    "lambda_duration": 0.25 * sum(MILLISECONDS) / 1e3 + 0.5 * ROWS / 1e3,
    # one call in a hundred: 400 ms of init, and boto3's import of 215 ms
    "lambda_init": 0.01 * 0.615 * (0.25 * (6 + 1 + 0.1) + 0.5 * 1 / CHUNK),
    # a line of metrics when an order is completed and when a mail is sent
    "cloudwatch_logs": 2 * 250 / 1024,
    # one in twenty: a run with its functions, a mail, the relay, the processor
    "xray_traces": 0.05 * (1 + 1 + 0.1 + 1 / CHUNK),
    # Order Created from upstream, Order Completed from the relay
    "eventbridge_events": 2.0,
    # both events
    "eventbridge_archived": 2.0,
    "http_api_requests": 0.0,
    # sent by the workflow, received, deleted
    "sqs_requests": 3.0,
    "dynamodb_writes": (
        (1 + 1)  # ValidateOrder: the order, and its entry in the index
        + 2 * (1 + 2.6)  # CheckInventory: the order and its lines, twice since in a transaction
        + 1  # ProcessPayment: PENDING
        + 1  # and CHARGED
        + 2 * (1 + 2.6)  # UpdateInventory
        + 1  # CreateShipment
        + 2  # OrderCompleted: with the event in its outbox the order has over 1 KB
        + (2 + 2)  # the relay: the outbox emptied; in the index from the open to the customer's
        + 1  # SendConfirmation: the mark
    ),
    # the search for lost events asks for the order once, without consistency
    "dynamodb_reads": 1 + 1 + 1 + 1 + 1 + 1 + 2.0 + 0.5,
    # two events, each of 5 KB at least
    "firehose_ingested": 10.0,
    "firehose_conversion": 10.0,
    # a file a minute, a million orders a day
    "s3_puts": 1440 / 1e6,
    # 288 searches of half of 2 million events, 40 bytes each; four queries of two days, 100 bytes
    "athena_scanned": (288 * 1e6 * 40 + 4 * 4e6 * 100) / 1e6 / 1024,
}


def test_every_line_agrees_with_the_manual_calculation() -> None:
    lines = bill(ONE_ORDER, DEPLOYED).lines
    assert {line.name: line.quantity for line in lines} == pytest.approx(BY_HAND)


def test_a_run_takes_the_sum_of_its_steps() -> None:
    states = VALIDATE + CHECK + PAY + max(UPDATE, SHIP) + COMPLETE + 5 * 20 + 3 * 2
    assert 600 < states <= 700


def test_each_line_costs_its_quantity_at_the_list_price() -> None:
    usd = {line.name: line.usd for line in bill(ONE_ORDER, DEPLOYED).lines}
    gigabytes = 1_000_000 * 1024 / 1024**3
    assert usd == pytest.approx(
        {
            "step_functions_requests": 1.00,
            "step_functions_duration": BY_HAND["step_functions_duration"] * 16.67,
            "lambda_requests": BY_HAND["lambda_requests"] * 0.20,
            "lambda_duration": BY_HAND["lambda_duration"] * 13.3334,
            "lambda_init": BY_HAND["lambda_init"] * 13.3334,
            "cloudwatch_logs": BY_HAND["cloudwatch_logs"] * gigabytes * 0.50,
            "xray_traces": BY_HAND["xray_traces"] * 5.0,
            "eventbridge_events": 2.00,
            "eventbridge_archived": 2 * gigabytes * 0.10,
            "http_api_requests": 0.00,
            "sqs_requests": 1.20,
            "dynamodb_writes": 26.4 * 0.625,
            "dynamodb_reads": 8.5 * 0.125,
            "firehose_ingested": 10 * gigabytes * 0.029,
            "firehose_conversion": 10 * gigabytes * 0.018,
            "s3_puts": 1.44 * 0.005,
            "athena_scanned": BY_HAND["athena_scanned"] * gigabytes * 5 / 1024,
        }
    )


def test_the_total_is_the_sum_of_the_lines_without_mail() -> None:
    result = bill(ONE_ORDER, DEPLOYED)
    assert total(result.lines) == pytest.approx(sum(line.usd for line in result.lines))
    assert result.mail.usd == pytest.approx(100.0)
    assert "ses_mails" not in {line.name for line in result.lines}


def test_standard_is_billed_per_state_and_other_lines_are_the_same() -> None:
    result = bill(ONE_ORDER, DEPLOYED)
    [transitions] = result.standard
    assert transitions.usd == pytest.approx(10 * 25.0)
    assert {line.name for line in result.express} == {
        "step_functions_requests",
        "step_functions_duration",
    }
    assert result.lines == result.express + result.rest


def test_the_design_for_contrast_has_its_declared_cost() -> None:
    by_hand = (
        9 * 25.0  # states
        + 7 * 0.20  # functions
        + 7 * 0.1 * 0.25 * 16.6667  # of 256 MB on x86, 100 ms each
        + 2 * 1.0  # events
        + (1 + 7.2 + 3 + 7.2 + 2 + 4 + 6 + 1) * 0.625  # an item for every fact
        + 7 * 0.125  # a read at each step
        + 5.0  # every run is traced
        + 7 * 420 * 1e6 / 1024**3 * 0.50  # Lambda's three lines of log
        + 10 * 1024 * 1e6 / 1024**3 * (0.029 + 0.018)  # to Parquet
    )
    assert total(contrast()) == pytest.approx(by_hand)
    assert round(by_hand, 1) == 258.6


def test_an_order_over_http_adds_a_request_a_call_and_the_writes_of_the_api() -> None:
    """The API's write, the relay's, and the entry that the claim moves among the due items."""
    over_http = replace(
        ONE_ORDER, http_requests=1, relayed={"Order Created": 1, "Order Completed": 1}
    )
    before, after = (
        {line.name: line.quantity for line in bill(usage, DEPLOYED).lines}
        for usage in (ONE_ORDER, over_http)
    )
    assert after["http_api_requests"] == 1
    assert after["lambda_requests"] == pytest.approx(before["lambda_requests"] + 1 + 0.1)
    assert after["dynamodb_writes"] == pytest.approx(before["dynamodb_writes"] + 2 + 2 + 2)


def test_a_function_that_the_model_lacks_is_an_error() -> None:
    functions = {**ONE_ORDER.functions, "NewFunction": 1.0}
    with pytest.raises(KeyError, match="NewFunction"):
        bill(replace(ONE_ORDER, functions=functions), DEPLOYED)


def test_batch_sizes_and_memory_change_the_bill() -> None:
    usd = total(bill(ONE_ORDER, DEPLOYED).lines)
    batches = {**DEPLOYED.batches, "SendConfirmationFunction": 10}
    assert total(bill(ONE_ORDER, replace(DEPLOYED, batches=batches)).lines) < usd
    memory = dict.fromkeys(DEPLOYED.memory, 1024)
    assert total(bill(ONE_ORDER, replace(DEPLOYED, memory=memory)).lines) > usd
    assert total(bill(ONE_ORDER, replace(DEPLOYED, system_logs=True)).lines) > usd


def test_an_item_over_1_kb_costs_a_unit_more() -> None:
    over = bill(ONE_ORDER, DEPLOYED).over_1kb
    assert over.usd == pytest.approx(1 * 0.625)  # of CreateShipment


def test_a_batch_is_of_one_shard_or_one_poller() -> None:
    deployed = read_deployment(TEMPLATE)
    second = 1e6 / 86_400
    assert deployed.batches["RelayFunction"] == pytest.approx(second * 1 / 4)
    assert deployed.batches["SendConfirmationFunction"] == pytest.approx(10)
    assert second * 5 / 5 > 10


def test_a_month_without_orders_agrees_with_the_manual_calculation() -> None:
    usd = {line.name: line.usd for line in fixed(TEMPLATE)}
    alarms = re.findall(r"^    Type: AWS::CloudWatch::Alarm$", TEMPLATE.read_text(), re.MULTILINE)
    month = 30 * 86_400
    assert usd == pytest.approx(
        {
            "alarms": (len(alarms) - 1 + 3) * 0.10,  # one reads three metrics
            "dashboards": 3.00,
            "custom_metrics": (CUSTOM_METRICS - 1 + FAILURE_REASONS) * 0.30,
            "kms_keys": 0,
            "idle_polls": 4 * 5 * month / 20 / 1e6 * 0.40,
            "scheduled_functions": 30 * (288 * 3 * 0.25 + 30 * 0.5) * 0.0000133334,
            "provisioned_concurrency": 2 * month * 0.25 * 0.0000033334,
        }
    )


def test_a_stage_without_provisioned_concurrency_pays_none() -> None:
    lines = {line.name: line.usd for line in fixed(TEMPLATE, {"Environment": "dev"})}
    assert lines["provisioned_concurrency"] == 0


def test_kept_orders_agree_with_the_manual_calculation() -> None:
    gigabytes = 1e6 / 1024**3
    assert {line.name: line.usd for line in kept(ONE_ORDER)} == pytest.approx(
        {
            "dynamodb_storage": 1_350 * gigabytes * 0.25,
            "dynamodb_recovery": 1_350 * gigabytes * 0.20,
            "eventbridge_archive": 2_048 * gigabytes * 0.023,
            "s3_storage": 2 * 100 * gigabytes * 0.023,
        }
    )


def test_every_metric_of_a_function_is_counted() -> None:
    counted = re.compile(r"""(?:count|count_by|observe)\(\s*(?:"(\w+)"(?: if .*? else "(\w+)")?)""")
    names = {
        name
        for path in (TEMPLATE.parent / "services").rglob("*.py")
        for found in counted.findall(path.read_text())
        for name in found
        if name[:1].isupper()
    }
    filters = TEMPLATE.read_text(encoding="utf-8").count("AWS::Logs::MetricFilter")
    assert len(names) + filters == CUSTOM_METRICS


def test_the_priced_stage_is_the_one_that_is_deployed() -> None:
    stages = tomllib.loads((TEMPLATE.parent / "samconfig.toml").read_text())
    written = stages["prod"]["deploy"]["parameters"]["parameter_overrides"]
    assert dict(entry.split("=", 1) for entry in written) == PROD


def test_the_template_deploys_an_order_for_thirty_dollars_a_million_at_most() -> None:
    deployed = read_deployment(TEMPLATE)
    assert set(ONE_ORDER.functions) <= set(deployed.memory)
    priced = bill(ONE_ORDER, deployed)
    assert total(priced.lines) <= 30.0
    assert total((*priced.lines, priced.over_1kb)) <= 30.0


def test_prices_have_their_date() -> None:
    assert (PRICES.writes_per_million, PRICES.standard_per_million) == (0.625, 25.0)


def test_every_line_of_the_model_is_of_a_service_of_cost_explorer() -> None:
    prefixes = set(SERVICES.values())
    for line in bill(ONE_ORDER, DEPLOYED).lines:
        assert len([prefix for prefix in prefixes if line.name.startswith(prefix)]) == 1, line.name


def test_the_real_cost_is_printed_with_the_models() -> None:
    services = {"AWS Lambda": 4.0, "AWS Key Management Service": 1.0}
    spent = Spending(date(2026, 2, 1), date(2026, 2, 8), services, 500_000, {})
    priced = bill(ONE_ORDER, DEPLOYED)
    model = sum(line.usd for line in priced.lines if line.name.startswith("lambda_"))
    assert spent_rows(spent, priced) == [
        ("AWS Lambda", "4.00", "8.00", f"{model:.2f}"),
        ("AWS Key Management Service", "1.00", "2.00", "-"),
        ("total", "5.00", "10.00", f"{total(priced.lines):.2f}"),
    ]
