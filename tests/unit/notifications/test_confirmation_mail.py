"""A confirmation is a valid mail for any content of the order."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from kernel.errors import UnmailableAddress
from notifications.mime import to_bytes
from notifications.model import Confirmation, OrderedLine, render

CONFIRMATION = Confirmation(
    message_id="c0ffee00-0000-5000-8000-000000000000",
    order_id="A-1",
    currency="EUR",
    total=123_456,
    lines=(OrderedLine("TEA", 12, 10_288),),
    address=("Ada <i>Lovelace</i> & Söhne", "Bath"),
)


def read(recipient: str = "ada@example.com", **changes: object) -> EmailMessage:
    """Render a mail, and parse it like a mail reader."""
    mail = render(CONFIRMATION._replace(**changes), "orders@example.com", recipient, 0.0)  # type: ignore[arg-type]
    parsed = message_from_bytes(to_bytes(mail), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content.replace("\r\n", "\n")


def test_the_headers_are_those_of_an_automatic_mail() -> None:
    mail = read()
    assert dict(mail.items()) == {
        "Content-Type": 'multipart/alternative; boundary="=_c0ffee00-0000-5000-8000-000000000000"',
        "MIME-Version": "1.0",
        "From": "orders@example.com",
        "To": "ada@example.com",
        "Subject": "Your order A-1",
        "Date": "Thu, 01 Jan 1970 00:00:00 -0000",
        "Message-ID": "<c0ffee00-0000-5000-8000-000000000000@example.com>",
        "Auto-Submitted": "auto-generated",
    }
    assert mail.defects == []


def test_lines_end_with_crlf() -> None:
    written = to_bytes(render(CONFIRMATION, "orders@example.com", "ada@example.com", 0.0))
    assert written.count(b"\n") == written.count(b"\r\n") > 0


def test_the_plain_text_has_lines_total_and_address() -> None:
    assert part(read(), "plain") == (
        "Thank you for your order A-1.\n"
        "\n"
        "  12 x TEA  EUR 1234.56\n"
        "  Total     EUR 1234.56\n"
        "\n"
        "We ship it to:\n"
        "\n"
        "  Ada <i>Lovelace</i> & Söhne\n"
        "  Bath\n"
    )


def test_a_customers_text_is_escaped_in_html() -> None:
    html = part(read(), "html")
    assert "Ada &lt;i&gt;Lovelace&lt;/i&gt; &amp; Söhne<br>\nBath" in html
    assert "EUR 1234.56" in html


def test_a_mail_without_an_address_does_not_mention_shipping() -> None:
    mail = read(address=())
    assert "ship" not in part(mail, "plain") + part(mail, "html")


def test_a_domain_outside_ascii_is_written_as_idna() -> None:
    assert read("ada@bücher.example")["To"] == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "recipient",
    ["a,b@example.com", "<a@example.com>", "a..b@example.com", "ä@example.com", "a@-..example"],
)
def test_an_unmailable_address_is_refused(recipient: str) -> None:
    with pytest.raises(UnmailableAddress, match="order A-1") as error:
        read(recipient)
    assert recipient not in str(error.value), "addresses stay out of logs and dead letters"
