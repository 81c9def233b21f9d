"""Handlers' results and errors match their states' selectors and catches; batches fail in part."""

import json
import re
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

import inventory.usecases
import inventory.wiring
import orders.wiring
import payments.wiring
import shipping.wiring
from inventory.model import Receipt
from kernel import clock, errors
from kernel.order_record import Message, OrderRecord
from kernel.order_status import ChargeStatus, Reservation, ShipmentStatus, Status
from lambda_support import settings
from orders.early_requests import MAX_KEPT, RETENTION
from orders.handlers import change_order, reconcile, validate_order
from orders.usecases import Policy, place
from storage.sqlite.database import database
from storage.sqlite.records import SQLiteRecords
from tests.fakes.events import ADDRESS, created, envelope, read
from tests.integration.workflow import WORKFLOWS, states, tasks, template

CONTEXT = cast("Any", SimpleNamespace(function_name="f", aws_request_id="r-1"))
RUN = "run-1"
QUEUE = "https://sqs.example/quarantine"
SERVICES = (orders, inventory, payments, shipping)


class Workflow:
    """A workflow that calls the handlers of its states and holds their data."""

    def __init__(self, store: SQLiteRecords) -> None:
        self.store = store
        self.data: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}

    def call(self, name: str) -> Any:
        """Enter a task; its answer becomes the data that the next ones see."""
        task = tasks()[name]
        answer = json.loads(json.dumps(task.call(self.data, RUN, CONTEXT)))
        self.answers[name] = answer
        where = task.state.get("ResultPath", "$")
        if task.branch:
            return answer
        if where == "$":
            self.data = answer
        elif where is not None:
            self.data[where.removeprefix("$.")] = answer
        return answer

    def order(self, *names: str, **fields: Any) -> "Workflow":
        """Take a new order through these states."""
        self.data = envelope(**fields)
        for name in ("ValidateOrder", *names):
            self.call(name)
        return self

    def become(self, **fields: Any) -> None:
        """Let the order become what these fields say, whoever did that."""
        change = self.store.read("A-1").change()
        self.store.save(change._replace(fields={**change.fields, **fields}))

    @property
    def record(self) -> OrderRecord:
        return self.store.read("A-1")


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workflow]:
    for name, value in {
        "STORE_URL": f"sqlite:///{tmp_path}/orders.db",
        "GATEWAY_URL": f"sqlite:///{tmp_path}/sandbox.db",
        "CARRIER_URL": f"sqlite:///{tmp_path}/sandbox.db",
        "QUARANTINE_QUEUE_URL": QUEUE,
        "RECOVERY_DELAY_SECONDS": "7",
        "LEASE_SECONDS": "300",
    }.items():
        monkeypatch.setenv(name, value)
    for service in SERVICES:
        service.wiring.ports.cache_clear()
    stock = Receipt("first", {"TEA": 10, "CUP": 10})
    ports = inventory.wiring.ports()
    ports.store.receive(stock, ports.now())
    yield Workflow(SQLiteRecords(database(f"sqlite:///{tmp_path}/orders.db")))
    for service in SERVICES:
        service.wiring.ports.cache_clear()


def outbox(workflow: Workflow) -> list[Message]:
    rows = workflow.store.database.rows("select kind, body from outbox order by id")
    return [Message(row["kind"], json.loads(row["body"])) for row in rows]


# ---- answers

FORWARD = ("CheckInventory", "ProcessPayment", "UpdateInventory", "CreateShipment")
BACKWARD = ("Compensate", "VoidShipment", "RefundPayment", "ReleaseInventory", "OrderFailed")


def selected(workflow: Workflow) -> None:
    """Assert that every result has the fields that its state selects."""
    for name, answer in workflow.answers.items():
        assert tasks()[name].selected <= set(answer), name


def test_an_order_completes_by_the_results_of_each_handler(workflow: Workflow) -> None:
    workflow.order(*FORWARD, "OrderCompleted")
    selected(workflow)
    outcomes = [workflow.answers[name]["outcome"] for name in FORWARD]
    assert outcomes == ["RESERVED", "CHARGED", "COMMITTED", "CREATED"]
    assert workflow.answers["OrderCompleted"] == {"status": "COMPLETED"}
    assert workflow.record.status is Status.COMPLETED


def test_an_order_is_compensated_by_the_results_of_each_handler(workflow: Workflow) -> None:
    workflow.order(*FORWARD)
    workflow.data["step"] = [
        {"outcome": "QUEUED"},
        {"outcome": "COMMITTED"},
        {"outcome": "FAILED", "Error": "CarrierError", "Cause": '{"errorMessage": "no van"}'},
    ]
    for name in BACKWARD:
        workflow.call(name)
    selected(workflow)
    outcomes = [workflow.answers[name].get("outcome") for name in BACKWARD[1:-1]]
    assert outcomes == ["VOIDED", "REFUNDED", "GIVEN_BACK"]
    assert workflow.answers["Compensate"]["epoch"] == 2
    assert workflow.answers["OrderFailed"] == {"status": "FAILED"}
    record = workflow.record
    assert (record.failure, record.failure_message) == ("CarrierError", "no van")
    assert (record.charge, record.reservation, record.shipment) == (
        ChargeStatus.REFUNDED,
        Reservation.RESTOCKED,
        ShipmentStatus.VOIDED,
    )


def test_an_order_out_of_stock_waits_by_the_results_of_each_handler(workflow: Workflow) -> None:
    line = {"sku": "TEA", "quantity": 37, "unit_price": 1}
    workflow.order("CheckInventory", "PauseOrder", items=[line])
    selected(workflow)
    assert workflow.answers["CheckInventory"] == {
        "outcome": "OUT_OF_STOCK",
        "reason": "OutOfStock",
        "message": "TEA: 37 ordered, 10 available",
        "missing": [{"sku": "TEA", "requested": 37, "available": 10}],
    }
    pause = workflow.answers["PauseOrder"]
    assert (pause["outcome"], pause["wait_seconds"]) == ("WAITING", 7.0)
    [message] = outbox(workflow)
    assert message.body["DetailType"] == "Order Backordered"


def test_these_paths_enter_every_task() -> None:
    others = {"ValidateOrder", "RequestApproval", "OrderCompleted", "PauseOrder"}
    assert set(tasks()) == {*FORWARD, *BACKWARD, *others}


def test_a_claimed_order_is_fenced_by_the_epoch_that_the_workflow_carries(
    workflow: Workflow,
) -> None:
    workflow.order()
    assert workflow.answers["ValidateOrder"]["epoch"] == workflow.record.epoch == 1
    for name in (*FORWARD, "OrderCompleted", "PauseOrder", *BACKWARD):
        workflow.data["step"] = {}
        assert tasks()[name].payload(workflow.data, RUN)["epoch"] == 1


def test_a_runs_owner_is_its_executions_name(workflow: Workflow) -> None:
    workflow.order()
    assert workflow.record.lease_owner == RUN
    for name in ("ValidateOrder", "Compensate"):
        workflow.data["step"] = {}
        assert tasks()[name].payload(workflow.data, RUN)["owner"] == RUN


def test_an_execution_that_resumes_an_order_takes_the_same_path(workflow: Workflow) -> None:
    place(created(), orders.wiring.ports())
    recovery = yaml.safe_load((WORKFLOWS / "order_recovery.asl.yaml").read_text())
    input_ = recovery["States"]["ResumeOrder"]["Parameters"]["Input"]
    assert input_ == {"resume": {"order_id.$": "$.order_id"}}
    workflow.data = {"resume": {"order_id": "A-1"}}
    assert workflow.call("ValidateOrder")["order_id"] == "A-1"


# ---- errors


def at(workflow: Workflow, name: str, **fields: Any) -> None:
    """Move an order to the state before this task, and change these fields of it."""
    before = {
        "CheckInventory": (),
        "ProcessPayment": FORWARD[:1],
        "RequestApproval": FORWARD[:1],
        "UpdateInventory": FORWARD[:2],
        "CreateShipment": FORWARD[:2],
        "OrderCompleted": FORWARD,
        "PauseOrder": (),
        "Compensate": FORWARD,
    }
    if name in before:
        workflow.order(*before[name])
    else:
        workflow.order(*FORWARD)
        workflow.data["step"] = {}
        for state in BACKWARD[: BACKWARD.index(name)]:
            workflow.call(state)
    workflow.data.setdefault("step", {})
    if fields:
        workflow.become(**fields)


def raised(workflow: Workflow, name: str) -> str:
    """Call a task; return the name of the error that the workflow sees."""
    with pytest.raises(errors.OrderflowError) as error:
        workflow.call(name)
    return type(error.value).__name__


@pytest.mark.parametrize("name", sorted(set(tasks()) - {"ValidateOrder"}))
def test_a_superseded_run_ends_quietly_at_every_state(workflow: Workflow, name: str) -> None:
    at(workflow, name)
    workflow.become(epoch=workflow.record.epoch + 1)
    assert raised(workflow, name) == "LeaseLost"
    ends = {"UpdateInventory": "InventoryNotUpdated", "CreateShipment": "ShipmentNotCreated"}
    assert tasks()[name].after("LeaseLost") == ends.get(name, "RunSuperseded")


@pytest.mark.parametrize(
    ("name", "fields", "error", "leads"),
    [
        ("ProcessPayment", {"cancel_requested": True}, "OrderCancelled", (0, "Compensate")),
        ("ProcessPayment", {"payment_token": "tok_decline"}, "PaymentDeclined", (0, "Compensate")),
        (
            "ProcessPayment",
            {"payment_token": "tok_timeout"},
            "PaymentGatewayError",
            (3, "PauseOrder"),
        ),
        (
            "UpdateInventory",
            {"cancel_requested": True},
            "OrderCancelled",
            (0, "InventoryNotUpdated"),
        ),
        ("CreateShipment", {"cancel_requested": True}, "OrderCancelled", (0, "ShipmentNotCreated")),
        ("CreateShipment", {"charge": None}, "OrderIncomplete", (0, "ShipmentNotCreated")),
        (
            "CreateShipment",
            {"shipping_address": {**ADDRESS, "street": "SANDBOX FAIL"}},
            "CarrierError",
            (2, "ShipmentNotCreated"),
        ),
        ("OrderCompleted", {"shipment": None}, "OrderIncomplete", (0, "PauseOrder")),
        ("OrderFailed", {"charge": "PENDING"}, "OrderIncomplete", (0, "RequestAttention")),
    ],
)
def test_an_outcome_leads_to_the_state_of_the_workflow(
    workflow: Workflow, name: str, fields: dict[str, Any], error: str, leads: tuple[int, str]
) -> None:
    at(workflow, name, **fields)
    assert raised(workflow, name) == error
    assert (tasks()[name].retries(error), tasks()[name].after(error)) == leads


def test_a_failed_refund_is_retried_and_then_sent_to_the_attention_queue(
    workflow: Workflow,
) -> None:
    workflow.order(*FORWARD, payment_token="tok_refund_fails")
    workflow.data["step"] = {}
    for name in ("Compensate", "VoidShipment"):
        workflow.call(name)
    assert raised(workflow, "RefundPayment") == "PaymentGatewayError"
    refund = tasks()["RefundPayment"]
    assert refund.retries("PaymentGatewayError") == 3
    assert refund.after("PaymentGatewayError") == "RequestAttention"


def test_a_failed_void_is_retried_and_then_sent_to_the_attention_queue() -> None:
    void = tasks()["VoidShipment"]
    assert void.retries("CarrierError") == 3
    assert void.after("CarrierError") == "RequestAttention"


@pytest.mark.parametrize(
    ("event", "error", "after"),
    [
        (envelope(), "DuplicateOrder", "OrderIgnored"),
        (envelope(customer_id="C-43"), "OrderConflict", "QuarantineOrder"),
        (envelope(total=1), "InvalidEvent", "QuarantineOrder"),
        (envelope("Order Cancelled"), "InvalidEvent", "QuarantineOrder"),
        ({"resume": {"order_id": "A-9"}}, "OrderNotFound", "QuarantineOrder"),
    ],
)
def test_an_event_that_opens_no_order_is_ignored_or_quarantined(
    workflow: Workflow, event: dict[str, Any], error: str, after: str
) -> None:
    workflow.order()
    with pytest.raises(errors.OrderflowError) as refused:
        validate_order.handler({"event": event, "owner": "run-2"}, CONTEXT)
    assert type(refused.value).__name__ == error
    assert tasks()["ValidateOrder"].after(error) == after


def test_the_workflows_match_errors_that_the_services_raise() -> None:
    named = {
        name
        for path in WORKFLOWS.glob("*.asl.yaml")
        for _, state in states(yaml.safe_load(path.read_text()))
        for rule in (*state.get("Retry", []), *state.get("Catch", []))
        for name in rule["ErrorEquals"]
        if "." not in name  # those of AWS: the contract tests list them
    }
    assert named <= set(vars(errors))
    assert {"LeaseLost", "DuplicateOrder", "PaymentDeclined", "PaymentGatewayError"} <= named


def test_the_tree_of_errors_is_complete() -> None:
    types = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    kinds = {name for name, kind in types.items() if issubclass(kind, Exception)}
    assert set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) == kinds - {"OrderflowError"}


# ---- changes in batches


def batch(*bodies: str | dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "eventSource": "aws:sqs",
            }
            for number, body in enumerate(bodies)
        ]
    }


def retried(*bodies: str | dict[str, Any]) -> list[str]:
    """Send a batch; return the ids of the messages to retry."""
    answer = change_order.handler(batch(*bodies), CONTEXT)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def update(order_id: str, email: str = "bob@example.com") -> dict[str, Any]:
    return envelope("Order Updated", order_id=order_id, email=email)


def test_only_the_failed_one_of_ten_changes_is_retried(workflow: Workflow) -> None:
    ids = [f"A-{n}" for n in range(10)]
    for order_id in ids[:3] + ids[4:]:
        place(created(order_id=order_id), orders.wiring.ports())
    assert retried(*(update("A-3", f"a{n}@example.com") for n in range(MAX_KEPT))) == []
    assert retried(*(update(order_id) for order_id in ids)) == ["m-3"]
    for order_id in ids[:3] + ids[4:]:
        assert workflow.store.read(order_id).email == "bob@example.com"


def test_changes_that_all_fail_are_all_retried(workflow: Workflow) -> None:
    full = [update(one, f"a{n}@example.com") for n in range(MAX_KEPT) for one in ("A-1", "A-2")]
    assert retried(*full) == []
    assert retried(update("A-1"), update("A-2")) == ["m-0", "m-1"]


def test_a_change_before_its_order_is_applied_to_the_order(workflow: Workflow) -> None:
    assert retried(update("A-1"), envelope("Order Cancelled")) == []
    workflow.order()
    assert (workflow.record.email, workflow.record.cancel_requested) == ("bob@example.com", True)
    assert workflow.call("CheckInventory")["reason"] == "OrderCancelled"


def test_a_cancellation_in_a_batch_is_applied(workflow: Workflow) -> None:
    workflow.order()
    assert retried(envelope("Order Cancelled", reason="cheaper")) == []
    assert workflow.record.cancel_requested


def test_a_late_change_is_not_retried(workflow: Workflow) -> None:
    workflow.order(*FORWARD, "OrderCompleted")
    assert retried(update("A-1"), envelope("Order Cancelled")) == []
    assert outbox(workflow)[-1].body["DetailType"] == "Order Cancellation Refused"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (update("A-1", email="bob"), "detail.email: 'bob': is not an e-mail address"),
        (envelope(), "detail-type: 'Order Created' changes no order"),
        (update("A-1") | {"source": "elsewhere"}, "source: 'elsewhere' is not"),
        ("no JSON", "body: is not JSON"),
        ("null", "body: is not a JSON object"),
        ("[" * 100_000, "body: is not JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_invalid_message_is_quarantined_at_once(
    workflow: Workflow, body: str | dict[str, Any], reason: str
) -> None:
    place(created(), orders.wiring.ports())
    assert retried(update("A-1"), body) == []
    message = outbox(workflow)[-1]
    assert (message.kind, message.body["queue"]) == ("message", QUEUE)
    content: Any = message.body["body"]
    assert content["consumer"] == "change_order"
    assert content["event"] == (None if body == "null" else body)
    assert content["reason"]["error"] == "InvalidEvent"
    assert content["reason"]["message"].startswith(reason)
    assert workflow.record.email == "bob@example.com"


def test_a_quarantined_message_is_strict_json(workflow: Workflow) -> None:
    body = json.dumps(update("A-1")).replace('"A-1"', "NaN")
    assert retried(body) == []
    [row] = workflow.store.database.rows("select body from outbox")
    json.loads(row["body"], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# ---- the rest


@pytest.mark.parametrize(
    ("setting", "parameter"),
    [
        ("lease_seconds", "LeaseSeconds"),
        ("recovery_delay_seconds", "RecoveryDelaySeconds"),
        ("max_attempts", "MaxAttempts"),
        ("approval_seconds", "ApprovalSeconds"),
    ],
)
def test_a_functions_defaults_are_the_parameters_of_the_template(
    setting: str, parameter: str
) -> None:
    default = template()["Parameters"][parameter]["Default"]
    assert orders.wiring.OrdersSettings.model_fields[setting].default == default
    assert astuple(Policy()) == (300.0, 300, 12, 86_400)


def test_the_reconciler_expires_requests_whose_order_did_not_arrive(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    retried({**update("A-9"), "id": "bus-9"})
    assert reconcile.handler({}, CONTEXT)["given_up"] == 0
    monkeypatch.setattr(clock, "_offset", vars(clock)["_offset"] + RETENTION + 1)
    assert reconcile.handler({}, CONTEXT)["given_up"] == 1
    letter, fact = outbox(workflow)
    assert letter.body["queue"] == QUEUE
    assert read(fact.body).detail.rejected_event_id == "bus-9"


def test_the_reconciler_returns_the_number_of_started_runs(workflow: Workflow) -> None:
    workflow.order()
    assert reconcile.handler({}, CONTEXT)["started"] == 0
    workflow.become(lease_until=1.0)
    assert reconcile.handler({}, CONTEXT)["started"] == 1
    assert [message.kind for message in outbox(workflow)] == ["run"]


def test_functions_in_one_process_have_separate_settings(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one machine a worker runs every function, each with its own environment variables."""
    monkeypatch.delenv("QUARANTINE_QUEUE_URL")
    monkeypatch.setattr(settings, "_running", "ValidateOrderFunction")
    workflow.order()
    monkeypatch.setenv("QUARANTINE_QUEUE_URL", QUEUE)
    settings.enter("ChangeOrderFunction")
    retried("no JSON")
    assert outbox(workflow)[-1].body["queue"] == QUEUE


@pytest.mark.parametrize(
    ("way", "metric"),
    [
        ((*FORWARD, "OrderCompleted"), "OrdersCompleted"),
        ((*FORWARD, *BACKWARD), "OrdersFailed"),
    ],
)
def test_an_end_is_counted(
    workflow: Workflow, capsys: pytest.CaptureFixture[str], way: tuple[str, ...], metric: str
) -> None:
    workflow.order(*FORWARD)
    workflow.data["step"] = {}
    for name in way[len(FORWARD) :]:
        workflow.call(name)
    metrics = [json.loads(one) for one in capsys.readouterr().out.splitlines() if '"_aws"' in one]
    assert [one[metric] for one in metrics if metric in one] == [[1.0]]


def test_an_outcome_is_one_line_of_the_log_and_no_crash(
    workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    at(workflow, "CheckInventory", epoch=9)
    caplog.clear()
    raised(workflow, "CheckInventory")
    [line] = caplog.records
    assert (line.levelname, line.getMessage()) == (
        "INFO",
        "order A-1 is RECEIVED at epoch 9, not 1",
    )
    assert (line.__dict__["outcome"], line.exc_info) == ("LeaseLost", None)
