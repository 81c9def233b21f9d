"""Reviews of orders of high value; amounts in hundredths, times in epoch seconds."""

from typing import NamedTuple


class Review(NamedTuple):
    """An order that a person is to look at; ``total`` and ``threshold`` in the order's currency."""

    order_id: str
    customer_id: str
    currency: str
    total: int
    threshold: int
    flagged_at: float
    event_id: str


def is_high_value(total: int, threshold: int) -> bool:
    """Return whether an order of this total is to be reviewed: from the threshold on."""
    return total >= threshold
