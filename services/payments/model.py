"""Charges, the gateway's record of them, and the ledger, whose amounts are in hundredths."""

from typing import NamedTuple

from kernel.order_status import ChargeStatus


class Charge(NamedTuple):
    """A request to the gateway.

    ``key`` is its idempotency key, and ``amount`` is in the currency's own smallest unit.
    """

    key: str
    order_id: str
    amount: int
    currency: str
    token: str | None


class GatewayRecord(NamedTuple):
    """The gateway's record of a key: CHARGED, DECLINED, REFUNDED or VOIDED."""

    key: str
    status: ChargeStatus
    reference: str


class LedgerEntry(NamedTuple):
    """The ledger's entry of a charge."""

    charge_id: str
    order_id: str
    amount: int
    currency: str
    status: ChargeStatus
    reference: str | None
