"""An order of high value waits for a decision before it is charged, on one machine."""

import json
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.errors import InvalidRequest
from infra.local.engine.integrations import TaskError
from infra.server.aws_api import AwsApi
from infra.server.operator_api import OperatorApi
from kernel.approval import GRACE
from orders.usecases import Policy
from storage.sqlite.database import Database
from tests.fakes.serving import Served, answer, orders
from tests.faults.scene import Killed, Scene, dead_letters, forget, let_go, paid
from tests.host import Host, event, host, order

DEAR: dict[str, Any] = {
    "items": [{"sku": "TEA", "quantity": 96, "unit_price": 12.5}],
    "total": 1200.0,
}
PARAMETERS = {"HighValueApproval": "on", "ApprovalReviewer": "boss@example.com"}
DEADLINE = Policy().approval_seconds


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Host]:
    forget()
    with host(tmp_path, parameters=PARAMETERS) as platform:
        platform.receive(TEA=1000)
        yield platform
    let_go(platform)


def turns(opened: Host, number: int = 80) -> None:
    """Work without a skip of time."""
    for _ in range(number):
        opened.engine.turn(0)


def operate(opened: Host, name: str, **request: Any) -> Any:
    future = OperatorApi(opened.engine).operations()[f"Orderflow.{name}"](request)
    turns(opened)
    return future.result(0)


def waiting(opened: Host, **changes: Any) -> None:
    opened.put(order(**DEAR, **changes))
    turns(opened)
    assert opened.status() == "AWAITING_APPROVAL"
    assert paid(opened) == []
    assert reserved(opened) == 96


def reserved(opened: Host) -> int:
    [row] = opened.rows("select reserved from stock where sku = 'TEA'")
    return int(row["reserved"])


def failure(opened: Host) -> tuple[str, str]:
    [row] = opened.rows("select failure, failure_message from orders")
    return row["failure"], row["failure_message"]


def mail(opened: Host) -> Any:
    sandbox = Database(str(opened.directory.sandbox), read_only=True)
    [row] = sandbox.rows("select * from mail_messages where name = 'T-1#approval'")
    return row


def running(opened: Host) -> list[str]:
    rows = opened.rows("select machine from executions where status = 'RUNNING'")
    return [row["machine"] for row in rows]


def test_an_approved_order_is_charged_and_completed(opened: Host) -> None:
    waiting(opened)
    assert running(opened) == ["OrderApproval"]
    result = operate(opened, "ApproveOrder", order_id="T-1", who="ada", reason="known customer")
    assert result["before"]["approval"] == "PENDING"
    assert result["after"]["approval"] == "APPROVED"
    assert opened.status() == "COMPLETED"
    assert paid(opened) == ["CHARGED"]
    assert running(opened) == []
    assert opened.paths()[-1].startswith(
        "ValidateOrder → CheckInventory → InventoryChoice → ProcessP"
    )
    assert len(opened.paths()) == 2
    [entry] = opened.rows("select detail from timeline where what = 'APPROVED'")
    assert json.loads(entry["detail"]) == {"by": "ada", "reason": "known customer"}
    [action] = opened.rows("select actor, action, result from operator_actions")
    assert dict(action) == {"actor": "ada", "action": "approve", "result": "DONE"}


def test_an_order_with_the_longest_id_goes_on_at_once(opened: Host) -> None:
    """The names of its executions are within the 80 characters of Step Functions."""
    longest = "A" * 64
    opened.put(order(longest, **DEAR))
    turns(opened)
    operate(opened, "ApproveOrder", order_id=longest)
    assert opened.rows("select status from orders") == [{"status": "COMPLETED"}]


def test_a_rejected_order_fails_with_the_reason_and_without_a_charge(opened: Host) -> None:
    waiting(opened)
    operate(opened, "RejectOrder", order_id="T-1", who="ada", reason="fraud")
    assert opened.status() == "FAILED"
    assert failure(opened) == ("ApprovalRejected", "rejected by ada: fraud")
    assert (paid(opened), reserved(opened), running(opened)) == ([], 0, [])
    assert opened.events() == ["High Value Order Flagged", "Order Failed"]


def test_without_a_decision_the_order_fails_at_its_deadline(opened: Host) -> None:
    waiting(opened)
    opened.engine.clock.offset += DEADLINE - 60
    turns(opened)
    assert (opened.status(), reserved(opened)) == ("AWAITING_APPROVAL", 96)
    opened.engine.clock.offset += 61 + GRACE
    turns(opened)
    assert (opened.status(), failure(opened)[0]) == ("FAILED", "ApprovalExpired")
    assert (paid(opened), reserved(opened), running(opened)) == ([], 0, [])
    [row] = opened.rows("select approval, approval_token from orders")
    assert tuple(row.values()) == ("EXPIRED", None)
    with pytest.raises(InvalidRequest, match="FAILED already"):
        operate(opened, "ApproveOrder", order_id="T-1")


def test_a_decision_after_the_deadline_is_refused(opened: Host) -> None:
    waiting(opened)
    opened.engine.clock.offset += DEADLINE + 1
    with pytest.raises(InvalidRequest, match="could be decided until"):
        operate(opened, "ApproveOrder", order_id="T-1")
    assert paid(opened) == []


def test_a_cancellation_ends_the_wait(opened: Host) -> None:
    waiting(opened)
    opened.put(event("Order Cancelled"))
    turns(opened)
    assert opened.status() == "CANCELLED"
    assert (paid(opened), reserved(opened), running(opened)) == ([], 0, [])
    with pytest.raises(InvalidRequest, match="CANCELLED already"):
        operate(opened, "ApproveOrder", order_id="T-1")


def test_the_same_event_again_and_a_retry_keep_the_wait(opened: Host) -> None:
    waiting(opened)
    [before] = opened.rows("select approve_by, approval_token from orders")
    opened.put(order(**DEAR))
    turns(opened)
    operate(opened, "RetryOrder", order_id="T-1", reason="why not")
    turns(opened)
    assert opened.status() == "AWAITING_APPROVAL"
    [after] = opened.rows("select approve_by, approval_token from orders")
    assert after == before
    assert running(opened) == ["OrderApproval"]
    assert opened.rows("select queue from messages") == []
    operate(opened, "ApproveOrder", order_id="T-1")
    assert opened.status() == "COMPLETED"


def test_a_lost_wait_is_replaced_by_a_run(opened: Host) -> None:
    """The task's execution was stopped: the decision starts the run itself."""
    waiting(opened)
    with opened.database.write() as connection:
        connection.execute("update executions set status = 'ABORTED' where status = 'RUNNING'")
    operate(opened, "ApproveOrder", order_id="T-1")
    assert (opened.status(), paid(opened)) == ("COMPLETED", ["CHARGED"])


def test_a_wait_that_did_not_start_is_a_dead_letter_and_its_redrive_starts_it(
    opened: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = opened.engine.executions.start

    def refuses(machine: str, *arguments: Any, **options: Any) -> str:
        if machine == "OrderApproval":
            raise TaskError("StepFunctions.ExecutionLimitExceeded", "too many run")
        return start(machine, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(opened.engine.executions, "start", refuses)
        opened.put(order(**DEAR))
        for _ in range(5):  # the retries
            turns(opened, 20)
            opened.engine.clock.offset += 5
    assert (opened.status(), running(opened)) == ("AWAITING_APPROVAL", [])
    [(queue, reason)] = dead_letters(opened)
    assert (queue, "ExecutionLimitExceeded" in reason) == ("AttentionQueue", True)
    [letter] = opened.rows("select id from messages")
    redriven = json.dumps({"ids": [letter["id"]]}).encode()
    AwsApi(opened.engine, opened.database).answer("Orderflow.RedriveDeadLetters", redriven)
    turns(opened)
    assert (opened.status(), running(opened)) == ("AWAITING_APPROVAL", ["OrderApproval"])
    assert mail(opened)["recipient"] == "boss@example.com"
    assert dead_letters(opened) == []


def test_the_reviewer_gets_one_mail_with_the_order(opened: Host) -> None:
    waiting(opened)
    sent = mail(opened)
    assert sent["recipient"] == "boss@example.com"
    assert sent["subject"] == "Approve order T-1 of USD 1200.00?"
    assert "orders approve T-1" in sent["text"]
    assert "96 x TEA" in sent["text"]
    assert opened.timeline().count("REVIEWER_ASKED") == 1


@pytest.mark.parametrize("total", [999.99, 1000.0])
def test_only_an_order_of_at_least_the_threshold_waits(opened: Host, total: float) -> None:
    item = {"sku": "TEA", "quantity": 1, "unit_price": total}
    opened.put(order(items=[item], total=total))
    turns(opened)
    assert opened.status() == ("COMPLETED" if total < 1000 else "AWAITING_APPROVAL")


def test_with_the_parameter_off_nothing_waits(tmp_path: Path) -> None:
    forget()
    with host(tmp_path) as platform:
        platform.receive(TEA=1000)
        platform.put(order(**DEAR))
        turns(platform)
        assert platform.status() == "COMPLETED"
        with pytest.raises(InvalidRequest, match="COMPLETED already"):
            operate(platform, "ApproveOrder", order_id="T-1")
    let_go(platform)


def test_a_rejection_needs_a_reason(opened: Host) -> None:
    waiting(opened)
    with pytest.raises(InvalidRequest, match="reason: is missing"):
        operate(opened, "RejectOrder", order_id="T-1")


def test_a_second_decision_of_the_same_kind_changes_nothing_and_another_is_refused(
    opened: Host,
) -> None:
    waiting(opened)
    future = OperatorApi(opened.engine).operations()["Orderflow.ApproveOrder"]({"order_id": "T-1"})
    again = OperatorApi(opened.engine).operations()["Orderflow.ApproveOrder"]({"order_id": "T-1"})
    other = OperatorApi(opened.engine).operations()["Orderflow.RejectOrder"](
        {"order_id": "T-1", "reason": "no"}
    )
    turns(opened)
    assert future.result(0)["after"]["approval"] == again.result(0)["after"]["approval"]
    with pytest.raises(InvalidRequest, match="APPROVED already"):
        other.result(0)
    assert opened.timeline().count("APPROVED") == 1
    assert paid(opened) == ["CHARGED"]


@pytest.mark.parametrize("at", range(1, 14))
def test_a_crash_while_it_waits_changes_nothing(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at any commit before or after the decision: one charge, one end."""
    scene, commits = Scene(tmp_path), 0
    with scene.open(parameters=PARAMETERS) as machine:
        machine.receive(TEA=1000)
        machine.put(order(**DEAR))

        def killed(*_: object) -> None:
            nonlocal commits
            commits += 1
            if commits == at:
                raise Killed

        monkeypatch.setattr(machine.engine.journal, "commit", _before(machine, killed))
        turns(machine)
        if machine.status() == "AWAITING_APPROVAL":
            operate(machine, "ApproveOrder", order_id="T-1")
    monkeypatch.undo()
    assert commits == at
    with scene.open(parameters=PARAMETERS) as machine:
        turns(machine)
        if machine.status() == "AWAITING_APPROVAL":
            operate(machine, "ApproveOrder", order_id="T-1")
        turns(machine, 200)
        if machine.status() != "COMPLETED":
            machine.settle()
        assert (machine.status(), paid(machine)) == ("COMPLETED", ["CHARGED"])


def _before(machine: Host, act: Any) -> Any:
    commit = machine.engine.journal.commit

    def commit_after(*arguments: Any, **options: Any) -> Any:
        act()
        return commit(*arguments, **options)

    return commit_after


# ---- as a user does it


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    given = [word for pair in PARAMETERS.items() for word in ("--parameter", "=".join(pair))]
    with Served(tmp_path / "data", *given) as server:
        yield server


def place(served: Served, order_id: str) -> None:
    """Place an order of 1,200, and wait until it waits."""
    body = order(order_id, **DEAR)["detail"]
    body["items"][0]["sku"] = "TEA-GREEN-100"
    status, _ = served.ask("POST", "/orders", body, {"content-type": "application/json"})
    assert status == 201
    query = f"select status from orders where order_id = '{order_id}'"
    served.until(query, "AWAITING_APPROVAL")
    token = f"select approval_token is not null from orders where order_id = '{order_id}'"
    served.until(token, 1)


def until(served: Served, order_id: str, status: str) -> None:
    served.until(f"select status from orders where order_id = '{order_id}'", status)


def link(served: Served, order_id: str) -> str:
    """Return the path of the link in the mail."""
    query = "select text from mail_messages where name = ?"
    sandbox = Database(str(served.data / "sandbox.db"), read_only=True)
    text = sandbox.rows(query, f"{order_id}#approval")[0]["text"]
    address = text.partition("page: ")[2].split()[0]
    assert address.startswith(served.address)
    return str(address.removeprefix(served.address))


def page(served: Served, method: str, path: str, **form: str) -> tuple[int, str, Any]:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=30)
    headers = {"content-type": "application/x-www-form-urlencoded"} if form else {}
    if form:
        headers |= {"origin": served.address, "sec-fetch-site": "same-origin"}
    connection.request(method, path, urlencode(form) or None, headers)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text, reply.headers


def posted_bytes(served: Served, path: str, body: bytes) -> int:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=30)
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": served.address}
    connection.request("POST", path, body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.long
def test_an_order_is_decided_in_each_way_and_kill_9_changes_nothing(served: Served) -> None:
    for number in range(6):
        place(served, f"A-{number}")
    path = link(served, "A-2")
    served.kill()
    served.start()
    json_type = {"content-type": "application/json"}
    assert orders("approve", "A-0", "--data", served.data).returncode == 0
    status, body = served.ask("POST", "/orders/A-1/approve", {"reason": "known"}, json_type)
    assert (status, body["order_id"]) == (200, "A-1")
    for _ in range(2):  # a mail scanner follows the link
        status, text, headers = page(served, "GET", path)
        assert (status, "A-2" in text, "<form" in text) == (200, True, True)
        assert "form-action 'self'" in headers["content-security-policy"]
    assert served.rows("select status from orders where order_id = 'A-2'") == [
        ("AWAITING_APPROVAL",)
    ]
    code = path.partition("code=")[2]
    assert page(served, "POST", path, code="0" * 64, decision="approve")[0] == 410
    assert page(served, "POST", path, code=code)[0] == 400
    assert page(served, "GET", f"/approvals/{'A' * 3000}?code={code}")[0] == 410
    assert posted_bytes(served, path, b"decision=approve&code=\xff\xfe") == 400
    assert page(served, "POST", path, code=code, decision="approve", reason="ok")[0] == 200
    assert page(served, "GET", path)[0] == 410
    rejected = orders("reject", "A-3", "--reason", "fraud", "--data", served.data)
    assert "rejected" in rejected.stdout
    status, _ = served.ask("POST", "/orders/A-4/reject", {"reason": "fraud"}, json_type)
    assert status == 200
    for order_id in ("A-0", "A-1", "A-2"):
        until(served, order_id, "COMPLETED")
    for order_id in ("A-3", "A-4"):
        until(served, order_id, "FAILED")
    until(served, "A-5", "AWAITING_APPROVAL")
    status, body = served.ask("POST", "/orders/A-0/approve", None)
    assert status == 409
    assert "COMPLETED already" in body["detail"]
    found = answer("list", "--status", "AWAITING_APPROVAL", "--data", served.data)
    assert [row["order_id"] for row in found["orders"]] == ["A-5"]
    served.stop(signal.SIGINT)
    charges = Database(str(served.data / "sandbox.db"), read_only=True).rows(
        "select order_id from gateway_charges where status = 'CHARGED' order by order_id"
    )
    assert [row["order_id"] for row in charges] == ["A-0", "A-1", "A-2"]
    assert answer("audit", "--data", served.data)["findings"] == []
