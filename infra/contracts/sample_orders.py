"""Fourteen orders of the sample shop and their events: the examples in ``events_schema/``.

With the sample stock and the sandbox partners, the orders end as described here.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from infra.contracts.examples import ADA, GRACE, TOMAS, Example, Order
from infra.contracts.refused_examples import rejections
from kernel.events import CONTRACTS

WAITED = 12 * 300 + 2
"""Seconds until a waiting order fails: twelve waits of five minutes."""

FULL = Order(
    "A-1001",
    "C-42",
    "2026-01-31T09:15:00Z",
    {"TEA-GREEN-100": 2, "TEAPOT-GLASS-08": 1, "MUG-BLUE-01": 2},
    "GBP",
    {"shipping_address": ADA, "email": "ada@example.com", "payment_token": "tok_visa_4242"},
    5501,
)
MINIMAL = Order("A-1002", "C-77", "2026-01-31T09:20:30Z", {"TEA-GREEN-100": 2})
HIGH_VALUE = Order(
    "A-1003",
    "C-108",
    "2026-01-31T10:02:11Z",
    {"ESPRESSO-MACHINE-02": 2, "COFFEE-HOUSE-500": 12, "MUG-WHITE-01": 24},
    "USD",
    {"shipping_address": GRACE, "email": "office@example.com", "payment_token": "tok_amex_0005"},
    5502,
)
JUST_BELOW = Order("A-1004", "C-42", "2026-01-31T10:30:00Z", {"ESPRESSO-MACHINE-02": 1}, "GBP")
AT_THRESHOLD = Order(
    "A-1005", "C-311", "2026-01-31T10:31:00Z", {"TEASET-PORCELAIN-06": 4}, "EUR", {}, 5503
)
DECLINED = Order(
    "A-1006",
    "C-19",
    "2026-01-31T11:00:00Z",
    {"KETTLE-COPPER-12": 1},
    extras={"email": "sam@example.com", "payment_token": "tok_decline"},
    checkout=5504,
)
SOLD_OUT = Order("A-1007", "C-230", "2026-01-31T11:12:45Z", {"VASE-LIMITED": 2}, "EUR", {}, 5505)
CANCELLED_WAITING = Order(
    "A-1008",
    "C-55",
    "2026-01-31T12:00:00Z",
    {"VASE-LIMITED": 1, "TEA-CHAI-050": 3},
    "EUR",
    {"shipping_address": TOMAS, "email": "tomas@example.com"},
    5506,
)
TOO_LATE = Order("A-1009", "C-77", "2026-01-31T12:40:00Z", {"TIN-GIFT-03": 3}, checkout=5507)
NOT_CARRIED = Order(
    "A-1010",
    "C-64",
    "2026-01-31T13:05:20Z",
    {"TEAPOT-GLASS-08": 2, "TEA-BLACK-250": 1},
    "GBP",
    {"shipping_address": ADA | {"street": "SANDBOX FAIL"}, "email": "lee@example.com"},
    5508,
)
GATEWAY_DOWN = Order(
    "A-1011",
    "C-8",
    "2026-01-31T14:10:00Z",
    {"COFFEE-HOUSE-500": 4},
    "EUR",
    {"payment_token": "tok_unavailable"},
    5509,
)
CANCELLED_PAID = Order(
    "A-1012", "C-90", "2026-01-31T15:30:00Z", {"TEASET-PORCELAIN-06": 6}, "EUR", {}, 5510
)

BULK = Order(
    "A-1013",
    "C-500",
    "2026-01-31T16:00:00Z",
    {"TEA-GREEN-100": 120_000},
    "USD",
    {"shipping_address": GRACE},
    5511,
)
ANSWER_LOST = Order(
    "A-1014",
    "C-64",
    "2026-01-31T16:45:10Z",
    {"MUG-BLUE-01": 6, "TIN-GIFT-03": 1},
    "GBP",
    {"payment_token": "tok_lose_answer"},
    5512,
)


@cache
def examples() -> Mapping[str, Sequence[Example]]:
    """Return every example by detail type; the first one is the simplest."""
    everything = [
        *_created(),
        *_updated(),
        *_cancelled(),
        *_backordered(),
        *_completed(),
        *_failed(),
        *_cancellations(),
        *rejections(FULL, TOO_LATE),
        *_refunded(),
        *_flagged(),
    ]
    return {
        name: tuple(example for example in everything if example.event == name)
        for name in CONTRACTS
    }


def _created() -> list[Example]:
    return [
        Example("minimal", "The required fields only.", MINIMAL.created),
        Example("full", "All fields of an order.", FULL.created),
        Example("high-value", "Three lines; a person reviews it.", HIGH_VALUE.created),
        Example("just-below-high-value", "999.99: no review.", JUST_BELOW.created),
        Example("just-high-value", "1000.00: a person reviews it.", AT_THRESHOLD.created),
        Example("payment-declined", "The sandbox gateway declines this token.", DECLINED.created),
        Example("payment-unavailable", "The gateway stays unavailable.", GATEWAY_DOWN.created),
        Example("answer-lost", "Charged, but the gateway's answer is lost.", ANSWER_LOST.created),
        Example("out-of-stock", "Waits for stock that never arrives.", SOLD_OUT.created),
        Example("partly-in-stock", "The stock covers most of it.", BULK.created),
        Example("one-line-short", "Only one of its lines is in stock.", CANCELLED_WAITING.created),
        Example("not-carried", "The sandbox carrier refuses this street.", NOT_CARRIED.created),
        Example("cancelled-too-late", "Shipped before it is cancelled.", TOO_LATE.created),
        Example(
            "cancelled-after-payment", "Charged before it is cancelled.", CANCELLED_PAID.created
        ),
    ]


def _updated() -> list[Example]:
    name = "Order Updated"
    email = {"email": "new@example.com"}
    address = {"shipping_address": TOMAS | {"street": "Calle Nueva 21"}}
    return [
        Example("minimal", "A new e-mail address.", MINIMAL.request(name, 4, email)),
        Example("new-address", "A new address.", CANCELLED_WAITING.request(name, 60, address)),
        Example(
            "both", "Address and e-mail.", BULK.request(name, 90, email | {"shipping_address": ADA})
        ),
    ]


CANCELLATIONS = {
    "minimal": MINIMAL.cancelled(600),
    "while-waiting": CANCELLED_WAITING.cancelled(120, "Found it elsewhere."),
    "after-payment": CANCELLED_PAID.cancelled(0.5),
    "answer-lost": ANSWER_LOST.cancelled(2, "Ordered twice."),
    "too-late": TOO_LATE.cancelled(1, "Found it elsewhere."),
    "after-failure": DECLINED.cancelled(30),
}


def _cancelled() -> list[Example]:
    meanings = {
        "minimal": "The order id only.",
        "while-waiting": "The order waits for stock.",
        "after-payment": "The order is already charged.",
        "answer-lost": "The order is charged, but the answer is lost.",
        "too-late": "The order is already shipped.",
        "after-failure": "The order has already failed.",
    }
    return [Example(name, meanings[name], event) for name, event in CANCELLATIONS.items()]


def _backordered() -> list[Example]:
    vase = {"VASE-LIMITED": 0}
    return [
        Example("out-of-stock", "No unit is available.", SOLD_OUT.backordered(vase)),
        Example(
            "partly-in-stock",
            "Too few units are available.",
            BULK.backordered({"TEA-GREEN-100": 100_000}),
        ),
        Example("one-line-short", "One line of two is short.", CANCELLED_WAITING.backordered(vase)),
    ]


def _completed() -> list[Example]:
    return [
        Example("minimal", "An order without metadata.", MINIMAL.completed()),
        Example("full", "An order of three lines.", FULL.completed()),
        Example("high-value", "Its review is still open.", HIGH_VALUE.completed()),
        Example("just-below-high-value", "999.99.", JUST_BELOW.completed()),
        Example("just-high-value", "1000.00.", AT_THRESHOLD.completed()),
        Example("cancelled-too-late", "Despite a late cancellation.", TOO_LATE.completed()),
    ]


def _failed() -> list[Example]:
    declined = f"the payment of order {DECLINED.order_id} is DECLINED at the gateway"
    silent = f"the gateway did not answer for order {GATEWAY_DOWN.order_id}"
    short = "VASE-LIMITED: 2 ordered, 0 available"
    refused = f"the carrier did not take order {NOT_CARRIED.order_id}"
    return [
        Example(
            "payment-declined",
            "The card was refused.",
            DECLINED.failed(7, 0.71, "PaymentDeclined", declined),
        ),
        Example(
            "out-of-stock",
            "No stock arrived within an hour.",
            SOLD_OUT.failed(27, WAITED, "OutOfStock", short),
        ),
        Example(
            "payment-unavailable",
            "The gateway did not recover within an hour.",
            GATEWAY_DOWN.failed(31, WAITED + 180, "PaymentUnavailable", silent),
        ),
        Example(
            "not-carried",
            "Refunded and restocked.",
            NOT_CARRIED.failed(10, 15.4, "CarrierError", refused),
        ),
    ]


def _cancellations() -> list[Example]:
    return [
        Example(
            "while-waiting",
            "Nothing had been charged.",
            CANCELLED_WAITING.confirmed(7, 120.9, CANCELLATIONS["while-waiting"]),
        ),
        Example(
            "after-payment",
            "The charge is refunded.",
            CANCELLED_PAID.confirmed(10, 1.9, CANCELLATIONS["after-payment"]),
        ),
        Example(
            "answer-lost",
            "The charge was found and refunded.",
            ANSWER_LOST.confirmed(10, 6.3, CANCELLATIONS["answer-lost"]),
        ),
        Example(
            "too-late",
            "It is shipped.",
            TOO_LATE.refused(1.2, "shipped", CANCELLATIONS["too-late"]),
        ),
        Example(
            "minimal",
            "It has completed.",
            MINIMAL.refused(600.2, "COMPLETED", CANCELLATIONS["minimal"]),
        ),
        Example(
            "after-failure",
            "It has failed.",
            DECLINED.refused(30.2, "FAILED", CANCELLATIONS["after-failure"]),
        ),
    ]


def _refunded() -> list[Example]:
    return [
        Example("after-payment", "On request.", CANCELLED_PAID.refunded(1.6, "OrderCancelled")),
        Example(
            "not-carried", "The carrier refused it.", NOT_CARRIED.refunded(15.1, "CarrierError")
        ),
        Example("answer-lost", "The lost charge.", ANSWER_LOST.refunded(6.1, "OrderCancelled")),
    ]


def _flagged() -> list[Example]:
    return [
        Example("just-high-value", "Exactly the threshold.", AT_THRESHOLD.flagged()),
        Example("high-value", "An order of an office.", HIGH_VALUE.flagged()),
        Example("partly-in-stock", "Flagged while it waits.", BULK.flagged()),
    ]
