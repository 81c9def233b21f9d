"""Charges, the gateway's record of them, and the ledger, whose amounts are in hundredths."""

from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, uuid5

from kernel.order_record import ChargeStatus

_CHARGES = UUID("d0a7a1f5-1f0e-5a53-8f6c-5b0f5f2c9e44")


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


@lru_cache(1024)
def charge_id(order_id: str) -> str:
    """Return the id of an order's only charge, which is also its idempotency key.

    It follows from the order id, so a retry has the same key.
    """
    return str(uuid5(_CHARGES, f"{order_id}|charge"))
