"""The console of a deployed stack in this process, on moto: its pages, its limits, its refusals."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.console.pages import PAGES as OF_A_DIRECTORY
from infra.console.stack.missing import MISSING
from infra.console.stack.pages import PAGES
from infra.deployed.stack import DeployedStack
from kernel import clock
from kernel.order_record import Entry
from kernel.order_status import ChargeStatus, Status
from orders.dynamodb import DynamoOrders
from tests.fakes.console_pages import HOSTILE, check_safe
from tests.fakes.records import order
from tests.fakes.stack_console import PORT, StackVisitor, counted_calls, refusing, visiting

QUARANTINED = {
    "consumer": "order_processing",
    "reason": {"error": "InvalidEvent", "message": f"detail.currency: {HOSTILE}"},
    "event": {
        "source": "orders.service",
        "detail-type": "Order Created",
        "detail": {"order_id": "BAD-1", "note": HOSTILE},
    },
}


def save(stack: DeployedStack, order_id: str, **fields: Any) -> None:
    now = clock.now()
    times = {"created_at": now - 60, "updated_at": now - 30, "version": 0}
    DynamoOrders(stack.table()).save(order(order_id=order_id, **{**times, **fields}).change())


@pytest.fixture
def filled(stack: DeployedStack) -> DeployedStack:
    """Return a stack with an open, a waiting and an ended order, and a dead letter."""
    save(stack, "O-1", email=HOSTILE, customer_id="C-1")
    wait = {"lease_owner": None, "lease_until": 0.0, "waiting_for": "OutOfStock", "attempts": 1}
    save(stack, "O-2", status=Status.WAITING, resume_at=clock.now() + 300, **wait)
    save(stack, "O-3", status=Status.FAILED, failure="PaymentDeclined", failure_message=HOSTILE)
    put_letter(stack)
    return stack


def put_letter(stack: DeployedStack, queue: str = "QuarantineQueue", body: Any = None) -> str:
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.name(queue), MessageBody=json.dumps(body or QUARANTINED)
    )
    return str(sent["MessageId"])


@pytest.fixture
def visitor(filled: DeployedStack) -> Iterator[StackVisitor]:
    with visiting(filled) as opened:
        yield opened


# ---- pages


def test_each_page_of_one_machine_has_its_page_of_a_stack() -> None:
    for ours, theirs in zip(OF_A_DIRECTORY, PAGES, strict=True):
        assert (theirs.name, theirs.title, theirs.key) == (ours.name, ours.title, ours.key)
        assert {*ours.gets, *ours.waits} <= {*theirs.gets}
        assert {*ours.posts} <= {*theirs.posts}


def test_hostile_text_is_text_and_each_link_leads_to_a_page(visitor: StackVisitor) -> None:
    visitor.acted("/console/dead-letters/look", {})
    seen: set[str] = set()
    waiting = ["/console/", "/console/orders/O-1", "/console/orders/O-3"]
    while waiting:
        address = waiting.pop(0)
        if address in seen or len(seen) > 120:
            continue
        seen.add(address)
        page = visitor.get(address)
        assert page.status in (200, 303), (address, page.text[-2000:])
        if "text/html" in page.headers.get("content-type", ""):
            links = [each.partition("#")[0] for each in check_safe(page).links]
            waiting += [each for each in links if each.startswith("/console/")]
    assert {"/console/bus", "/console/replays", "/console/queries", "/console/activity"} <= seen


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/console/orders/O-1/mail", "SES has sent it"),
        ("/console/bus/1", "keeps no journal of the bus"),
        ("/console/bus", "keeps no journal of the bus"),
        ("/console/orders", "has no index by time"),
        ("/console/orders/O-1", "keeps no history of an EXPRESS run"),
        ("/console/search?q=nothing", "no index of other ids"),
        ("/console/activity", "CloudTrail records"),
        ("/console/replays/new", "cancel a replay, not pause it"),
    ],
)
def test_a_missing_feature_is_said_in_one_sentence(
    visitor: StackVisitor, path: str, sentence: str
) -> None:
    page = visitor.get(path)
    assert page.status in (200, 404)
    assert sentence in page.text.replace("&#39;", "'")
    assert any(sentence in each for each in MISSING.values())


def test_the_overview_has_the_needs_and_the_open_orders(visitor: StackVisitor) -> None:
    page = visitor.get("/console/")
    assert "1 dead letter in QuarantineQueue" in page.text
    assert "orderflow-test" in page.text
    assert "Send an example order" not in page.text
    assert "sse" not in page.text.partition("<body")[2].partition(">")[0]
    assert 'data-poll="15"' in page.text


def test_an_ended_order_is_found_by_its_customer_and_by_its_id(visitor: StackVisitor) -> None:
    assert "O-3" not in visitor.get("/console/orders").text
    assert "O-3" in visitor.get("/console/orders?customer=C-42&status=FAILED").text
    found = visitor.get("/console/search?q=O-3")
    assert (found.status, found.headers["location"]) == (303, "/console/orders/O-3")
    lines = visitor.get("/console/orders.ndjson?preset=waiting").text.splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == ["O-2"]


def test_the_orders_of_a_customer_with_many_are_read_in_steps(
    visitor: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.console.stack.pages.orders.SEARCHED", 2)
    for number in range(5):
        save(visitor.source.deployed, f"M-{number}", customer_id="C-9", created_at=1000.0 + number)
    found, address = [], "/console/orders?customer=C-9"
    while address:
        text = visitor.get(address).text
        found += [f"M-{number}" for number in range(5) if f">M-{number}<" in text]
        _, mark, rest = text.partition('rel="next"')
        href = text.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
        address = href.replace("&amp;", "&") if mark and rest else ""
    assert found == ["M-3", "M-4", "M-1", "M-2", "M-0"]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("preset=failed-today", []),
        ("preset=failed-today&customer=C-42", ["O-3"]),
        ("preset=in-flight&customer=C-42", ["O-2"]),
        ("status=WAITING", ["O-2"]),
        ("reason=OutOfStock", ["O-2"]),
        ("customer=nobody", []),
    ],
)
def test_a_shared_filter_of_one_machine_means_the_same(
    visitor: StackVisitor, query: str, shown: list[str]
) -> None:
    lines = visitor.get(f"/console/orders.ndjson?{query}").text.splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == shown


def test_a_preset_without_an_index_says_so(visitor: StackVisitor) -> None:
    page = visitor.get("/console/orders?preset=high-value")
    assert (page.status, "has no index by time" in page.text) == (404, True)


# ---- limits


def test_no_page_scans_the_table_and_a_second_poll_costs_nothing(visitor: StackVisitor) -> None:
    for path, most in {"/console/": 90, "/console/orders": 20, "/console/orders/O-1": 6}.items():
        visitor.source.cache.clear()
        with counted_calls() as calls:
            visitor.poll(path)
        assert 0 < len(calls) <= most, (path, calls)
        assert "Scan" not in calls
        with counted_calls() as again:
            visitor.poll(path)
        assert again == [], path


def test_dead_letters_are_received_only_by_a_look(visitor: StackVisitor) -> None:
    with counted_calls() as calls:
        page = visitor.get("/console/dead-letters")
    assert "ReceiveMessage" not in calls
    assert "hx-get" not in page.text
    assert "Look at them" in page.text
    with counted_calls() as calls:
        page = visitor.acted("/console/dead-letters/look", {})
    assert "ReceiveMessage" in calls
    assert "InvalidEvent" in page.text


# ---- refusals of AWS


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("AccessDeniedException", 502, "lack an IAM permission (Query: AccessDeniedException"),
        ("ExpiredTokenException", 502, "does not accept the credentials"),
        ("ThrottlingException", 502, "throttles the requests"),
        ("InternalServerError", 502, "refused the request"),
    ],
)
def test_an_error_of_aws_is_one_message_on_its_page_alone(
    visitor: StackVisitor, code: str, status: int, words: str
) -> None:
    with refusing({"Query": code}):
        page = visitor.get("/console/orders/O-1")
        assert (page.status, words in page.text) == (status, True), page.text
        assert visitor.get("/console/dead-letters").status == 200
    assert visitor.get("/console/orders/O-1").status == 200


def test_a_refused_action_says_which_permission_is_missing(visitor: StackVisitor) -> None:
    message = "User: ada is not authorized to perform: dynamodb:UpdateItem on resource: orders"
    with refusing({"UpdateItem": "AccessDeniedException"}, message):
        page = visitor.post("/console/orders/O-1/note", {"reason": "seen"})
    assert page.status == 502
    assert "dynamodb:UpdateItem" in page.text


def test_aws_that_never_answers_ends_the_page(
    visitor: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(visitor.application.console.home.readers, "_deadline", 0.2)
    over = threading.Event()
    monkeypatch.setattr(visitor.source, "whole_story", lambda _: over.wait(5))
    page = visitor.get("/console/orders/O-1")
    over.set()
    assert page.status == 502
    assert "has not answered within 0.2 seconds" in page.text


# ---- who may see it


def test_the_key_of_the_printed_address_begins_a_session(visitor: StackVisitor) -> None:
    signed, visitor.cookie = visitor.cookie, ""
    assert signed.startswith(f"orderflow_console_{PORT}=")
    assert visitor.get("/console/").status == 303
    assert visitor.get("/console/").headers["location"].startswith("/console/sign-in")
    opened = visitor.get(f"/console/orders?key={visitor.application.key}&status=WAITING")
    assert (opened.status, opened.headers["location"]) == (303, "/console/orders?status=WAITING")
    assert {"HttpOnly", "SameSite=Strict"} <= set(opened.headers["set-cookie"].split("; "))
    wrong = visitor.get("/console/?key=guessed")
    assert (wrong.status, "set-cookie" in wrong.headers) == (403, False)
    acted = visitor.post("/console/orders/O-1/note", {"reason": "seen"})
    assert (acted.status, "Nothing was done" in acted.text) == (401, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example:8123"}, 421),
        ({"host": "127.0.0.1:9"}, 421),
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://localhost:3000"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_another_site_can_neither_read_nor_act(
    visitor: StackVisitor, headers: dict[str, str], status: int
) -> None:
    assert visitor.post("/console/orders/O-1/note", {"reason": "x"}, headers).status == status
    assert "x" not in [note["reason"] for note in notes(visitor.source.deployed)]


def notes(stack: DeployedStack) -> list[Any]:
    from infra.deployed.orders import read_story

    timeline = read_story(stack, "O-1").timeline
    return [entry.detail for entry in timeline if entry.what == "NOTED_BY_OPERATOR"]


# ---- actions on orders


def test_a_note_and_a_cancellation_are_recorded_with_the_persons_name(
    visitor: StackVisitor,
) -> None:
    page = visitor.acted("/console/orders/O-1/note", {"reason": "called the customer"})
    assert notes(visitor.source.deployed) == [{"by": "ada", "reason": "called the customer"}]
    assert "called the customer" in page.text
    visitor.acted("/console/orders/O-1/cancel", {"reason": "on the phone"})
    record = DynamoOrders(visitor.source.deployed.table()).find("O-1")
    assert record is not None
    assert record.cancel_requested


def test_an_ended_order_refuses_a_retry_on_its_page(visitor: StackVisitor) -> None:
    page = visitor.acted("/console/orders/O-3/retry", {})
    assert "Refused: order O-3 is FAILED already" in page.text


@pytest.mark.parametrize(("verb", "approval"), [("approve", "APPROVED"), ("reject", "REJECTED")])
def test_an_order_of_high_value_is_decided(visitor: StackVisitor, verb: str, approval: str) -> None:
    now = clock.now()
    waits = {"lease_owner": None, "lease_until": 0.0, "approve_by": now + 900}
    save(
        visitor.source.deployed,
        "H-1",
        status=Status.AWAITING_APPROVAL,
        approval="PENDING",
        resume_at=now + 900,
        **waits,
    )
    assert "Decision" in visitor.get("/console/orders/H-1").text
    asked = visitor.get(f"/console/orders/H-1/decision?decision={verb}")
    assert f"{verb.capitalize()} H-1?" in asked.text
    visitor.acted("/console/orders/H-1/decision", {"decision": verb, "reason": "checked"})
    record = DynamoOrders(visitor.source.deployed.table()).find("H-1")
    assert record is not None
    assert record.approval == approval


def test_the_invariants_of_an_order_are_shown_and_a_broken_one_says_why(
    visitor: StackVisitor,
) -> None:
    assert "promises, for this order" in visitor.get("/console/orders/O-1").text
    save(visitor.source.deployed, "B-1", status=Status.FAILED, charge=ChargeStatus.CHARGED)
    page = visitor.get("/console/orders/B-1").text
    assert "is broken" in page


# ---- runs


@pytest.fixture
def processed(visitor: StackVisitor) -> StackVisitor:
    """Return a visitor of a stack with the shipped workflow, and an order that has failed."""
    stack = visitor.source.deployed
    machines = visitor.source.stack.state_machines
    shipped = machines["orderflow-order-processing"].definition
    stack.client("stepfunctions").update_state_machine(
        stateMachineArn=stack.name("OrderProcessing"), definition=shipped
    )
    store, now = DynamoOrders(stack.table()), clock.now()
    new = order(order_id="R-1", version=0, created_at=now - 9, updated_at=now - 9)
    record = store.save(new.change(Entry("RECEIVED", now - 9, {"run": "run-1", "attempt": 1})))
    record = store.save(record.change(Entry("STOCK_RESERVED", now - 8, {"units": 3})))
    store.save(record.change(Entry("CHARGE_DECLINED", now - 7), status=Status.COMPENSATING))
    return visitor


def test_an_express_run_is_drawn_from_the_timeline_of_its_order(processed: StackVisitor) -> None:
    page = processed.get("/console/orders/R-1").text
    states = re.findall(r'data-state="(\w+)"[^>]*aria-label="([^"]+)"', page)
    drawn = {name for name, said in states if "inferred" in said}
    assert drawn == {"ValidateOrder", "CheckInventory", "InventoryChoice", "ProcessPayment"}
    assert "OrderCompleted, not reached" in [said for _, said in states]
    panel = processed.get("/console/orders/R-1?run=run-1&state=ProcessPayment").text
    assert "Charge declined" in panel
    assert "Charge once; a retry uses the same idempotency key" in panel
    assert "has no entry of it" in processed.get("/console/orders/R-1?state=OrderFailed").text
    assert processed.get("/console/orders/R-1?run=other").status == 404


def test_without_the_permission_for_the_definition_the_rest_of_the_order_is_shown(
    processed: StackVisitor,
) -> None:
    with refusing({"DescribeStateMachine": "AccessDeniedException"}):
        page = processed.get("/console/orders/R-1")
    assert page.status == 200
    assert "DescribeStateMachine" in page.text
    assert "run-1" in page.text


def test_a_standard_run_is_drawn_from_its_history(
    processed: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = processed.source.deployed
    machine = stack.name("OrderProcessing")
    client = stack.client("stepfunctions")
    client.start_execution(stateMachineArn=machine, name="run-1", input="{}")
    entered = {"name": "ValidateOrder", "input": json.dumps({"detail": {"email": "a@b.example"}})}
    failed = {"error": "StoreError", "cause": "throttled"}
    history = [
        {"id": 1, "previousEventId": 0, "type": "ExecutionStarted"},
        {"id": 2, "type": "TaskStateEntered", "stateEnteredEventDetails": entered},
        {"id": 3, "type": "TaskScheduled", "taskScheduledEventDetails": {"resource": "invoke"}},
        {"id": 4, "type": "TaskFailed", "taskFailedEventDetails": failed},
    ]
    events = [{"timestamp": 1.0, "previousEventId": each["id"] - 1, **each} for each in history]  # type: ignore[operator]
    monkeypatch.setattr(type(client), "get_execution_history", lambda *_, **__: {"events": events})
    page = processed.get("/console/orders/R-1?state=ValidateOrder").text
    assert "STANDARD" in page
    assert "StoreError" in page
    assert "throttled" in page
    assert "a@b.example" not in page
    assert "EXPRESS" not in page
    with refusing({"DescribeStateMachineForExecution": "AccessDeniedException"}):
        processed.source.cache.clear()
        refused = processed.get("/console/orders/R-1")
    assert (refused.status, "DescribeStateMachineForExecution" in refused.text) == (200, True)
