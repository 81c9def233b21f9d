"""Contracts and mails accept the same e-mail addresses."""

from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernel.email_address import MAX_ADDRESS, to_ascii
from kernel.errors import InvalidEvent, UnmailableAddress
from kernel.events import OrderCreated, OrderUpdated, parse_detail
from notifications.mail import SandboxMailer, sandbox_mail
from notifications.mime import to_bytes
from notifications.model import Confirmation, render
from storage.sqlite.database import Database
from tests.fakes.events import detail

CONFIRMATION = Confirmation("message-1", "A-1", "EUR", 100, (), ())
SPECIAL = "az09AZ.-_+@<>()[],;:\\\"' !#$%&'*/=?^`{|}~\t\r\n\x00\x7fäüßñ\u200b\u00a0。日"
LOCAL_64 = "a" * 64


def label(length: int) -> str:
    return "a" * length


def taken(address: object) -> bool:
    """Return whether both contracts accept an address; they never differ."""
    answers = []
    for contract, name in ((OrderCreated, "Order Created"), (OrderUpdated, "Order Updated")):
        try:
            parse_detail(contract, detail(name, email=address))
            answers.append(True)
        except InvalidEvent as error:
            assert error.field == "detail.email"
            answers.append(False)
    assert len(set(answers)) == 1
    return answers[0]


addresses = st.one_of(
    st.text(SPECIAL, max_size=20),
    st.builds("{}@{}".format, st.text(SPECIAL, max_size=12), st.text(SPECIAL, max_size=12)),
    st.builds(
        "{}@{}.{}".format,
        st.text("ab.+-ü", min_size=1, max_size=70),
        st.text("ab.-üß日_", min_size=1, max_size=70),
        st.text("abc1-ü", min_size=1, max_size=6),
    ),
    st.builds("{}@{}.com".format, st.text(max_size=4), st.text(max_size=4)),
    st.emails(),
)


@given(addresses)
@example("a@müller.de")
@example("o'hara+tag@example.co.uk")
@example("a@ex\u200bample.com")
@example(f"{LOCAL_64}@{label(63)}.{label(63)}.{label(57)}.com")
def test_mail_can_be_sent_to_each_accepted_address(address: str) -> None:
    if not taken(address):
        with pytest.raises(UnmailableAddress) as refused:
            render(CONFIRMATION, "orders@example.com", address, 0.0)
        assert "@" not in address or len(address) < 5 or address not in str(refused.value)
        return
    mail = render(CONFIRMATION, "orders@example.com", address, 0.0)
    written = to_bytes(mail)
    read: Any = message_from_bytes(written, policy=default)
    assert read.defects == []
    [to] = read["To"].addresses
    assert f"{to.username}@{to.domain}" == mail.recipient
    assert mail.recipient.isascii()
    assert len(mail.recipient) <= MAX_ADDRESS
    sandbox = Database(":memory:")
    SandboxMailer(sandbox).send("A-1", mail)
    assert sandbox_mail(sandbox, "A-1") == mail


@pytest.mark.parametrize(
    ("address", "ascii_form"),
    [
        ("ada@example.com", "ada@example.com"),
        ("a+b.c@example.com", "a+b.c@example.com"),
        ("A@müller.de", "A@xn--mller-kva.de"),
        ("a@b.museum", "a@b.museum"),
        ("a@1.2.3.4.com", "a@1.2.3.4.com"),
        (f"{LOCAL_64}@example.com", f"{LOCAL_64}@example.com"),
        (f"a@{label(63)}.com", f"a@{label(63)}.com"),
    ],
)
def test_an_address_is_written_in_ascii(address: str, ascii_form: str) -> None:
    assert to_ascii(address) == ascii_form
    assert taken(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ü@example.com",
        "a,b@example.com",
        "<a@example.com>",
        "Ada <a@example.com>",
        '"ada b"@example.com',
        "a@b..com",
        "a@.b.com",
        "a@b.com.",
        ".a@b.com",
        "a.@b.com",
        "a..b@b.com",
        "a b@b.com",
        " a@b.com",
        "a@b.com ",
        "a@b.com\n",
        "a\x00b@b.com",
        "a\u200bb@b.com",
        "a@b@c.com",
        "a@b_c.com",
        "a@-b.com",
        "a@b-.com",
        "a@[1.2.3.4]",
        "a@1.2.3.4",
        "a@b。com",
        "a@" + "ü" * 60 + ".com",
        f"{LOCAL_64}a@example.com",
        f"a@{label(64)}.com",
        f"{LOCAL_64}@{label(63)}.{label(63)}.{label(58)}.com",
        "a@" + ".".join(["".join(chr(0x4E00 + 97 * n) for n in range(14))] * 7) + ".com",
    ],
)
def test_an_address_that_mail_servers_refuse_is_refused(address: str) -> None:
    assert not taken(address)
    with pytest.raises(UnmailableAddress):
        render(CONFIRMATION, "orders@example.com", address, 0.0)
