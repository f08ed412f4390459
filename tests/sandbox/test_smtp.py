"""The mail server, with aiosmtplib and smtplib as its clients."""

import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import aiosmtplib
import pytest

from tests.sandbox.box import MESSAGE_ID, Box, start
from tests.waiting import PATIENCE_S


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {
        "From": "Fly <fly@example.org>",
        "To": "ada@example.com",
        "Subject": "Gäte change",
        "Date": "Sat, 21 Nov 2026 10:00:00 +0000",
        "Message-ID": f"<{MESSAGE_ID}@example.org>",
    }.items():
        message[name] = value
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Gate 12\n")
    message.add_alternative("<p>Gate <b>12</b></p>", subtype="html")
    return message


@pytest.fixture
def client(box: Box) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", box.smtp_port, timeout=PATIENCE_S) as session:
        yield session


async def test_a_mail_is_taken_and_recorded(box: Box) -> None:
    refused, answer = await aiosmtplib.send(mail(), hostname="127.0.0.1", port=box.smtp_port)
    assert refused == {}
    (record,) = box.send_log()
    assert record["provider_id"] in answer
    assert (record["message_id"], record["recipient"]) == (MESSAGE_ID, "ada@example.com")


def test_our_own_header_names_message_and_user(box: Box, client: smtplib.SMTP) -> None:
    client.send_message(mail(X_Tocsin_Message_Id="f" * 32, X_Tocsin_Tenant="acme", X_Tocsin_User="ada"))
    (record,) = box.send_log()
    assert (record["message_id"], record["user"]) == ("f" * 32, "acme/ada")


def test_the_mail_is_read_as_a_mail_program_does(box: Box, client: smtplib.SMTP) -> None:
    client.send_message(mail(List_Unsubscribe="<https://example.org/u/1>"))
    (message,) = box.sent()
    content = message["content"]
    assert message["title"] == content["subject"] == "Gäte change"
    assert (content["sender"], content["sender_name"]) == ("fly@example.org", "Fly")
    assert content["text"].strip() == "Gate 12"
    assert "<b>12</b>" in content["html"]
    assert ["List-Unsubscribe", "<https://example.org/u/1>"] in content["headers"]
    assert "<b>12</b>" in box.http.get(f"/mail/{message['seq']}").text


def test_several_mails_share_a_connection(box: Box, client: smtplib.SMTP) -> None:
    for _ in range(3):
        client.send_message(mail())
    assert len(box.send_log()) == 3


def test_each_recipient_is_answered_alone(box: Box, client: smtplib.SMTP) -> None:
    to = ["ada@example.com", "bounce+1@example.com", "bob@example.com"]
    refused = client.send_message(mail(), to_addrs=to)
    assert {address: answer[0] for address, answer in refused.items()} == {"bounce+1@example.com": 550}
    assert [record["recipient"] for record in box.send_log()] == ["ada@example.com", "bob@example.com"]
    assert box.sent(status="refused")[0]["code"] == "5.1.1"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "smtp", "stage": "mail", "reply": "530 5.7.0 Authentication required"}, 530),
        ({"kind": "smtp", "stage": "rcpt", "reply": "452 4.2.2 Mailbox full"}, 452),
        ({"kind": "smtp", "stage": "data", "reply": "554 5.7.1 Refused by policy"}, 554),
        ({"kind": "status", "status": 429}, 421),
        ({"kind": "status", "status": 503}, 451),
        ({"kind": "dead_token", "code": "5.2.1"}, 550),
    ],
)
def test_refusals_are_scripted(box: Box, client: smtplib.SMTP, fault: dict[str, str], code: int) -> None:
    box.order(fault, match={"channel": "email"}, count=1)
    with pytest.raises(smtplib.SMTPException) as refused:
        client.send_message(mail())
    assert str(code) in str(refused.value)
    assert box.send_log() == []
    with smtplib.SMTP("127.0.0.1", box.smtp_port, timeout=PATIENCE_S) as again:
        again.send_message(mail())
    assert len(box.send_log()) == 1


@pytest.mark.parametrize(("kind", "recorded"), [("drop_before", 0), ("drop_after", 1)])
def test_the_connection_can_be_cut_at_the_final_dot(
    box: Box, client: smtplib.SMTP, kind: str, recorded: int
) -> None:
    box.order({"kind": kind}, count=1)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        client.send_message(mail())
    assert len(box.send_log()) == recorded
    client.close()


@pytest.mark.parametrize("missing", ["Date", "From", "Message-ID", "Subject", "MIME-Version"])
def test_a_mail_without_a_field_that_must_be_there_is_refused(
    box: Box, client: smtplib.SMTP, missing: str
) -> None:
    message = mail()
    del message[missing]
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("fly@example.org", ["ada@example.com"], message.as_bytes(policy=SMTP))
    assert refused.value.smtp_code == 550
    assert missing.lower() in str(refused.value.smtp_error).lower()
    assert box.send_log() == []


def test_bare_line_feeds_are_refused(box: Box, client: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("fly@example.org", ["ada@example.com"], mail().as_bytes())
    assert b"CRLF" in refused.value.smtp_error
    assert box.send_log() == []


def test_a_bcc_in_the_header_is_refused(client: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPDataError):
        client.sendmail(
            "fly@example.org", ["ada@example.com"], mail(Bcc="eve@example.com").as_bytes(policy=SMTP)
        )


def test_a_login_is_taken_but_not_a_bad_one(client: smtplib.SMTP) -> None:
    assert client.login("user", "secret")[0] == 235


def test_a_bad_login_is_refused(client: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login("user", "bad-secret")
    assert refused.value.smtp_code == 535


def test_mail_needs_a_login_over_tls_where_it_is_asked_for(tmp_path: Path) -> None:
    with start(tmp_path, "--tls", "--smtp-auth") as box:
        context = ssl.create_default_context(cafile=str(tmp_path / "tls-cert.pem"))
        with smtplib.SMTP("127.0.0.1", box.smtp_port, timeout=PATIENCE_S) as client:
            client.starttls(context=context)
            with pytest.raises(smtplib.SMTPResponseException) as refused:
                client.sendmail("fly@example.org", ["ada@example.com"], mail().as_bytes())
            assert refused.value.smtp_code == 530
            client.login("user", "secret")
            client.send_message(mail())
        assert len(box.send_log()) == 1
