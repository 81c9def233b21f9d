"""Mailers send a complete mail, or raise MailError."""

import pytest
from botocore.stub import ANY, Stubber

from kernel.errors import MailError
from lambda_support import aws
from notifications.mail import SandboxMailer, SESMailer, sandbox_mail
from notifications.model import Mail
from storage.sqlite.database import Database

MAIL = Mail(
    message_id="c0ffee00-0000-5000-8000-000000000000",
    sender="orders@example.com",
    recipient="ada@example.com",
    subject="Your order A-1",
    text="first\n",
    html="<p>first\n",
    sent_at=1_770_000_000.0,
)


@pytest.fixture
def sandbox() -> Database:
    return Database(":memory:")


def test_the_sandbox_stores_a_mail_unchanged(sandbox: Database) -> None:
    SandboxMailer(sandbox).send("A-1", MAIL)
    assert sandbox_mail(sandbox, "A-1") == MAIL
    assert sandbox_mail(sandbox, "A-2") is None


def test_a_sandbox_without_a_sent_mail_has_no_mail(sandbox: Database) -> None:
    assert sandbox_mail(sandbox, "A-1") is None


def test_a_mail_of_the_same_name_is_replaced(sandbox: Database) -> None:
    mailer, second = SandboxMailer(sandbox), MAIL._replace(text="second", sent_at=1_770_000_001.0)
    mailer.send("A-1", MAIL)
    mailer.send("A-1", second)
    assert sandbox_mail(sandbox, "A-1") == second
    assert len(sandbox.rows("select * from mail_messages")) == 1


@pytest.mark.parametrize("to", ["ada@bounce.example", "ada@BOUNCE.example"])
def test_the_sandbox_refuses_mail_to_bounce_example(sandbox: Database, to: str) -> None:
    mailer = SandboxMailer(sandbox)
    with pytest.raises(MailError):
        mailer.send("A-1", MAIL._replace(recipient=to))
    assert sandbox_mail(sandbox, "A-1") is None


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> SESMailer:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    aws.client.cache_clear()
    return SESMailer()


def test_ses_gets_the_raw_message(ses: SESMailer) -> None:
    with Stubber(aws.client("sesv2")) as stub:
        stub.add_response(
            "send_email",
            {"MessageId": "1"},
            {
                "FromEmailAddress": "orders@example.com",
                "Destination": {"ToAddresses": ["ada@example.com"]},
                "Content": {"Raw": {"Data": ANY}},
            },
        )
        ses.send("A-1", MAIL)
        stub.assert_no_pending_responses()


def test_ses_is_asked_with_the_timeouts_of_every_service(ses: SESMailer) -> None:
    config = aws.client("sesv2").meta.config
    assert (config.connect_timeout, config.read_timeout) == (aws.CONNECT_TIMEOUT, aws.READ_TIMEOUT)
    assert config.retries["total_max_attempts"] == aws.ATTEMPTS


def test_a_refusal_of_ses_is_a_mail_error(ses: SESMailer) -> None:
    with Stubber(aws.client("sesv2")) as stub:
        stub.add_client_error("send_email", "MessageRejected")
        with pytest.raises(MailError, match="A-1"):
            ses.send("A-1", MAIL)
