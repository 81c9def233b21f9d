"""The sandbox's gateway and carrier, whose behaviour tokens and streets select."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from kernel.errors import CarrierError, PaymentGatewayError
from kernel.idempotency import charge_id
from kernel.order_status import ChargeStatus
from payments.dynamodb import DynamoGateway
from payments.gateway import KEY_LIFETIME, SandboxGateway
from payments.model import Charge
from payments.usecases import Gateway
from shipping.carrier import SandboxCarrier
from shipping.dynamodb import DynamoCarrier
from shipping.model import Consignment
from shipping.usecases import Carrier
from storage.sqlite.database import Database
from tests.fakes.clock import SetClock
from tests.fakes.events import ADDRESS
from tests.fakes.records import NOW
from tests.integration.dynamo_stores import OneAtATime, create, moto

KEY = charge_id("A-1")
NO_ANSWER, REFUSED = "no answer", "refused"


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


class Sandbox(Protocol):
    """The sandbox's database; every call opens it again, like another process."""

    def gateway(self, now: Callable[[], float]) -> Gateway: ...
    def carrier(self) -> Carrier: ...

    def charges(self) -> list[Mapping[str, object]]:
        """Return the gateway's charges."""

    def parcels(self) -> int:
        """Return the number of the carrier's shipments."""


class SQLiteSandbox:
    """The sandbox on one SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(str(folder / "sandbox.db"))

    def gateway(self, now: Callable[[], float]) -> SandboxGateway:
        return SandboxGateway(self.database, now)

    def carrier(self) -> SandboxCarrier:
        return SandboxCarrier(self.database)

    def charges(self) -> list[Mapping[str, object]]:
        rows = self.database.rows("select *, charged_at as at from gateway_charges")
        return [dict(row) for row in rows]

    def parcels(self) -> int:
        return len(self.database.rows("select * from carrier_shipments"))

    def close(self) -> None:
        self.database.close()


class DynamoSandbox:
    """The sandbox on one DynamoDB table."""

    def __init__(self, client: OneAtATime) -> None:
        self.table = create(client, "SandboxTable")

    def gateway(self, now: Callable[[], float]) -> DynamoGateway:
        return DynamoGateway(self.table, now)

    def carrier(self) -> DynamoCarrier:
        return DynamoCarrier(self.table)

    def charges(self) -> list[Mapping[str, object]]:
        return [
            {**item, "key": item["pk"].partition("#")[2]}
            for item in self.table.scan()
            if item["sk"].startswith("charge#")
        ]

    def parcels(self) -> int:
        return sum(item["sk"] == "shipment" for item in self.table.scan())

    def close(self) -> None:
        """Do nothing: moto deletes the table."""


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture(params=["sqlite", "dynamodb"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    sqlite = request.param == "sqlite"
    opened: SQLiteSandbox | DynamoSandbox = (
        SQLiteSandbox(tmp_path) if sqlite else DynamoSandbox(request.getfixturevalue("aws"))
    )
    yield opened
    opened.close()


@pytest.fixture
def gateway(sandbox: Sandbox, clock: SetClock) -> Gateway:
    return sandbox.gateway(clock)


def charge(token: str | None, order_id: str = "A-1") -> Charge:
    return Charge(charge_id(order_id), order_id, 3700, "EUR", token)


def answers(call: Callable[[], object], times: int) -> list[str]:
    """Call the gateway this many times; return the status of each answer."""
    statuses = []
    for _ in range(times):
        try:
            statuses.append(str(getattr(call(), "status", None)))
        except PaymentGatewayError:
            statuses.append(NO_ANSWER)
    return statuses


def charged(sandbox: Sandbox) -> int:
    """Return the number of charges in the number of that are not refunded."""
    return sum(row["status"] == ChargeStatus.CHARGED for row in sandbox.charges())


# ---- the gateway's tokens


@pytest.mark.parametrize(
    ("token", "calls", "made"),
    [
        (None, ["CHARGED", "CHARGED"], 1),
        ("tok_visa", ["CHARGED", "CHARGED"], 1),
        ("tok_decline", ["DECLINED", "DECLINED"], 0),
        ("tok_timeout", [NO_ANSWER, "CHARGED", "CHARGED"], 1),
        ("tok_lose_answer", [NO_ANSWER, "CHARGED", "CHARGED"], 1),
        ("tok_unavailable_1", [NO_ANSWER, "CHARGED"], 1),
        ("tok_unavailable_3", [NO_ANSWER] * 3 + ["CHARGED", "CHARGED"], 1),
        ("tok_unavailable", [NO_ANSWER] * 6, 0),
        ("tok_refund_fails_2", ["CHARGED", "CHARGED"], 1),
        ("tok_refund_fails", ["CHARGED", "CHARGED"], 1),
        ("tok_unavailable_x", ["CHARGED"], 1),
    ],
)
def test_the_token_selects_the_result_of_a_charge(
    gateway: Gateway, sandbox: Sandbox, token: str | None, calls: list[str], made: int
) -> None:
    assert answers(lambda: gateway.charge(charge(token)), len(calls)) == calls
    assert charged(sandbox) == made


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("tok_timeout", None),
        ("tok_lose_answer", "CHARGED"),
        ("tok_unavailable", None),
        ("tok_decline", "DECLINED"),
    ],
)
def test_the_gateways_record_after_the_first_call(
    gateway: Gateway, token: str, status: str | None
) -> None:
    answers(lambda: gateway.charge(charge(token)), 1)
    record = gateway.find(KEY)
    assert (record.status if record else None) == status


@pytest.mark.parametrize(
    ("token", "calls"),
    [
        ("tok_visa", ["REFUNDED", "REFUNDED"]),
        ("tok_lose_answer", ["REFUNDED", "REFUNDED"]),
        ("tok_unavailable_1", ["REFUNDED"]),
        ("tok_refund_fails_1", [NO_ANSWER, "REFUNDED"]),
        ("tok_refund_fails_3", [NO_ANSWER] * 3 + ["REFUNDED", "REFUNDED"]),
        ("tok_refund_fails", [NO_ANSWER] * 6),
        ("tok_decline", ["DECLINED"]),
    ],
)
def test_the_token_selects_the_result_of_a_refund(
    gateway: Gateway, sandbox: Sandbox, token: str, calls: list[str]
) -> None:
    answers(lambda: gateway.charge(charge(token)), 2)
    assert answers(lambda: gateway.refund(KEY), len(calls)) == calls
    assert charged(sandbox) == (1 if calls[-1] == NO_ANSWER else 0)


def test_orders_have_separate_charges_and_failures(gateway: Gateway, sandbox: Sandbox) -> None:
    for order_id in ("A-1", "A-2"):
        calls = answers(partial(gateway.charge, charge("tok_timeout", order_id)), 2)
        assert calls == [NO_ANSWER, "CHARGED"]
    assert answers(lambda: gateway.refund(KEY), 1) == ["REFUNDED"]
    assert charged(sandbox) == 1


# ---- the gateway's record


def test_a_repeated_charge_returns_the_first_status_and_reference(
    gateway: Gateway,
) -> None:
    first, again = (gateway.charge(charge(token)) for token in ("tok_visa", "tok_decline"))
    assert first == again == gateway.find(KEY)
    assert gateway.charge(charge(None, "A-2")).reference != first.reference


def test_the_gateway_stores_the_requested_charge(gateway: Gateway, sandbox: Sandbox) -> None:
    gateway.charge(charge("tok_visa"))
    [row] = sandbox.charges()
    recorded = (row["key"], row["order_id"], row["amount"], row["currency"], row["at"])
    assert recorded == (KEY, "A-1", 3700, "EUR", NOW)


@pytest.mark.parametrize(("age", "made"), [(KEY_LIFETIME - 1, 1), (KEY_LIFETIME, 2)])
def test_after_a_day_the_key_is_forgotten_and_a_repeated_charge_is_a_second_one(
    gateway: Gateway, sandbox: Sandbox, clock: SetClock, age: float, made: int
) -> None:
    """F10: therefore the ledger and the gateway's record are read first."""
    gateway.charge(charge("tok_visa"))
    clock.now += age
    gateway.charge(charge("tok_visa"))
    assert charged(sandbox) == made


def test_the_gateways_record_never_expires(gateway: Gateway, clock: SetClock) -> None:
    made = gateway.charge(charge("tok_visa"))
    clock.now += 91 * 86_400
    assert gateway.find(KEY) == made
    assert gateway.refund(KEY).status == "REFUNDED"


def test_an_unknown_charge_cannot_be_refunded(
    gateway: Gateway,
) -> None:
    assert gateway.find(KEY) is None
    with pytest.raises(PaymentGatewayError, match=f"has no charge {KEY} to refund"):
        gateway.refund(KEY)


# ---- voids


def test_a_void_writes_a_permanent_mark_that_refuses_a_later_charge(
    gateway: Gateway, sandbox: Sandbox, clock: SetClock
) -> None:
    assert gateway.void(KEY).status == "VOIDED"
    for age in (0, KEY_LIFETIME, 91 * 86_400):
        clock.now = NOW + age
        assert gateway.charge(charge("tok_visa")).status == "VOIDED"
    record = gateway.find(KEY)
    assert record is not None
    assert (record.status, charged(sandbox)) == ("VOIDED", 0)


@pytest.mark.parametrize(
    ("token", "status"),
    [("tok_visa", "CHARGED"), ("tok_lose_answer", "CHARGED"), ("tok_decline", "DECLINED")],
)
def test_a_void_of_an_existing_charge_returns_its_status(
    gateway: Gateway, token: str, status: str
) -> None:
    answers(lambda: gateway.charge(charge(token)), 1)
    assert gateway.void(KEY).status == status


def test_an_unavailable_gateway_still_voids(gateway: Gateway) -> None:
    answers(lambda: gateway.charge(charge("tok_unavailable")), 3)
    assert gateway.void(KEY).status == "VOIDED"
    assert answers(lambda: gateway.charge(charge("tok_unavailable")), 1) == ["VOIDED"]


def test_a_refunded_charge_stays_refunded(gateway: Gateway) -> None:
    gateway.charge(charge("tok_visa"))
    gateway.refund(KEY)
    assert gateway.void(KEY).status == "REFUNDED"
    assert gateway.charge(charge("tok_visa")).status == "REFUNDED"


# ---- the carrier


@pytest.fixture
def carrier(sandbox: Sandbox) -> Carrier:
    return sandbox.carrier()


def consignment(street: str = "1 Loop Lane", shipment_id: str = "shipment-1") -> Consignment:
    return Consignment(shipment_id, "A-1", {**ADDRESS, "street": street})


def create_answers(carrier: Carrier, street: str, times: int) -> list[str]:
    """Create a shipment some times; return the status of each answer."""
    statuses = []
    for _ in range(times):
        try:
            statuses.append(str(carrier.create(consignment(street)).status))
        except CarrierError:
            statuses.append(REFUSED)
    return statuses


@pytest.mark.parametrize(
    ("street", "calls"),
    [
        ("1 Loop Lane", ["CREATED", "CREATED"]),
        ("SANDBOX FAIL 1", [REFUSED, "CREATED"]),
        ("SANDBOX FAIL 2", [REFUSED, REFUSED, "CREATED", "CREATED"]),
        ("SANDBOX FAIL", [REFUSED] * 6),
        ("1 SANDBOX FAIL", ["CREATED"]),
    ],
)
def test_the_street_selects_the_carriers_behaviour(
    carrier: Carrier, street: str, calls: list[str]
) -> None:
    assert create_answers(carrier, street, len(calls)) == calls


def test_a_shipment_has_one_tracking_number(carrier: Carrier, sandbox: Sandbox) -> None:
    first = carrier.create(consignment())
    assert carrier.create(consignment()) == sandbox.carrier().create(consignment()) == first
    assert first.tracking_number.startswith("SBX")
    assert len(first.tracking_number) == 15
    other = carrier.create(consignment(shipment_id="shipment-2"))
    assert other.tracking_number != first.tracking_number
    assert sandbox.parcels() == 2


def test_an_order_without_an_address_is_shipped_too(carrier: Carrier) -> None:
    assert carrier.create(Consignment("shipment-1", "A-1", None)).status == "CREATED"


def test_a_voided_shipment_remains_voided(carrier: Carrier) -> None:
    created = carrier.create(consignment())
    voided = carrier.void("shipment-1")
    assert (voided.status, voided.tracking_number) == ("VOIDED", created.tracking_number)
    assert carrier.create(consignment()) == voided == carrier.void("shipment-1")


def test_a_void_before_the_shipment_writes_a_mark_that_refuses_it(carrier: Carrier) -> None:
    carrier.void("shipment-1")
    assert carrier.create(consignment()).status == "VOIDED"
    assert carrier.create(consignment(shipment_id="shipment-2")).status == "CREATED"
