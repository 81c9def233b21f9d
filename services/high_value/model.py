"""Reviews of orders of high value; amounts in hundredths, times in epoch seconds."""

from typing import NamedTuple


class Review(NamedTuple):
    """The review of an order by a person; ``total`` and ``threshold`` are in its currency."""

    order_id: str
    customer_id: str
    currency: str
    total: int
    threshold: int
    flagged_at: float
    event_id: str


def no_open_review(order_id: str, status: str | None) -> str:
    """Return why the review of an order cannot be closed; ``status`` is the review's."""
    if status is None:
        return f"order {order_id} has no review; see `orders reviews list`"
    return f"the review of order {order_id} is {status} already"
