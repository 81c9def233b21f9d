"""The overview's figures of waiting orders agree with each other, and with the list of orders."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.fakes.console import Visitor, serving

VASE = {"sku": "VASE-LIMITED", "quantity": 2, "unit_price": 249}
OPEN = 2_500


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve two orders that wait for an article, one for an approval, and many others in flight."""
    with serving(tmp_path_factory.mktemp("overview") / "data") as served:
        served.host.receive(**{"TEA": 1_000, "VASE-LIMITED": 1})
        served.place("DONE-1")
        for name in ("WAITS-1", "WAITS-2"):
            served.place(name, items=[VASE], total=498)
        served.settle()
        copy(served, "O-", OPEN, {"status": "RECEIVED", "in_flight": 1, "lease_until": 1})
        paused = {"status": "AWAITING_APPROVAL", "in_flight": 1, "resume_at": 4e9}
        copy(served, "APPROVE-", 1, paused)
        yield served


def copy(served: Visitor, prefix: str, number: int, changes: dict[str, object]) -> None:
    """Insert copies of the completed order with changed columns."""
    database = served.host.engine.journal.database
    names = [row["name"] for row in database.rows("select * from pragma_table_info('orders')")]
    given = {"order_id": "? || i", **{name: repr(value) for name, value in changes.items()}}
    columns = ", ".join(given.get(name, name) for name in names)
    with database.write() as connection:
        connection.execute(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?2)"
            f" insert into orders ({', '.join(names)}) select {columns.replace('?', '?1')}"
            " from n, (select * from orders where order_id = 'DONE-1')",
            (prefix, number),
        )


def tile(page: str, label: str) -> str:
    """Return the figure above a label."""
    found = re.search(rf"<b>([^<]*)</b><span>{label}</span>", page)
    assert found, label
    return found[1]


def test_every_figure_of_waiting_orders_is_the_same(visitor: Visitor) -> None:
    page = visitor.get("/console/").text
    assert "2 orders wait</b>" in page.replace(" for VASE-LIMITED", "")
    assert tile(page, "waiting") == "3"
    assert tile(page, "in flight") == f"{OPEN + 3:,}"
    assert re.search(r"<td>orders WAITING</td><td class=\"number\">2</td>", page)
    lines = visitor.get("/console/orders.ndjson?preset=waiting").text.splitlines()
    assert {json.loads(line)["order_id"] for line in lines} == {"APPROVE-1", "WAITS-1", "WAITS-2"}


def test_an_old_entry_of_an_article_is_no_shortage(visitor: Visitor) -> None:
    with visitor.host.engine.journal.database.write() as connection:
        connection.execute("insert into waiting_orders values ('TEA', 1, 'DONE-1')")
        connection.execute("insert into waiting_orders values ('TEA', 1, 'APPROVE-1')")
    assert "for TEA" not in visitor.get("/console/").text


def test_the_chart_has_the_rates_of_orders_status(visitor: Visitor) -> None:
    visitor.host.engine.write_measures()
    assert tile(visitor.get("/console/").text, "completed, last 1h") == "1"
