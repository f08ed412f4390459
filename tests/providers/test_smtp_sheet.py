"""What RFC 5321, 3463 and the large servers mean by their replies, row by row; and what a login proves."""

import pytest

from tests.providers.certificates import server_tls
from tests.providers.scripted_smtp import SmtpFault
from tests.providers.test_smtp_mail import failed, mailer, post_office
from tocsin.errors import (
    About,
    DeliveryError,
    LimitReached,
    Misconfigured,
    RecipientGone,
    Rejected,
    Transient,
    Unknown,
)

ROWS: list[tuple[str, str, type[DeliveryError]]] = [
    # Addresses that are proven dead
    ("RCPT", "550 5.1.1 no such user", RecipientGone),
    ("RCPT", "551 5.1.6 moved, no forwarding address", RecipientGone),
    ("RCPT", "553 5.1.2 no such domain", RecipientGone),
    ("RCPT", "550 5.1.10 null MX", RecipientGone),
    ("RCPT", "550 5.2.1 mailbox disabled", RecipientGone),
    # 5.1.3 is the spelling: no server of the recipient was asked
    ("RCPT", "553 5.1.3 bad address syntax", Rejected),
    # Policy or content: nothing is suppressed
    ("RCPT", "550 5.7.1 refused by policy", Rejected),
    ("END", "550 5.7.1 refused by policy", Rejected),
    ("END", "550 5.6.0 cannot be converted", Rejected),
    ("END", "552 5.3.4 too big", Rejected),
    ("END", "554 no", Rejected),
    ("RCPT", "550 no", Rejected),
    # A full mailbox passes, also where the code is permanent
    ("RCPT", "552 5.2.2 over quota", Transient),
    ("RCPT", "452 4.2.2 over quota", Transient),
    # Transient
    ("RCPT", "450 4.2.0 greylisted", Transient),
    ("RCPT", "451 4.7.1 try later", Transient),
    ("MAIL", "452 4.3.1 no space", Transient),
    ("MAIL", "421 4.3.2 shutting down", Transient),
    ("END", "421 4.4.2 timeout", Transient),
    ("END", "454 4.7.0 temporary", Transient),
    # The account
    ("MAIL", "530 5.7.0 authentication required", Misconfigured),
    ("MAIL", "550 5.7.60 sender not allowed", Misconfigured),
    ("END", "550 5.7.26 unauthenticated mail", Misconfigured),
    # SES by SMTP
    ("END", "454 Throttling failure: Maximum sending rate exceeded.", LimitReached),
    ("END", "454 Throttling failure: Daily message quota exceeded.", LimitReached),
    ("END", "554 Message rejected: Email address is not verified.", Misconfigured),
    ("RCPT", "553 syntax", Rejected),
    ("END", "552 too long", Rejected),
    ("GREETING", "421 too many concurrent connections", Transient),
]


@pytest.mark.parametrize(
    ("stage", "reply", "kind"), ROWS, ids=[f"{stage} {reply}" for stage, reply, _ in ROWS]
)
async def test_every_row_of_the_sheet(stage: str, reply: str, kind: type[DeliveryError]) -> None:
    assert type(await failed({stage: reply})) is kind


LOGINS: list[tuple[str, type[DeliveryError]]] = [
    ("535 5.7.8 bad credentials", Misconfigured),
    ("534 5.7.9 mechanism too weak", Misconfigured),
    ("538 5.7.11 encryption needed", Misconfigured),
    ("454 4.7.0 temporary authentication failure", Transient),
]


@pytest.mark.parametrize(("reply", "kind"), LOGINS)
async def test_a_login_that_is_refused(reply: str, kind: type[DeliveryError]) -> None:
    context, ca = server_tls()
    account = {"security": "starttls", "username": "u", "password": "p4ssw0rd-s3cret", "ca": ca.decode()}
    server = {"tls": context, "password": "p4ssw0rd-s3cret"}
    assert type(await failed({"AUTH": reply}, server, **account)) is kind
    async with post_office({"AUTH": reply}, server, **account) as (smtp, mail):
        with pytest.raises(kind):
            await mail.verify()
        assert smtp.mails == []


async def test_a_login_is_proven_without_a_mail() -> None:
    context, ca = server_tls()
    account = {"security": "starttls", "username": "u", "password": "p4ssw0rd-s3cret", "ca": ca.decode()}
    server = {"tls": context, "password": "p4ssw0rd-s3cret"}
    async with post_office(None, server, **account) as (smtp, mail):
        assert (await mail.verify()).startswith("the server takes the login")
        assert (smtp.mails, smtp.connections) == ([], 1)


async def test_a_server_without_a_login_says_how_much_it_takes() -> None:
    async with post_office() as (_, mail):
        told = await mail.verify()
    assert told == "the server takes connections without login, and mails of up to 33,554,432 bytes"


async def test_what_cannot_be_reached_is_no_setting() -> None:
    with pytest.raises(Transient):
        await mailer(1).verify()


async def test_cut_before_the_final_dot_is_transient_and_after_it_unknown() -> None:
    assert type(await failed({"DATA": SmtpFault.DROP})) is Transient
    cut = await failed({"END": SmtpFault.DROP})
    assert (type(cut), cut.about) == (Unknown, About.MOMENT)
