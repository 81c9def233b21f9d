"""Send order events to Orderflow, and wait for their outcomes.

>>> from orderflow_client import OrderPublisher
>>> publisher = OrderPublisher(endpoint_url="http://127.0.0.1:8080")  # on AWS without it
>>> sent = publisher.place(
...     {
...         "order_id": "A-1001",
...         "customer_id": "C-42",
...         "currency": "USD",
...         "items": [{"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 12.5}],
...         "total": 25.0,
...         "timestamp": "2026-01-31T09:15:00Z",
...     }
... )
>>> publisher.wait_for(sent).status
'COMPLETED'
"""

from orderflow_client.errors import (
    InvalidEvent,
    NoOutcome,
    NotPublished,
    OrderflowClientError,
    OrderRejected,
    Problem,
)
from orderflow_client.publisher import OrderPublisher, Sent
from orderflow_client.validation import problems_of
from orderflow_client.waiting import Outcome

__all__ = [
    "InvalidEvent",
    "NoOutcome",
    "NotPublished",
    "OrderPublisher",
    "OrderRejected",
    "OrderflowClientError",
    "Outcome",
    "Problem",
    "Sent",
    "problems_of",
]
