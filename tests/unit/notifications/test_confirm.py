"""An order is confirmed to its customer once, by mail."""

from uuid import UUID, uuid5

import pytest

from kernel.errors import MailError, OrderNotFound, UnmailableAddress
from kernel.order_record import Change, Entry, Line, Message, OrderRecord
from kernel.order_status import Status
from notifications.model import Mail
from notifications.usecases import Ports, confirm

NOW = 1_770_000_000.0
MESSAGE_ID = str(uuid5(UUID("6f2d1a52-3c0f-5b7e-9c62-0a4d0f5e7b11"), "A-1|confirmation"))

ORDER = OrderRecord(
    order_id="A-1",
    customer_id="C-42",
    currency="USD",
    total=3700,
    items=(Line("TEA-GREEN", 2, 1250), Line("TEA-BLACK", 1, 1200)),
    placed_at="2026-01-31T12:00:00Z",
    content_hash="hash",
    event_id="event-1",
    correlation_id="event-1",
    created_at=NOW,
    updated_at=NOW,
    status=Status.CHARGED,
    shipping_address={"name": "Ada", "street": "1 Loop\nLane", "city": "Bath", "country": "UK"},
    email="ada@example.com",
)


class Store:
    """Records in a dictionary, and the marks."""

    def __init__(self, *records: OrderRecord) -> None:
        self.records = {record.order_id: record for record in records}
        self.marks: dict[str, tuple[str, Entry]] = {}
        self.notes: list[tuple[str, Entry]] = []
        self.outbox: list[Message] = []

    def find(self, order_id: str) -> OrderRecord | None:
        return self.records.get(order_id)

    def read(self, order_id: str) -> OrderRecord:
        if order_id not in self.records:
            raise OrderNotFound(order_id)
        return self.records[order_id]

    def save(self, change: Change) -> OrderRecord:
        raise AssertionError("a confirmation changes no order")

    def note(self, order_id: str, entry: Entry) -> None:
        assert entry.what != "CONFIRMATION_SENT", "the mark and the entry are one write"
        self.notes.append((order_id, entry))

    def send(self, message: Message, at: float) -> None:
        self.outbox.append(message)

    def sent(self, message_id: str, order_id: str) -> bool:
        return message_id in self.marks

    def mark(self, message_id: str, order_id: str, entry: Entry) -> None:
        self.marks[message_id] = (order_id, entry)


class Mailer:
    """A mailer that stores mails, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.mails: list[tuple[str, Mail]] = []

    def send(self, name: str, mail: Mail) -> None:
        if self.fails:
            raise MailError("refused by the test")
        self.mails.append((name, mail))


def ports(store: Store, mailer: Mailer) -> Ports:
    return Ports(store, mailer, "shop@example.org", lambda: NOW)


def test_the_mail_goes_to_the_customer_and_has_the_orders_id_as_its_name() -> None:
    mailer = Mailer()
    assert confirm("A-1", ports(Store(ORDER), mailer))
    [(name, mail)] = mailer.mails
    assert name == "A-1"
    assert (mail.sender, mail.recipient) == ("shop@example.org", "ada@example.com")
    assert (mail.message_id, mail.sent_at) == (MESSAGE_ID, NOW)


def test_the_mail_has_lines_total_and_address() -> None:
    mailer = Mailer()
    confirm("A-1", ports(Store(ORDER), mailer))
    text = mailer.mails[0][1].text
    for expected in ("2 x TEA-GREEN", "USD 25.00", "1 x TEA-BLACK", "USD 37.00", "1 Loop Lane"):
        assert expected in text


def test_a_sent_mail_is_marked_and_noted_in_the_timeline() -> None:
    store = Store(ORDER)
    confirm("A-1", ports(store, Mailer()))
    entry = Entry("CONFIRMATION_SENT", NOW, {"message_id": MESSAGE_ID})
    assert store.marks == {MESSAGE_ID: ("A-1", entry)}


def test_a_mail_sent_before_is_not_sent_again() -> None:
    store, mailer = Store(ORDER), Mailer()
    assert [confirm("A-1", ports(store, mailer)) for _ in range(3)] == [True, False, False]
    assert len(mailer.mails) == 1


def test_an_order_without_an_address_needs_no_mail() -> None:
    store, mailer = Store(ORDER._replace(email=None)), Mailer()
    assert not confirm("A-1", ports(store, mailer))
    assert (store.marks, mailer.mails) == ({}, [])


@pytest.mark.parametrize("status", [Status.COMPENSATING, Status.FAILED, Status.CANCELLED])
def test_an_order_in_compensation_is_not_confirmed(status: Status) -> None:
    store, mailer = Store(ORDER._replace(status=status)), Mailer()
    assert not confirm("A-1", ports(store, mailer))
    assert (store.marks, mailer.mails) == ({}, [])


def test_a_failed_mail_is_not_marked_and_is_retried() -> None:
    store, mailer = Store(ORDER), Mailer(fails=True)
    with pytest.raises(MailError):
        confirm("A-1", ports(store, mailer))
    assert store.marks == {}
    assert store.notes == [
        ("A-1", Entry("CONFIRMATION_FAILED", NOW, {"reason": "refused by the test"}))
    ]
    mailer.fails = False
    assert confirm("A-1", ports(store, mailer))


def test_an_unmailable_address_is_noted_in_the_timeline_without_the_address() -> None:
    """Earlier contracts accepted such addresses, so existing orders may have them."""
    store, mailer = Store(ORDER._replace(email="a,b@example.com")), Mailer()
    with pytest.raises(UnmailableAddress) as refused:
        confirm("A-1", ports(store, mailer))
    assert (store.marks, mailer.mails) == ({}, [])
    assert store.notes == [
        ("A-1", Entry("CONFIRMATION_FAILED", NOW, {"reason": str(refused.value)}))
    ]
    assert "a,b@example.com" not in str(refused.value)
    assert "PATCH /orders/A-1" in str(refused.value)


def test_an_unknown_order_cannot_be_confirmed() -> None:
    with pytest.raises(OrderNotFound):
        confirm("A-2", ports(Store(ORDER), Mailer()))
