"""Events that no rule takes: counted, bounded, listed, and explained by the nearest rule."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.local.engine import unmatched_events as engine
from infra.local.engine.unmatched_events import KEPT, OTHERS, UnmatchedEvents
from infra.views.order_search import order_by_other_name
from infra.views.unmatched import Unmatched, nearest_rule, unmatched_events
from orders.journal_history import JournalHistory
from storage.sqlite.database import Database
from tests.host import Host, event, order


def listed(machine: Host) -> list[Unmatched]:
    return unmatched_events(machine.database, machine.engine.stack.rules, 50)


def from_source(source: str, **fields: Any) -> dict[str, Any]:
    return order(**fields) | {"source": source}


def test_a_misspelt_source_is_counted_and_the_nearest_rule_explains_it(machine: Host) -> None:
    machine.put(from_source("orders.servce"), from_source("orders.servce"))
    [answer] = machine.put(from_source("orders.servce"))
    machine.settle()
    [found] = listed(machine)
    assert (found.source, found.detail_type, found.count) == ("orders.servce", "Order Created", 3)
    assert found.last_event_id == answer["EventId"]
    assert found.nearest_rule == "OrderCreatedRule"
    assert found.why == '`source` wants "orders.service", has "orders.servce"'


def test_the_nearest_rule_of_a_misspelt_type_of_the_inventory(machine: Host) -> None:
    machine.put({"source": "inventory.service", "detail-type": "Stock received", "detail": {}})
    machine.settle()
    [found] = listed(machine)
    assert found.nearest_rule == "StockReceivedRule"
    assert found.why == '`detail-type` wants "Stock Received", has "Stock received"'


def test_an_event_that_a_rule_takes_is_not_counted(machine: Host) -> None:
    machine.put(order(), event("Order Placed"), event("Order Completed"), order("T-2", total=1))
    machine.settle()
    assert listed(machine) == []


def test_the_table_is_bounded_and_long_texts_are_cut(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_KINDS", 3)
    for number in range(9):
        machine.put(from_source(f"shop-{number}" + "x" * 1_000))
    machine.settle()
    rows = {(each.source, each.detail_type): each.count for each in listed(machine)}
    assert rows.pop(OTHERS) == 6
    assert len(rows) == 3
    assert all(len(source) == 256 for source, _ in rows)


def test_a_pair_without_a_recent_event_is_deleted(machine: Host) -> None:
    machine.put(from_source("shop"))
    machine.settle()
    now = machine.engine.clock.now()
    unmatched = UnmatchedEvents(machine.engine.journal)
    unmatched.forget(now + KEPT - 60)
    machine.engine.journal.commit()
    assert len(listed(machine)) == 1
    unmatched.forget(now + KEPT + 60)
    machine.engine.journal.commit()
    assert listed(machine) == []


def test_an_event_that_was_deleted_is_explained_by_its_source_and_type(machine: Host) -> None:
    machine.put(from_source("shop"))
    machine.settle()
    with machine.database.write() as connection:
        connection.execute("delete from events")
    [found] = listed(machine)
    assert found.nearest_rule == "OrderCreatedRule"
    assert "`source` wants" in found.why


def test_a_rule_that_takes_such_events_by_now_is_named(machine: Host) -> None:
    rule, why = nearest_rule(machine.engine.stack.rules, order())
    assert (rule is not None, why) == (
        True,
        "it matches now: the rule was added or changed since",
    )
    assert nearest_rule([], order()) == (None, "the bus has no rule")


def test_what_became_of_such_an_event_is_told(machine: Host) -> None:
    [answer] = machine.put(from_source("shop"))
    found = JournalHistory(machine.database).find(answer["EventId"])
    assert found is not None
    assert (found.outcome, found.problems[0]["field"]) == ("unmatched", "source")
    named = order_by_other_name(machine.database, answer["EventId"])
    assert named is not None
    assert named.order_id == "T-1"


def test_a_directory_without_the_table_has_none() -> None:
    assert unmatched_events(Database(":memory:"), [], 5) == []


def test_the_command_prints_each_kind_and_one_json_document(machine: Host) -> None:
    machine.put(from_source("orders.servce"))
    machine.settle()
    data = ["--data", str(machine.directory.root)]
    result = CliRunner().invoke(app, ["events", "unmatched", *data], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert "1 x source 'orders.servce', detail type 'Order Created'" in result.output
    assert "nearest OrderCreatedRule" in result.output
    result = CliRunner().invoke(app, ["events", "unmatched", "--json", *data])
    [row] = json.loads(result.output)["unmatched"]
    assert row["count"] == 1
