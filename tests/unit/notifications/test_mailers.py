"""Mailers hand a mail over whole, or raise MailError."""

from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path

import pytest
from botocore.stub import ANY, Stubber

from notifications.mail import FolderMailer, SESMailer
from shared.errors import MailError


def mail(to: str = "ada@example.com", body: str = "first") -> Message:
    made = Message()
    made["From"], made["To"], made["Subject"] = "orders@example.com", to, "Your order A-1"
    made.set_payload(f"{body}\nline\n")
    return made


def test_the_file_is_an_rfc_5322_message(tmp_path: Path) -> None:
    FolderMailer(tmp_path / "mails").send("A-1", mail())
    written = (tmp_path / "mails" / "A-1.eml").read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") > 0, "lines end in CRLF"
    assert message_from_bytes(written, policy=default)["Subject"] == "Your order A-1"


def test_the_same_name_is_the_same_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path)
    mailer.send("A-1", mail(body="first"))
    mailer.send("A-1", mail(body="second"))
    assert [path.name for path in tmp_path.iterdir()] == ["A-1.eml"]
    assert b"second" in (tmp_path / "A-1.eml").read_bytes()


@pytest.mark.parametrize("to", ["ada@bounce.example", "ada@BOUNCE.example"])
def test_the_sandbox_takes_no_mail_to_bounce_example(tmp_path: Path, to: str) -> None:
    with pytest.raises(MailError):
        FolderMailer(tmp_path).send("A-1", mail(to))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_mail_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MailError, match="outbox"):
        FolderMailer(tmp_path / "file")
    mailer = FolderMailer(tmp_path / "mails")
    (tmp_path / "mails").rmdir()
    with pytest.raises(MailError, match=r"A-1\.eml"):
        mailer.send("A-1", mail())


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> SESMailer:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return SESMailer()


def test_ses_gets_the_raw_message(ses: SESMailer) -> None:
    with Stubber(ses.client) as stub:
        stub.add_response(
            "send_email",
            {"MessageId": "1"},
            {
                "FromEmailAddress": "orders@example.com",
                "Destination": {"ToAddresses": ["ada@example.com"]},
                "Content": {"Raw": {"Data": ANY}},
            },
        )
        ses.send("A-1", mail())
        stub.assert_no_pending_responses()


def test_what_ses_refuses_is_a_mail_error(ses: SESMailer) -> None:
    with Stubber(ses.client) as stub:
        stub.add_client_error("send_email", "MessageRejected")
        with pytest.raises(MailError, match="A-1"):
            ses.send("A-1", mail())
