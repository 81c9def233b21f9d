"""A developer's own rules: added to the template's, outside the turn, and harmless to all else."""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from infra.audit.directory import audit
from infra.errors import InvalidRequest
from infra.local.engine import local_queues, outside_targets, replays
from infra.local.engine.local_rules import MAX_AGE, MAX_RULES, MAX_TARGETS, local_target
from infra.server.aws_api import AwsApi
from infra.views.subscriptions import subscriptions
from infra.views.unmatched import unmatched_events
from storage.sqlite.database import Database
from tests.fakes.serving import PATIENCE
from tests.host import Host, host, order

COMPLETED = '{"detail-type": ["Order Completed"]}'
EVERY = '{"source": [{"exists": true}]}'


class Hook(BaseHTTPRequestHandler):
    """A program of a developer, with the answers of a test."""

    answers: ClassVar[list[int]] = []
    seen: ClassVar[list[dict[str, Any]]] = []
    hold: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/slow":
            self.hold.wait(30)
        if self.path == "/drip":
            while not self.hold.wait(0.05):
                self.wfile.write(b"x")
            return
        rule = self.headers["x-orderflow-rule"]
        self.seen.append(json.loads(body) | {"path": self.path, "rule": rule})
        status = self.answers.pop(0) if self.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.answers, Hook.seen, Hook.hold = [], [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Hook.hold.set()
        server.shutdown()
        thread.join()


TRIMMED = local_queues._TRIM.replace("10000", "1")  # noqa: SLF001 - a queue of one message


def ask(machine: Host, operation: str, **request: Any) -> Any:
    """Run an operation of the port in the engine's turn."""
    api = AwsApi(machine.engine, machine.database)
    answer = api.answer(operation, json.dumps(request).encode())
    machine.engine.turn(0)
    return answer.result(0) if hasattr(answer, "result") else answer


def subscribe(machine: Host, name: str, to: str, pattern: str = COMPLETED) -> Any:
    return ask(machine, "Orderflow.Subscribe", rule=name, pattern=pattern, to=to)


def until(machine: Host, holds: Callable[[], bool]) -> None:
    """Take turns until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        machine.engine.turn(0.02)


def waiting(machine: Host) -> dict[str, int]:
    return {each.rule: each.waiting for each in subscriptions(machine.database)}


def test_a_matching_event_is_posted_once_with_its_envelope(machine: Host, hook: str) -> None:
    subscribe(machine, "done", f"{hook}/done?x=1")
    machine.put(order(), order("T-2", payment_token="tok_decline"))
    machine.settle()
    [seen] = Hook.seen
    assert (seen["detail-type"], seen["detail"]["order_id"]) == ("Order Completed", "T-1")
    assert (seen["path"], seen["rule"]) == ("/done?x=1", "done")
    assert waiting(machine) == {"done": 0}


def test_a_file_has_a_line_for_each_event(machine: Host) -> None:
    subscribe(machine, "all", "file", EVERY)
    machine.put(order())
    machine.settle()
    lines = (machine.directory.root / "subscriptions" / "all.ndjson").read_text().splitlines()
    types = [json.loads(line)["detail-type"] for line in lines]
    assert types == ["Order Created", "Order Completed"]


def test_a_queue_is_received_hidden_and_deleted(machine: Host) -> None:
    subscribe(machine, "own", "queue")
    machine.put(order())
    machine.settle()
    url = ask(machine, "AmazonSQS.GetQueueUrl", QueueName="own")["QueueUrl"]
    [message] = ask(machine, "AmazonSQS.ReceiveMessage", QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail-type"] == "Order Completed"
    assert ask(machine, "AmazonSQS.ReceiveMessage", QueueUrl=url) == {}
    handle = message["ReceiptHandle"]
    ask(machine, "AmazonSQS.DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    assert machine.rows("select * from local_messages") == []
    assert machine.dead_letters() == []


def test_two_clients_that_receive_in_one_turn_get_different_messages(machine: Host) -> None:
    subscribe(machine, "own", "queue", EVERY)
    machine.put(order())
    machine.settle()
    api = AwsApi(machine.engine, machine.database)
    url = ask(machine, "AmazonSQS.GetQueueUrl", QueueName="own")["QueueUrl"]
    body = json.dumps({"QueueUrl": url}).encode()
    answers = [api.answer("AmazonSQS.ReceiveMessage", body) for _ in range(3)]
    machine.engine.turn(0)
    found = [answer.result(0) for answer in answers if isinstance(answer, Future)]
    assert [len(answer.get("Messages", [])) for answer in found] == [1, 1, 0]
    assert found[0]["Messages"][0]["Body"] != found[1]["Messages"][0]["Body"]


def test_a_queue_is_bounded_and_forgets(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe(machine, "own", "queue", EVERY)
    machine.put(order(), order("T-2"))
    machine.settle()
    number = len(machine.rows("select * from local_messages"))
    assert number == 4
    monkeypatch.setattr(local_queues, "_TRIM", TRIMMED)
    monkeypatch.setattr(machine.engine.local_queues, "_sent", {"own": 999})
    machine.put(order("T-3"))
    machine.engine.turn(0)
    machine.engine.turn(0)
    assert len(machine.rows("select * from local_messages")) <= 3
    machine.engine.local_queues.forget(machine.engine.clock.now() + local_queues.RETENTION + 60)
    machine.engine.journal.commit()
    assert machine.rows("select * from local_messages") == []


def test_a_failed_event_is_sent_again_and_a_refused_one_is_dropped(
    machine: Host, hook: str
) -> None:
    subscribe(machine, "done", hook)
    Hook.answers[:] = [503, 204, 400]
    machine.put(order())
    until(machine, lambda: len(Hook.seen) == 1 and not machine.engine.outside.busy)
    [found] = subscriptions(machine.database)
    assert (found.waiting, "answered 503" in found.problem) == (1, True)
    machine.engine.skip_to(machine.engine.clock.now() + 5)
    until(machine, lambda: len(Hook.seen) == 2 and waiting(machine) == {"done": 0})
    assert Hook.seen[0]["id"] == Hook.seen[1]["id"]
    assert subscriptions(machine.database)[0].problem == ""
    machine.put(order("T-2"))
    until(machine, lambda: len(Hook.seen) == 3 and waiting(machine) == {"done": 0})
    assert "answered 400" in subscriptions(machine.database)[0].problem


def test_a_redirect_is_not_followed(machine: Host, hook: str) -> None:
    subscribe(machine, "done", hook)
    Hook.answers[:] = [302]
    machine.put(order())
    machine.settle()
    assert [seen["path"] for seen in Hook.seen] == ["/"]
    assert "answered 302" in subscriptions(machine.database)[0].problem


def test_a_dead_target_gives_up_after_an_hour_and_orders_go_on(machine: Host) -> None:
    subscribe(machine, "dead", "http://127.0.0.1:1/", EVERY)
    machine.put(order())
    machine.settle()
    assert machine.status() == "COMPLETED"
    until(machine, lambda: not machine.engine.outside.busy)
    assert waiting(machine)["dead"] >= 1
    machine.engine.skip_to(machine.engine.clock.now() + MAX_AGE + 60)
    for _ in range(4):
        until(machine, lambda: not machine.engine.outside.busy)
        machine.engine.turn(0.05)
        machine.engine.skip_to(machine.engine.clock.now() + 61)
    until(machine, lambda: waiting(machine) == {"dead": 0})
    assert machine.dead_letters() == []


def test_a_slow_target_delays_neither_orders_nor_other_targets(machine: Host, hook: str) -> None:
    subscribe(machine, "slow", f"{hook}/slow")
    subscribe(machine, "quick", f"{hook}/quick")
    machine.put(*(order(f"T-{n}") for n in range(3)))
    until(machine, lambda: len(Hook.seen) >= 3)
    assert {seen["rule"] for seen in Hook.seen} == {"quick"}
    assert machine.engine.outside.busy
    longest = time.monotonic()
    machine.put(order("T-9"))
    until(machine, lambda: machine.status("T-9") == "COMPLETED")
    assert time.monotonic() - longest < outside_targets.TIMEOUT
    Hook.hold.set()
    until(machine, lambda: waiting(machine) == {"slow": 0, "quick": 0})


def test_events_that_arrive_while_a_batch_is_sent_are_posted_once(machine: Host, hook: str) -> None:
    subscribe(machine, "created", hook, '{"detail-type": ["Order Created"]}')
    for first in range(0, 2 * outside_targets.BATCH, 10):
        machine.put(*(order(f"T-{first + each}") for each in range(10)))
        machine.engine.turn(0.005)
    until(machine, lambda: waiting(machine) == {"created": 0} and not machine.engine.outside.busy)
    times = Counter(seen["detail"]["order_id"] for seen in Hook.seen)
    assert (len(times), set(times.values())) == (2 * outside_targets.BATCH, {1})


def test_any_other_error_of_a_target_is_noted_and_retried(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("an invalid header")

    subscribe(machine, "done", "http://127.0.0.1:1/")
    monkeypatch.setattr(outside_targets, "_post", fail)
    machine.put(order())
    until(machine, lambda: subscriptions(machine.database)[0].problem != "")
    assert subscriptions(machine.database)[0].problem == "ValueError: an invalid header"
    assert machine.rows("select attempts from deliveries where target like 'done/%'") == [
        {"attempts": 1}
    ]


def test_an_old_event_of_a_replay_is_retried_too(machine: Host, hook: str) -> None:
    machine.put(order())
    machine.settle()
    machine.engine.skip_to(machine.engine.clock.now() + MAX_AGE + 60)
    subscribe(machine, "done", hook)
    Hook.answers[:] = [503, 204]
    machine.engine.call(lambda now: machine.engine.replays.start("again", 0.0, now, ["done"], now))
    until(machine, lambda: len(Hook.seen) == 1 and not machine.engine.outside.busy)
    machine.engine.skip_to(machine.engine.clock.now() + 5)
    until(machine, lambda: len(Hook.seen) == 2 and waiting(machine) == {"done": 0})
    assert {seen["replay-name"] for seen in Hook.seen} == {"again"}
    assert Hook.answers == []


def test_a_deleted_rule_gets_nothing_of_a_replay_that_began_before(machine: Host) -> None:
    machine.put(order())
    machine.settle()
    subscribe(machine, "gone", "http://127.0.0.1:1/", EVERY)
    engine = machine.engine

    def begin(now: float) -> None:
        engine.replays.start("again", 0.0, now, (), now)
        engine.replays.pause("again", now)

    engine.call(begin)
    engine.turn(0)
    ask(machine, "Orderflow.Unsubscribe", rule="gone")
    ask(machine, "Orderflow.ResumeReplay", ReplayName="again")
    until(machine, lambda: engine.replays.active == {})
    machine.settle()
    assert machine.rows("select state from replays") == [{"state": "COMPLETED"}]
    assert machine.rows("select target from deliveries") == []


def test_a_dead_target_holds_up_the_replay_of_its_own_rule_alone(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "BEHIND", 1)
    machine.put(order())
    machine.settle()
    subscribe(machine, "dead", "http://127.0.0.1:1/", EVERY)
    machine.put(order("T-2"))
    machine.settle()
    until(machine, lambda: not machine.engine.outside.busy)
    for name, rules in (("all", []), ("own", ["dead"])):
        machine.engine.call(partial(machine.engine.replays.start, name, 0.0, 9e9, rules))
        machine.engine.turn(0)
    until(machine, lambda: "all" not in machine.engine.replays.active)
    assert "own" in machine.engine.replays.active


def test_a_slow_target_is_no_latency_of_the_platform(machine: Host, hook: str) -> None:
    subscribe(machine, "done", hook)
    machine.put(order())
    until(machine, lambda: len(Hook.seen) == 1 and not machine.engine.outside.busy)
    machine.engine.write_measures()
    labels = {row["label"] for row in machine.rows("select label from measures where bucket >= 0")}
    assert "OrderCreatedRule/OrderProcessing" in labels
    assert not any(label.startswith("done/") for label in labels)


def test_a_target_that_answers_a_byte_at_a_time_is_given_up(
    machine: Host, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_targets, "LIMIT", 0.3)
    subscribe(machine, "drip", f"{hook}/drip")
    machine.put(order())
    until(machine, lambda: subscriptions(machine.database)[0].problem != "")
    assert waiting(machine) == {"drip": 1}


def test_rules_and_waiting_events_survive_a_restart(
    tmp_path: Path, machine: Host, hook: str
) -> None:
    del machine
    with host(tmp_path / "again") as first:
        first.receive(TEA=5)
        subscribe(first, "done", "http://127.0.0.1:1/")
        first.put(order())
        first.settle()
        until(first, lambda: not first.engine.outside.busy)
        subscribe(first, "done", hook)
    with host(tmp_path / "again") as second:
        assert [rule.name for rule in second.engine.local_rules.rules] == ["done"]
        second.engine.skip_to(second.engine.clock.now() + 120)
        until(second, lambda: len(Hook.seen) == 1)
        until(second, lambda: waiting(second) == {"done": 0})
        assert audit(second.directory, second.engine.stack).findings.first == []


def test_a_stored_rule_that_cannot_be_any_more_stops_no_start(tmp_path: Path) -> None:
    with host(tmp_path / "again") as first:
        for name in ("taken", "refused", "kept"):
            subscribe(first, name, "http://127.0.0.1:1/")
        first.put(order())
        first.settle()
        until(first, lambda: not first.engine.outside.busy)
        where = first.directory
    with closing(sqlite3.connect(where.database)) as database, database:
        database.execute("update local_rules set pattern = '{' where name = 'refused'")
        for table, column in (("local_rules", "name"), ("local_targets", "rule")):
            change = f"update {table} set {column} = 'OrderCreatedRule' where {column} = 'taken'"
            database.execute(change)
        database.execute("update deliveries set target = 'OrderCreatedRule/subscription'")
    with host(tmp_path / "again") as second:
        assert [rule.name for rule in second.engine.local_rules.rules] == ["kept"]
        found = {each.rule: each.problem for each in subscriptions(second.database)}
        assert found.keys() == {"refused", "kept"}
        assert "pattern" in found["refused"]
        assert second.rows("select * from deliveries") == []
        second.receive(TEA=5)
        second.put(order("T-2"))
        second.settle()
        assert second.status("T-2") == "COMPLETED"


def test_the_aws_operations_put_list_and_delete_a_rule(machine: Host, hook: str) -> None:
    rule = {"Name": "mine", "EventBusName": "orders-bus"}
    answer = ask(machine, "AWSEvents.PutRule", **rule, EventPattern=COMPLETED, State="ENABLED")
    assert answer["RuleArn"].endswith(":rule/orders-bus/mine")
    queue = "arn:aws:sqs:us-east-1:000000000000:own"
    targets = [{"Id": "a", "Arn": hook}, {"Id": "b", "Arn": queue}]
    of_rule = {"Rule": "mine", "EventBusName": "orders-bus"}
    assert ask(machine, "AWSEvents.PutTargets", **of_rule, Targets=targets)["FailedEntryCount"] == 0
    listed = ask(machine, "AWSEvents.ListTargetsByRule", **of_rule)["Targets"]
    assert [(target["Id"], target["Arn"]) for target in listed] == [("a", hook), ("b", queue)]
    described = ask(machine, "AWSEvents.DescribeRule", **rule)
    assert described["Description"].startswith("A local rule")
    rules = ask(machine, "AWSEvents.ListRules", EventBusName="orders-bus")["Rules"]
    names = {each["Name"] for each in rules}
    assert {"mine", "OrderCreatedRule"} <= names
    with pytest.raises(InvalidRequest, match="has targets"):
        ask(machine, "AWSEvents.DeleteRule", **rule)
    ask(machine, "AWSEvents.RemoveTargets", **of_rule, Ids=["a", "b"])
    ask(machine, "AWSEvents.DeleteRule", **rule)
    ask(machine, "AWSEvents.DeleteRule", **rule)
    with pytest.raises(InvalidRequest, match="does not exist"):
        ask(machine, "AWSEvents.DescribeRule", **rule)
    machine.put(order())
    machine.settle()
    assert Hook.seen == []


@pytest.mark.parametrize(
    "to",
    [
        "http://example.com:80/",
        "http://169.254.169.254:80/latest",
        "https://127.0.0.1:8443/",
        "http://127.0.0.1/",
        "http://user:pw@127.0.0.1:80/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:80/a b",
        "http://127.0.0.1:80/\r\nx: y",
        "http://0.0.0.0:80/",
        "http://localhost.example.com:80/",
        "file:///etc/passwd",
        "/etc/passwd",
        "arn:aws:sqs:us-east-1:000000000000:OrderChangesQueue",
        "arn:aws:sqs:eu-west-1:1:x",
        "",
    ],
)
def test_a_target_elsewhere_or_of_the_template_is_refused(machine: Host, to: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Targets|to:"):
        subscribe(machine, "x", to)
    assert machine.engine.local_rules.rules == []
    assert machine.rows("select * from local_rules") == []


@pytest.mark.parametrize("to", ["http://localhost:1/", "http://[::1]:1/x", "http://127.9.9.9:1"])
def test_an_address_of_this_machine_is_taken(to: str) -> None:
    assert local_target("1", to, "x", []).kind == "http"


@pytest.mark.parametrize("name", ["OrderCreatedRule", "", "a/b", "..\n", "x" * 65, "ä"])
def test_a_name_of_the_template_or_of_no_rule_is_refused(machine: Host, name: str) -> None:
    before = list(machine.engine.stack.rules)
    with pytest.raises(InvalidRequest):
        subscribe(machine, name, "file")
    assert machine.engine.stack.rules == before


def test_a_file_stays_in_its_folder(machine: Host) -> None:
    answer = subscribe(machine, "..", "file", EVERY)
    machine.put(order())
    machine.settle()
    assert (machine.directory.root / "subscriptions" / answer["address"]).is_file()


def test_rules_and_targets_are_bounded(machine: Host) -> None:
    for number in range(MAX_RULES):
        subscribe(machine, f"r-{number}", "file")
    with pytest.raises(InvalidRequest, match="delete one first"):
        subscribe(machine, "more", "file")
    subscribe(machine, "r-1", "queue")
    targets = [{"Id": str(n), "Arn": "file"} for n in range(MAX_TARGETS)]
    with pytest.raises(InvalidRequest, match="targets; 5 are allowed"):
        ask(machine, "AWSEvents.PutTargets", Rule="r-1", EventBusName="orders-bus", Targets=targets)


def test_a_change_that_fails_leaves_the_former_rule(machine: Host) -> None:
    subscribe(machine, "done", "file")
    before = machine.engine.local_rules.rules
    with pytest.raises(InvalidRequest):
        subscribe(machine, "done", "file", "{bad")
    assert machine.engine.local_rules.rules == before
    assert machine.rows("select pattern from local_rules") == [{"pattern": COMPLETED}]


def test_a_local_rule_neither_refuses_an_event_nor_hides_a_misspelt_source(machine: Host) -> None:
    subscribe(machine, "every", "file", EVERY)
    machine.put(order() | {"source": "orders.servce"})
    machine.settle()
    [found] = unmatched_events(machine.database, machine.engine.stack.rules, 5)
    assert found.source == "orders.servce"


def test_an_event_that_is_too_complex_for_a_local_pattern_is_taken(machine: Host) -> None:
    fields = {name: [1] for name in "xyz"}
    subscribe(machine, "complex", "file", json.dumps({"detail": {"a": {"b": fields}}}))
    subscribe(machine, "simple", "file", EVERY)
    several: dict[str, Any] = {"a.b": [{"x": 1}] * 900, "a": {"b": [{"y": 1}, {"z": 1}] * 900}}
    [answer] = machine.put(order(**several))
    machine.settle()
    assert "EventId" in answer
    assert machine.status() == "COMPLETED"
    assert not (machine.directory.root / "subscriptions" / "complex.ndjson").exists()
    assert (machine.directory.root / "subscriptions" / "simple.ndjson").exists()


def test_unsubscribing_ends_what_waits(machine: Host) -> None:
    subscribe(machine, "dead", "http://127.0.0.1:1/")
    machine.put(order())
    machine.settle()
    until(machine, lambda: not machine.engine.outside.busy)
    ask(machine, "Orderflow.Unsubscribe", rule="dead")
    assert machine.rows("select * from deliveries where target like 'dead/%'") == []
    assert subscriptions(machine.database) == []
    with pytest.raises(InvalidRequest, match="does not exist"):
        ask(machine, "Orderflow.Unsubscribe", rule="dead")


def test_a_directory_without_the_tables_has_none() -> None:
    assert subscriptions(Database(":memory:")) == []
