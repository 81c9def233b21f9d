"""The ledger in DynamoDB, as attributes of the order's item, which is never deleted; the sandbox.

The record has the charge's id and status, and the charge's amount is the order's total. ``lid`` and
``lst`` are stored only if the ledger's id or status differs. The record has no field for ``lref``,
the gateway's reference, ``lat``, the time of the first entry, and ``lupd``, the time of the last.
"""

from collections.abc import Callable

from kernel.errors import PaymentGatewayError
from kernel.order_record import Change, OrderRecord
from kernel.order_status import ChargeStatus
from payments.gateway import DECLINES, KEY_LIFETIME, LOSES_ANSWER, failures
from payments.model import Charge, GatewayRecord, LedgerEntry
from storage.dynamodb.order_item import ATTRIBUTES, compact_id, expand_id
from storage.dynamodb.records import DynamoRecords, put_if_different, require_value
from storage.dynamodb.table import ConditionFailed, Item, Table, Update


class DynamoLedger(DynamoRecords):
    """The ledger (see `payments.usecases.Ledger`)."""

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one write."""
        after = change.after
        if (entry.amount, entry.currency) != (after.total, after.currency):
            raise ValueError(
                f"the charge of order {after.order_id} must be its total, {after.total}"
            )
        return self.write(change, lambda update: _enter(update, after, entry))


def charge_of(item: Item) -> dict[str, object] | None:
    """Return the ledger's entry in an order's item: id, status, reference and times."""
    if "lupd" not in item:
        return None
    return {
        "charge_id": expand_id(item.get("lid") or item[ATTRIBUTES["charge_id"]]),
        "status": item.get("lst") or item[ATTRIBUTES["charge"]],
        "reference": item.get("lref"),
        "opened_at": float(item["lat"]),
        "updated_at": float(item["lupd"]),
    }


def put_charge(update: Update, record: OrderRecord, entry: LedgerEntry, at: float) -> None:
    """Add a ledger entry to the update of its order."""
    update.put(lupd=at)
    if entry.reference is not None:
        update.put(lref=entry.reference)
    put_if_different(
        update,
        "lid",
        compact_id(entry.charge_id),
        record.charge_id and compact_id(record.charge_id),
    )
    put_if_different(update, "lst", entry.status, record.charge)


def _enter(update: Update, after: OrderRecord, entry: LedgerEntry) -> None:
    require_value(update, compact_id(entry.charge_id), "lid", ATTRIBUTES["charge_id"])
    opened = update.name("lat")
    update.set(opened, f"if_not_exists({opened}, {update.value(after.updated_at)})")
    put_charge(update, after, entry, after.updated_at)


class DynamoGateway:
    """The sandbox gateway (see `payments.gateway`), with its own record in a table of its own.

    Each charge of a key is an item, the first is ``charge#0``: a forgotten key is charged again.
    """

    def __init__(self, table: Table, now: Callable[[], float]) -> None:
        self.table = table
        self.now = now

    def charge(self, charge: Charge) -> GatewayRecord:
        """Charge once under a key while the key is remembered."""
        known = self._last(charge.key)
        if known is not None and self._remembered(known):
            return _record(known)
        if self._fails(charge.key, "charge", charge.token):
            raise PaymentGatewayError(f"the gateway did not answer for order {charge.order_id}")
        status = ChargeStatus.DECLINED if charge.token == DECLINES else ChargeStatus.CHARGED
        item = self._new(charge.key, known, status, charge)
        if charge.token == LOSES_ANSWER:
            raise PaymentGatewayError(f"the gateway did not answer for order {charge.order_id}")
        return _record(item)

    def find(self, key: str) -> GatewayRecord | None:
        """Return the gateway's own record of a key, of any age."""
        known = self._last(key)
        return None if known is None else _record(known)

    def refund(self, key: str) -> GatewayRecord:
        """Refund a charge, once."""
        known = self._last(key)
        if known is None:
            raise PaymentGatewayError(f"the gateway has no charge {key} to refund")
        if self._fails(key, "refund", known.get("token")):
            raise PaymentGatewayError(f"the gateway did not refund {key}")
        update = Update(known["pk"], known["sk"])
        update.when(f"{update.name('status')} = {update.value(ChargeStatus.CHARGED)}")
        update.put(status=ChargeStatus.REFUNDED)
        try:
            return _record(self.table.change(update))
        except ConditionFailed:
            return _record(self._last(key) or known)

    def void(self, key: str) -> GatewayRecord:
        """Mark a key so that later charges are refused; return CHARGED if it was charged before."""
        return _record(self._last(key) or self._new(key, None, ChargeStatus.VOIDED))

    def _last(self, key: str) -> Item | None:
        charges = [item for item in self.table.collection(_key(key)) if "status" in item]
        return charges[-1] if charges else None

    def _new(
        self, key: str, last: Item | None, status: ChargeStatus, charge: Charge | None = None
    ) -> Item:
        number = 0 if last is None else last["number"] + 1
        update = Update(_key(key), f"charge#{number:04}")
        update.if_absent()
        update.put(number=number, status=status, at=self.now())
        if charge is not None:
            update.put(
                order_id=charge.order_id,
                amount=charge.amount,
                currency=charge.currency,
                token=charge.token,
            )
        try:
            return self.table.change(update)
        except ConditionFailed as failed:
            stored = failed.stored[0]
            assert stored is not None
            return stored  # another call was faster

    def _remembered(self, known: Item) -> bool:
        voided: bool = known["status"] == ChargeStatus.VOIDED
        return voided or known["at"] + KEY_LIFETIME > self.now()

    def _fails(self, key: str, call: str, token: str | None) -> bool:
        """Count a call that may fail; return whether this one fails."""
        times = failures(token, call)
        if not times:
            return False
        update = Update(_key(key), f"failures#{call}")
        update.add("failures", 1)
        return bool(self.table.change(update)["failures"] <= times)


def _key(key: str) -> str:
    return f"charge#{key}"


def _record(item: Item) -> GatewayRecord:
    key = item["pk"].partition("#")[2]
    return GatewayRecord(key, ChargeStatus(item["status"]), f"ch_{key[:8]}_{item['number']}")
