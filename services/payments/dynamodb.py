"""The ledger in DynamoDB: attributes of the order's item, which is for ever; and the sandbox.

The record itself says the charge's id and status, and its amount is the order's total; only what
an entry says otherwise stands beside it (``lid``, ``lst``), and what the record has no field for:
``lref``, the gateway's reference, ``lat`` and ``lupd``, when it was opened and last written.
"""

from collections.abc import Callable

from kernel.errors import PaymentGatewayError
from kernel.order_record import Change, OrderRecord
from kernel.order_status import ChargeStatus
from payments.gateway import DECLINES, KEY_LIFETIME, LOSES_ANSWER, failures
from payments.model import Charge, GatewayRecord, LedgerEntry
from storage.dynamodb.order_item import ATTRIBUTES, packed, unpacked
from storage.dynamodb.records import DynamoRecords, if_of, put_beside
from storage.dynamodb.table import Item, Refused, Table, Update


class DynamoLedger(DynamoRecords):
    """The ledger (see `payments.usecases.Ledger`)."""

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one write."""
        after = change.after
        if (entry.amount, entry.currency) != (after.total, after.currency):
            raise ValueError(f"a charge of order {after.order_id} is of its total, {after.total}")
        return self.write(change, lambda update: _enter(update, after, entry))


def charge_of(item: Item) -> dict[str, object] | None:
    """Return what the ledger says in an order's item: id, status, reference and times."""
    if "lupd" not in item:
        return None
    return {
        "charge_id": unpacked(item.get("lid") or item[ATTRIBUTES["charge_id"]]),
        "status": item.get("lst") or item[ATTRIBUTES["charge"]],
        "reference": item.get("lref"),
        "opened_at": float(item["lat"]),
        "updated_at": float(item["lupd"]),
    }


def put_charge(update: Update, record: OrderRecord, entry: LedgerEntry, at: float) -> None:
    """Put an entry beside the record that it belongs to."""
    update.put(lupd=at)
    if entry.reference is not None:
        update.put(lref=entry.reference)
    put_beside(
        update, "lid", packed(entry.charge_id), record.charge_id and packed(record.charge_id)
    )
    put_beside(update, "lst", entry.status, record.charge)


def _enter(update: Update, after: OrderRecord, entry: LedgerEntry) -> None:
    if_of(update, packed(entry.charge_id), "lid", ATTRIBUTES["charge_id"])
    opened = update.name("lat")
    update.set(opened, f"if_not_exists({opened}, {update.value(after.updated_at)})")
    put_charge(update, after, entry, after.updated_at)


class DynamoGateway:
    """The sandbox gateway (see `payments.gateway`) with its own record in a table of its own.

    Every charge of a key is an item of its own, ``charge#0`` the first: a key that was forgotten
    is charged again.
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
        made = self._new(charge.key, known, status, charge)
        if charge.token == LOSES_ANSWER:
            raise PaymentGatewayError(f"the gateway did not answer for order {charge.order_id}")
        return _record(made)

    def find(self, key: str) -> GatewayRecord | None:
        """Return the gateway's own record of a key, however old."""
        known = self._last(key)
        return None if known is None else _record(known)

    def refund(self, key: str) -> GatewayRecord:
        """Pay a charge back, once."""
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
        except Refused:
            return _record(self._last(key) or known)

    def void(self, key: str) -> GatewayRecord:
        """Leave a mark that refuses any later charge; CHARGED if there is one already."""
        return _record(self._last(key) or self._new(key, None, ChargeStatus.VOIDED))

    def _last(self, key: str) -> Item | None:
        charges = [one for one in self.table.collection(_key(key)) if "status" in one]
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
        except Refused as refused:
            standing = refused.standing[0]
            assert standing is not None
            return standing  # somebody else was faster

    def _remembered(self, known: Item) -> bool:
        voided: bool = known["status"] == ChargeStatus.VOIDED
        return voided or known["at"] + KEY_LIFETIME > self.now()

    def _fails(self, key: str, call: str, token: str | None) -> bool:
        """Count a call that may fail, and say whether this one does."""
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
