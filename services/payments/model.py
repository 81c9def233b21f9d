"""Charges and what the gateway says of them; the ledger's amounts are in hundredths."""

from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, uuid5

from kernel.order_record import ChargeStatus

_CHARGES = UUID("d0a7a1f5-1f0e-5a53-8f6c-5b0f5f2c9e44")


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


@lru_cache(1024)
def charge_id(order_id: str) -> str:
    """Return the id of an order's only charge: the same whenever it is asked for."""
    return str(uuid5(_CHARGES, f"{order_id}|charge"))
