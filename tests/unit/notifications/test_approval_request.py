"""The reviewer of an order of high value is asked by mail, once, and a letter asks again."""

import json
from typing import Any

import pytest

from kernel.approval import is_code_of
from kernel.order_record import Change, OrderRecord
from kernel.order_status import Approval, Status
from notifications import approvals
from notifications.approval_mail import Reviewer
from tests.unit.notifications import test_confirm
from tests.unit.notifications.test_confirm import NOW, ORDER, Mailer, ports

REVIEWER = Reviewer("boss@example.com", "https://api.example.com")
UNMAILABLE = Reviewer("a,b@example.com", "")
AWAITED = ORDER._replace(
    status=Status.AWAITING_APPROVAL, approval=Approval.PENDING, approve_by=NOW + 60
)
REQUEST = json.dumps({"order_id": "A-1", "token": "secret"})


class Store(test_confirm.Store):
    """A store in which a token can be saved."""

    def save(self, change: Change) -> OrderRecord:
        self.records[change.after.order_id] = change.after
        return change.after


def take(store: Store, mailer: Mailer, body: str = REQUEST, to: Reviewer = REVIEWER) -> str:
    assert approvals.is_request(body)
    return approvals.take_message(body, to, ports(store, mailer))


def quarantined(store: Store) -> dict[str, Any]:
    [message] = store.outbox
    letter = message.body["body"]
    assert isinstance(letter, dict)
    return letter


def test_the_mail_has_the_link_and_is_sent_once() -> None:
    store, mailer = Store(AWAITED), Mailer()
    assert [take(store, mailer) for _ in range(2)] == ["ASKED", "ASKED_BEFORE"]
    [(name, mail)] = mailer.mails
    assert (name, mail.recipient) == ("A-1#approval", "boss@example.com")
    code = mail.text.partition("code=")[2].split()[0]
    assert is_code_of(store.read("A-1"), code)


def test_a_confirmation_is_no_request() -> None:
    assert not approvals.is_request('{"order_id": "A-1"}')
    assert not approvals.is_request('{"order_id": "token"}')


def test_without_a_reviewer_the_token_is_kept() -> None:
    store, mailer = Store(AWAITED), Mailer()
    assert take(store, mailer, to=Reviewer("", "")) == "NOT_ASKED"
    assert (store.read("A-1").approval_token, mailer.mails) == ("secret", [])


def test_a_task_of_a_decided_order_ends_at_once() -> None:
    store, mailer = Store(AWAITED._replace(approval=Approval.APPROVED)), Mailer()
    assert take(store, mailer) == "DECIDED"
    [message] = store.outbox
    assert (message.kind, message.body["token"]) == ("answer", "secret")
    assert mailer.mails == []


def test_a_reviewers_address_that_takes_no_mail_is_quarantined_without_the_token() -> None:
    store, mailer = Store(AWAITED), Mailer()
    assert take(store, mailer, to=UNMAILABLE) == "QUARANTINED"
    letter = quarantined(store)
    assert "secret" not in json.dumps(letter)
    assert "ApprovalReviewer" in letter["reason"]["message"]
    assert "PATCH" not in letter["reason"]["message"]


def test_a_redriven_letter_asks_the_reviewer_and_confirms_nothing_to_the_customer() -> None:
    store, mailer = Store(AWAITED), Mailer()
    take(store, mailer, to=UNMAILABLE)
    event = json.dumps(quarantined(store)["event"])
    assert take(store, mailer, event) == "ASKED"
    [(_, mail)] = mailer.mails
    assert mail.recipient == "boss@example.com"
    assert is_code_of(store.read("A-1"), mail.text.partition("code=")[2].split()[0])


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.COMPENSATING])
def test_a_letter_of_an_order_that_continued_sends_no_request(status: Status) -> None:
    store, mailer = Store(AWAITED._replace(status=status)), Mailer()
    assert take(store, mailer, '{"order_id": "A-1", "token": null}') == "DECIDED"
    assert (store.outbox, mailer.mails) == ([], [])
