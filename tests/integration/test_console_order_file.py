"""The page of an order as one file, and the definition of its run against today's."""

import json
import re
from collections.abc import Iterator

import pytest

from infra.views.definition_diff import ADDED, CHANGED, REMOVED, differences
from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import HOSTILE, settle


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with serving(tmp_path_factory.mktemp("file") / "data") as served:
        served.host.receive(TEA=100)
        served.place("FILE-1", email="ada@example.com", customer_id="C-9")
        settle(served)
        yield served


def test_the_saved_page_of_an_order_stands_alone(visitor: Visitor) -> None:
    saved = visitor.get("/console/orders/FILE-1/export.html?state=CheckInventory")
    assert saved.headers["content-disposition"] == 'attachment; filename="FILE-1.html"'
    text = saved.text
    assert "Shipment created" in text
    assert "CheckInventoryFunction" in text
    assert not re.search(r'(href|src|action)="(?!#)', text)
    assert "<form" not in text
    assert "<script" not in text
    assert "ada@example.com" not in text
    icons = set(re.findall(r'href="#(icon-[a-z]+)"', text))
    assert icons
    assert icons <= set(re.findall(r'id="(icon-[a-z]+)"', text))


def test_the_saved_page_of_hostile_text_runs_nothing(visitor: Visitor) -> None:
    visitor.place("FILE-2", customer_id=HOSTILE[:60])
    settle(visitor)
    text = visitor.get("/console/orders/FILE-2/export.html").text
    assert "<script" not in text
    assert "<img" not in text


def test_an_unknown_order_has_no_file(visitor: Visitor) -> None:
    assert visitor.get("/console/orders/NONE/export.html").status == 404


def test_a_run_of_an_older_definition_says_what_differs_today(visitor: Visitor) -> None:
    assert 'id="differences"' not in visitor.get("/console/orders/FILE-1").text
    [(number, body)] = visitor.rows(
        "select d.id, d.body from definitions d join executions e on e.definition = d.id"
        " where e.order_id = 'FILE-1' limit 1"
    )
    older = json.loads(body)
    older["States"]["ValidateOrder"]["TimeoutSeconds"] = 7
    older["States"]["Gone"] = {"Type": "Succeed"}
    database = visitor.host.engine.journal.database
    with database.write() as connection:
        connection.execute("insert into definitions values ('older', ?)", (json.dumps(older),))
        connection.execute(
            "update executions set definition = 'older' where definition = ?", (number,)
        )
    text = visitor.get("/console/orders/FILE-1").text
    assert "differs in 2 states" in text
    assert "TimeoutSeconds" in text


def test_differences_are_by_state() -> None:
    run = {"States": {"A": {"Type": "Pass"}, "B": {"Type": "Wait", "Seconds": 1.50}}}
    today = {"States": {"B": {"Type": "Wait", "Seconds": 2}, "C": {"Type": "Succeed"}}}
    found = differences(run, "other", json.dumps(today))
    assert [(each.state, each.kind) for each in found] == [
        ("A", REMOVED),
        ("B", CHANGED),
        ("C", ADDED),
    ]
    assert [(each.path, each.before, each.after) for each in found[1].changes] == [
        ("Seconds", "1.5", "2")
    ]
    assert differences({}, "", "{}") == []
