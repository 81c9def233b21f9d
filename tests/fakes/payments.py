"""The ledger and a gateway in memory (see `payments.usecases`)."""

from collections import defaultdict, deque

from kernel.errors import PaymentGatewayError
from kernel.order_record import Change, OrderRecord
from kernel.order_status import ChargeStatus
from payments.model import Charge, GatewayRecord, LedgerEntry
from tests.fakes.records import Action, FakeRecords


class FakeLedger(FakeRecords):
    """Records and the ledger of their charges; ``entered`` has every entry ever made."""

    def __init__(self, *records: OrderRecord) -> None:
        super().__init__(*records)
        self.ledger: dict[str, LedgerEntry] = {}
        self.entered: list[LedgerEntry] = []

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        after = self.save(change)
        self.ledger[entry.charge_id] = entry
        self.entered.append(entry)
        return after


class FakeGateway:
    """A gateway with a record of its own; ``money`` is the sum of its charges less refunds."""

    def __init__(self, *, declines: bool = False) -> None:
        self.declines = declines
        self.calls: list[str] = []
        self.charges: list[Charge] = []
        self.money = 0
        self._charges: dict[str, tuple[ChargeStatus, int]] = {}
        self._remembered: set[str] = set()
        self._before: defaultdict[str, deque[Action]] = defaultdict(deque)
        self._after: defaultdict[str, deque[Action]] = defaultdict(deque)

    def before(self, call: str, action: Action) -> None:
        """Run a hook at the next call, before its effect."""
        self._before[call].append(action)

    def after(self, call: str, action: Action) -> None:
        """Run a hook at the next call, after its effect."""
        self._after[call].append(action)

    def forget_keys(self) -> None:
        """Forget all keys, as gateways do after a day: a known key then charges again."""
        self._remembered.clear()

    def charge(self, charge: Charge) -> GatewayRecord:
        return self._call("charge", charge.key, lambda: self._charge(charge))

    def find(self, key: str) -> GatewayRecord | None:
        self.calls.append("find")
        return self._record(key) if key in self._charges else None

    def refund(self, key: str) -> GatewayRecord:
        return self._call("refund", key, lambda: self._refund(key))

    def void(self, key: str) -> GatewayRecord:
        return self._call("void", key, lambda: self._void(key))

    def _call(self, name: str, key: str, work: Action) -> GatewayRecord:
        self.calls.append(name)
        self._run(self._before[name])
        work()
        self._run(self._after[name])
        return self._record(key)

    def _run(self, actions: deque[Action]) -> None:
        if actions:
            actions.popleft()()

    def _charge(self, charge: Charge) -> None:
        self.charges.append(charge)
        if charge.key not in self._remembered:
            status = ChargeStatus.DECLINED if self.declines else ChargeStatus.CHARGED
            self._charges[charge.key] = (status, charge.amount)
            self._remembered.add(charge.key)
            self.money += 0 if self.declines else charge.amount

    def _refund(self, key: str) -> None:
        if key not in self._charges:
            raise PaymentGatewayError("nothing to refund")
        status, amount = self._charges[key]
        if status is ChargeStatus.CHARGED:
            self._charges[key] = (ChargeStatus.REFUNDED, amount)
            self.money -= amount

    def _void(self, key: str) -> None:
        if key not in self._charges:
            self._charges[key] = (ChargeStatus.VOIDED, 0)
            self._remembered.add(key)

    def _record(self, key: str) -> GatewayRecord:
        return GatewayRecord(key, self._charges[key][0], f"reference of {key}")


def no_answer() -> None:
    """Raise `PaymentGatewayError`: a hook of `FakeGateway`."""
    raise PaymentGatewayError("503")


class Killed(BaseException):
    """The process has ended."""


def killed() -> None:
    """End the process: a hook of any fake."""
    raise Killed
