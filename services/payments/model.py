"""Charges and what the gateway says of them; the ledger's amounts are in hundredths."""

from typing import NamedTuple

from kernel.order_status import ChargeStatus


class Charge(NamedTuple):
    """What is asked of the gateway.

    ``key`` is its idempotency key, and ``amount`` is in the currency's own smallest unit.
    """

    key: str
    order_id: str
    amount: int
    currency: str
    token: str | None


class GatewayRecord(NamedTuple):
    """What the gateway has on a key: CHARGED, DECLINED, REFUNDED or VOIDED."""

    key: str
    status: ChargeStatus
    reference: str


class LedgerEntry(NamedTuple):
    """The ledger's word on a charge."""

    charge_id: str
    order_id: str
    amount: int
    currency: str
    status: ChargeStatus
    reference: str | None
