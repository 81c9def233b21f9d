"""The state of an order in a few words, for the outcome of a redrive."""

from collections.abc import Mapping
from typing import Any

from kernel.clock import timestamp

_MONEY = {"REFUNDED": "refunded", "VOIDED": "not charged", "DECLINED": "declined"}


def order_in_words(order: Mapping[str, Any] | Any) -> str:
    """Return an order's state, such as ``order A-1: refunded, CANCELLED``.

    ``order`` has the fields of a record: a row of the table ``orders``, or a dictionary.
    """
    status = str(order["status"])
    words = [status]
    if status != "COMPLETED" and order["charge"] in _MONEY:
        words.insert(0, _MONEY[str(order["charge"])])
    if status == "WAITING":
        words = [f"WAITING for {order['waiting_for']} until {timestamp(order['resume_at'])}"]
    if status == "AWAITING_APPROVAL":
        words = [f"AWAITING_APPROVAL until {timestamp(order['resume_at'])}"]
    return f"order {order['order_id']}: {', '.join(words)}"
