"""The client kit against a served platform: orders, refusals, cancellations, and their outcomes."""

from collections.abc import Iterator
from typing import Any

import pytest

from orderflow_client import OrderPublisher, OrderRejected
from tests.fakes.serving import Served
from tests.host import order


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrderPublisher]:
    with Served(tmp_path_factory.mktemp("served") / "data") as server:
        yield OrderPublisher(endpoint_url=server.address)


def sample(order_id: str, **fields: Any) -> dict[str, Any]:
    line = {"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 12.5}
    return {**order(order_id)["detail"], "items": [line], "total": 25.0, **fields}


def test_orders_are_placed_and_their_ends_awaited(publisher: OrderPublisher) -> None:
    details = [sample(f"K-{n}") for n in range(12)]
    details.append(sample("K-12", payment_token="tok_decline"))
    sent = publisher.publish([("Order Created", detail) for detail in details])
    assert [each.order_id for each in sent] == [f"K-{n}" for n in range(13)]
    ends = [publisher.wait_for(each, 60) for each in sent]
    assert [end.status for end in ends] == ["COMPLETED"] * 12 + ["FAILED"]
    assert ends[-1].reason == "PaymentDeclined"


def test_a_refused_event_is_heard_of_at_once(publisher: OrderPublisher) -> None:
    publisher.wait_for(publisher.place(sample("R-1")), 60)
    with pytest.raises(OrderRejected, match="other content") as refused:
        publisher.wait_for(publisher.place(sample("R-1", customer_id="C-2")), 60)
    assert refused.value.reason == "OrderConflict"
