"""SMTP against aiosmtpd: the transaction, every class of the sheet at every stage, and the pool."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from tests.providers.certificates import faulty_tls, server_tls
from tests.providers.samples import CONTENTS, EMAIL, MARKS, leaks, outgoing
from tests.providers.scripted_http import Refusing
from tests.providers.scripted_smtp import Script, ScriptedSmtp, SmtpFault
from tests.waiting import PATIENCE_S, soon
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
from tocsin.formats.return_paths import ReturnPaths, tokens_in
from tocsin.model.content import EmailContent
from tocsin.model.message import Target
from tocsin.model.statuses import Channel
from tocsin.providers.base import Receipt
from tocsin.providers.smtp_mail import MEANINGS, SmtpAccount, SmtpMail
from tocsin.providers.smtp_reading import read_reply, rule_of
from tocsin.providers.smtp_stages import SmtpStage

SECRET = b"the secret of these tests"
PASSWORD = "p4ssw0rd-s3cret"


def mailer(port: int, **fields: Any) -> SmtpMail:
    defaults = {
        "vendor": "smtp",
        "host": "127.0.0.1",
        "port": port,
        "security": "plain",
        "ehlo_name": "client.example",
    }
    return SmtpMail("smtp", SmtpAccount.model_validate(defaults | fields), SECRET)


@asynccontextmanager
async def post_office(
    script: Script | list[Script] | None = None, server: dict[str, Any] | None = None, **fields: Any
) -> AsyncIterator[tuple[ScriptedSmtp, SmtpMail]]:
    async with ScriptedSmtp(script, **(server or {})) as smtp:
        mail = mailer(smtp.port, **fields)
        try:
            yield smtp, mail
        finally:
            await mail.close()


async def failed(script: Script, server: dict[str, Any] | None = None, **fields: Any) -> DeliveryError:
    async with post_office(script, server, **fields) as (_, mail):
        with pytest.raises(DeliveryError) as caught:
            await mail.send(outgoing("email"))
    error = caught.value
    said = f"{error} {error.code} {error!r} {error.__cause__!r} {error.__context__!r}"
    assert not leaks(said)
    assert PASSWORD not in said
    return error


async def test_hands_over_one_mail() -> None:
    async with post_office() as (smtp, mail):
        receipt = await mail.send(outgoing("email"))
        [sent] = smtp.mails
    assert receipt == Receipt("4F2A9C1", "250")
    assert (sent.sender, sent.recipients) == ("flights@example.com", [EMAIL])
    parsed = email.message_from_bytes(sent.content, policy=email.policy.default)
    assert parsed["subject"] == "Gate B12 moved"
    assert parsed["to"] == EMAIL
    assert parsed["x-tocsin-mark"] == MARKS.of(outgoing("email").message)
    assert mail.accepts(outgoing("email").message)
    assert not mail.accepts(outgoing("sms").message)
    assert mail.channel is Channel.EMAIL


def test_its_sessions_bound_the_mails_that_are_out() -> None:
    """A mail that waits for a session could run out of time although the server is well."""
    assert mailer(25, max_connections=4).limits.at_once == 4


async def test_a_repeat_is_the_same_mail_byte_for_byte() -> None:
    async with post_office() as (smtp, mail):
        await mail.send(outgoing("email"))
        await mail.send(outgoing("email"))
        first, second = [sent.content for sent in smtp.mails]
    assert first == second
    assert f"<{outgoing('email').message.message_id}@example.com>".encode() in first


async def test_dots_and_line_ends_arrive_as_they_were() -> None:
    text = ".\n..\n.hidden\nfrom here\n\n" + "x" * 2000 + "\n."
    content = EmailContent(subject="s", text=text, html="", sender="a@example.com")
    async with post_office() as (smtp, mail):
        await mail.send(outgoing("email", content))
        await mail.send(outgoing("email"))
        raw = smtp.mails[0].content
    assert len(smtp.mails) == 2, "no dot ended the mail early"
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed.get_content().replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")


async def test_bounces_can_name_the_mail() -> None:
    async with post_office(return_path="bounce+{message_id}@example.com") as (smtp, mail):
        await mail.send(outgoing("email"))
        assert smtp.mails[0].sender == f"bounce+{outgoing('email').message.message_id}@example.com"


async def test_bounces_come_back_to_an_address_that_only_we_can_write() -> None:
    path = "bounce-{token}@bounces.example.com"
    async with post_office(return_path=path) as (smtp, mail):
        await mail.send(outgoing("email"))
        await mail.send(outgoing("email"))
    first, second = [sent.sender for sent in smtp.mails]
    assert first == second, "a repeat has the same return path"
    (token,) = tokens_in(first)
    found = ReturnPaths(SECRET).read(token)
    assert found
    assert found.message_id == outgoing("email").message.message_id
    assert first == path.replace("{token}", token)
    assert len(first.partition("@")[0]) <= 64


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("bounce-to-{token}@example.com", "there is room for 9"),
        ("bounce-{token}", "must be an address like"),
        ("bounce-{tokn}@example.com", "must be an address like"),
        ("bounce {token}@example.com", "must be an address like"),
    ],
)
def test_a_return_path_that_no_server_takes_is_a_mistake(path: str, cure: str) -> None:
    with pytest.raises(ValidationError, match=cure):
        mailer(25, return_path=path)


# --- encryption and login


async def test_starttls_and_login() -> None:
    context, root = server_tls()
    server = {"tls": context, "password": PASSWORD, "auth_required": True}
    login = {"username": "me", "password": PASSWORD, "security": "starttls", "ca": root.decode()}
    async with post_office(None, server, **login) as (smtp, mail):
        await mail.send(outgoing("email"))
        assert smtp.mails[0].encrypted
        assert smtp.mails[0].login == "me"


async def test_tls_from_the_first_byte() -> None:
    context, root = server_tls()
    server = {"tls": context, "implicit": True, "password": PASSWORD, "auth_require_tls": False}
    login = {"username": "me", "password": PASSWORD, "security": "tls", "ca": root.decode()}
    async with post_office(None, server, **login) as (smtp, mail):
        await mail.send(outgoing("email"))
        assert smtp.mails[0].encrypted


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_nobody_vouches_for_is_configuration(security: str) -> None:
    context, _ = server_tls()
    error = await failed({}, {"tls": context, "implicit": security == "tls"}, security=security)
    assert (type(error), error.code) == (Misconfigured, "certificate")
    assert str(error).startswith("certificate of 127.0.0.1: ")


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_common_name_is_no_name_of_the_server(security: str) -> None:
    context, root = faulty_tls("common name only")
    server = {"tls": context, "implicit": security == "tls"}
    error = await failed({}, server, security=security, ca=root.decode(), host="localhost")
    assert (type(error), error.code) == (Misconfigured, "certificate")


async def test_a_port_without_tls_is_told_as_one() -> None:
    error = await failed({}, {}, security="tls")
    assert (type(error), error.code) == (Misconfigured, "tls")
    assert "does not speak TLS on this port" in str(error)


async def test_without_starttls_no_mail_and_no_password_leaves() -> None:
    async with post_office(security="starttls", username="me", password=PASSWORD) as (smtp, mail):
        with pytest.raises(Misconfigured):
            await mail.send(outgoing("email"))
        assert set(smtp.commands) <= {"GREETING", "EHLO"}


async def test_a_wrong_password_is_configuration() -> None:
    context, root = server_tls()
    server = {"tls": context, "password": PASSWORD}
    error = await failed({}, server, security="starttls", username="me", password="wrong", ca=root.decode())
    assert (type(error), error.code) == (Misconfigured, "5.7.8")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("454 4.7.0 Temporary authentication failure", Transient),
        ("534 5.7.9 too weak", Misconfigured),
        ("550 5.7.1 account suspended", Misconfigured),
        ("504 5.7.4 Unrecognized authentication type", Misconfigured),
    ],
)
async def test_answers_to_auth(answer: str, kind: type[DeliveryError]) -> None:
    context, root = server_tls()
    login = {"security": "starttls", "username": "me", "password": PASSWORD, "ca": root.decode()}
    assert type(await failed({"AUTH": answer}, {"tls": context, "password": PASSWORD}, **login)) is kind


def test_no_login_in_clear() -> None:
    with pytest.raises(ValidationError, match="in clear"):
        mailer(25, username="me", password=PASSWORD)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("plain", 25)])
def test_the_usual_ports(security: str, port: int) -> None:
    account = SmtpAccount.model_validate({"vendor": "smtp", "host": "mail.example.com", "security": security})
    assert account.policy().port == port


# --- classes

ANSWERS: list[tuple[str, str, type[DeliveryError], str]] = [
    # the address
    ("RCPT", f"550 5.1.1 <{EMAIL}>: user unknown", RecipientGone, "5.1.1"),
    ("RCPT", "550 5.1.2 no such domain", RecipientGone, "5.1.2"),
    ("RCPT", "553 5.1.3 bad syntax", Rejected, "5.1.3"),
    ("RCPT", "551 5.1.6 moved", RecipientGone, "5.1.6"),
    ("RCPT", "550 5.1.10 null MX", RecipientGone, "5.1.10"),
    ("RCPT", "550 5.2.1 mailbox disabled", RecipientGone, "5.2.1"),
    ("RCPT", "550 5.2.1 not now", Rejected, "5.2.1"),
    ("RCPT", "550 No such user here", Rejected, "550"),
    # policy and content
    ("RCPT", "550 5.7.1 refused", Rejected, "5.7.1"),
    ("DATA", "554 5.7.1 refused", Rejected, "5.7.1"),
    ("END", "550 5.7.26 unauthenticated mail", Misconfigured, "5.7.26"),
    ("END", "554 5.6.0 malformed", Rejected, "5.6.0"),
    ("END", "554 transaction failed", Rejected, "554"),
    ("MAIL", "552 5.3.4 too big", Rejected, "5.3.4"),
    ("MAIL", "552 too big", Rejected, "552"),
    ("DATA", "554 no valid recipients", Rejected, "554"),
    ("END", "550 5.1.1 late", Rejected, "5.1.1"),
    # a full mailbox passes, also when called permanent
    ("RCPT", "552 5.2.2 mailbox full", Transient, "5.2.2"),
    ("END", "552 5.2.2 mailbox full", Transient, "5.2.2"),
    ("RCPT", "452 4.2.2 mailbox full", Transient, "4.2.2"),
    # later
    ("RCPT", "450 4.2.0 greylisted", Transient, "4.2.0"),
    ("RCPT", "451 4.7.1 try again", Transient, "4.7.1"),
    ("MAIL", "452 too many", Transient, "452"),
    ("DATA", "451 busy", Transient, "451"),
    ("END", "451 4.3.0 queue down", Transient, "4.3.0"),
    ("END", "421 4.3.2 shutting down", Transient, "4.3.2"),
    ("MAIL", "454 Throttling failure: Maximum sending rate exceeded.", LimitReached, "454"),
    ("GREETING", "421 too many connections", Transient, "421"),
    # configuration
    ("GREETING", "554 no service for you", Misconfigured, "554"),
    ("EHLO", "550 who are you", Misconfigured, "550"),
    ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", Misconfigured, "5.7.0"),
    ("MAIL", "550 5.7.60 client may not send as this sender", Misconfigured, "5.7.60"),
    ("RCPT", "530 5.7.1 Authentication required", Misconfigured, "5.7.1"),
    ("MAIL", "501 bad sender", Misconfigured, "501"),
    ("GREETING", "554 5.7.1 Service unavailable; client host [192.0.2.1] blocked", Misconfigured, "5.7.1"),
    ("EHLO", "550 5.7.1 go away", Misconfigured, "5.7.1"),
    ("MAIL", "550 5.7.1 Sender address rejected: not owned by user", Misconfigured, "5.7.1"),
    ("MAIL", "553 5.7.1 Sender address rejected: not logged in", Misconfigured, "5.7.1"),
    ("MAIL", "550 5.6.7 sender not permitted", Misconfigured, "5.6.7"),
    ("END", "554 Message rejected: Email address is not verified.", Misconfigured, "554"),
]


@pytest.mark.parametrize(("stage", "answer", "kind", "code"), ANSWERS)
async def test_answers(stage: str, answer: str, kind: type[DeliveryError], code: str) -> None:
    error = await failed({stage: answer})
    assert (type(error), error.code) == (kind, code)


async def test_exim_s_receipt_has_its_message_id() -> None:
    async with post_office({"END": "250 OK id=1xX8oK-0000000000-1abc"}) as (_, mail):
        assert (await mail.send(outgoing("email"))).provider_message_id == "1xX8oK-0000000000-1abc"


async def test_a_quoted_local_part_is_an_address() -> None:
    async with post_office() as (smtp, mail):
        await mail.send(outgoing("email", target=Target('"a  b"@example.org')))
        assert "RCPT" in smtp.commands
        assert smtp.mails[0].recipients == ['"a  b"@example.org']
        assert email.message_from_bytes(smtp.mails[0].content)["to"] == '"a  b"@example.org'


async def test_a_limit_of_the_account_waits_for_hours_and_tries_another_account() -> None:
    error = await failed({"RCPT": "550 5.4.5 Daily user sending limit exceeded"})
    assert (type(error), error.failover, error.permanent) == (LimitReached, True, False)
    assert error.retry_after_s == 14_400
    hourly = await failed(
        {"END": "554 5.7.0 The limit on the number of allowed outgoing messages was exceeded"}
    )
    assert (type(hourly), hourly.retry_after_s) == (LimitReached, 3_600)


async def test_what_one_destination_holds_against_our_server_closes_no_account() -> None:
    said = "undeliverable address: host mx.example said: 550 5.7.1 blocked (in reply to RCPT TO command)"
    error = await failed({"RCPT": f"550 5.1.1 <{EMAIL}>: Recipient address rejected: {said}"})
    assert (type(error), error.about, error.code) == (Misconfigured, About.MESSAGE, "5.7.1")


async def test_greylisting_asks_for_minutes() -> None:
    assert (await failed({"RCPT": "450 4.2.0 greylisted"})).retry_after_s == 300
    assert (await failed({"RCPT": "451 4.7.1 later"})).retry_after_s is None


@pytest.mark.parametrize("fault", list(SmtpFault))
@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_cut_before_the_final_dot_is_transient(stage: str, fault: SmtpFault) -> None:
    error = await failed({stage: fault}, timeout_s=0.5, connect_timeout_s=0.3)
    assert type(error) is Transient


@pytest.mark.parametrize("fault", list(SmtpFault))
async def test_a_cut_after_the_final_dot_is_unknown(fault: SmtpFault) -> None:
    timeout_s = 1.5 if fault is SmtpFault.HANG else PATIENCE_S
    async with post_office({"END": fault}, timeout_s=timeout_s) as (smtp, mail):
        with pytest.raises(Unknown):
            await mail.send(outgoing("email"))
        assert len(smtp.mails) == 1


@pytest.mark.parametrize("full", [False, True])
async def test_no_server_is_transient(full: bool) -> None:
    with Refusing(full=full) as url:
        mail = mailer(int(url.rpartition(":")[2]), connect_timeout_s=0.3)
        with pytest.raises(Transient):
            await mail.send(outgoing("email"))


@pytest.mark.parametrize("answer", ["hello", "999 what", "25", "250-never\r\n250-ending"])
async def test_no_smtp_at_all_is_an_error_of_ours_all_the_same(answer: str) -> None:
    assert isinstance(await failed({"MAIL": answer}, timeout_s=0.5), DeliveryError)


@pytest.mark.parametrize("stage", [each for each in SmtpStage if each is not SmtpStage.REPORT])
def test_every_code_has_a_verdict(stage: SmtpStage) -> None:
    for code in range(100, 600):
        for status in ("", "5.1.1 x", "4.2.2 x", "5.7.1 x", "5.0.0 x"):
            kind = MEANINGS[rule_of(read_reply(stage, code, status)).verdict].error
            assert kind in (Transient, Rejected, RecipientGone, Misconfigured)
            assert kind is not RecipientGone or stage is SmtpStage.RCPT
            assert kind is Transient or code >= 500


# --- sizes and addresses


async def test_the_server_s_size_is_kept() -> None:
    async with post_office(None, {"data_size_limit": 500}) as (smtp, mail):
        with pytest.raises(Rejected) as caught:
            await mail.send(outgoing("email"))
        assert caught.value.code == "too_large"
        assert "MAIL" not in smtp.commands


async def test_our_own_limit_is_kept() -> None:
    async with post_office() as (smtp, mail):
        mail.limits = msgspec.structs.replace(mail.limits, max_bytes=100)
        with pytest.raises(Rejected):
            await mail.send(outgoing("email"))
        assert smtp.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        "a b@example.com",
        "x@y@z",
        "",
        "plain",
        "a@b>\r\nRCPT TO:<c@d",
        "<a@b>",
        "a@b\x00c",
        f"{'a' * 500}@b.c",
    ],
)
async def test_an_address_that_is_none_reaches_no_server(address: str) -> None:
    async with post_office() as (smtp, mail):
        with pytest.raises(Rejected) as caught:
            await mail.send(outgoing("email", target=Target(address)))
        assert caught.value.code == "5.1.3"
        assert not address or address not in str(caught.value)
        assert smtp.connections == 0


async def test_a_domain_beyond_ascii_is_written_in_ascii() -> None:
    async with post_office() as (smtp, mail):
        for domain in ("bücher", "straße", "βόλος"):
            await mail.send(outgoing("email", target=Target(f"ada@{domain}.example")))
        written = [mail.recipients for mail in smtp.mails]
        assert written == [[f"ada@xn--{x}.example"] for x in ("bcher-kva", "strae-oqa", "nxasmm1c")]
        assert "SMTPUTF8" not in smtp.mails[0].options


@pytest.mark.parametrize("offered", [False, True])
async def test_a_local_part_beyond_ascii_needs_smtputf8(offered: bool) -> None:
    async with post_office(None, {"enable_SMTPUTF8": offered}) as (smtp, mail):
        message = outgoing("email", target=Target("ädä@example.com"))
        if not offered:
            with pytest.raises(
                Rejected, match=r"not ASCII before its @, and the server offers no SMTPUTF8; use one"
            ):
                await mail.send(message)
            assert smtp.mails == []
            return
        await mail.send(message)
        assert smtp.mails[0].recipients == ["ädä@example.com"]
        assert "SMTPUTF8" in smtp.mails[0].options


async def test_content_of_another_channel_is_refused() -> None:
    async with post_office() as (smtp, mail):
        with pytest.raises(Rejected):
            await mail.send(outgoing("email", CONTENTS["sms"]))
        assert smtp.connections == 0


# --- the pool


async def test_one_connection_carries_many_mails() -> None:
    async with post_office() as (smtp, mail):
        for _ in range(5):
            await mail.send(outgoing("email"))
        assert (smtp.connections, len(smtp.mails)) == (1, 5)
        assert smtp.commands.count("RSET") == 4


async def test_a_refusal_leaves_the_connection_usable() -> None:
    async with post_office([{"RCPT": "550 5.1.1 unknown"}]) as (smtp, mail):
        for _ in range(3):
            with pytest.raises(RecipientGone):
                await mail.send(outgoing("email"))
        assert smtp.connections == 1


async def test_a_connection_ends_after_its_share_of_mails() -> None:
    async with post_office() as (smtp, mail):
        for _ in range(101):
            await mail.send(outgoing("email"))
        assert smtp.connections == 2


async def test_a_connection_that_went_stale_is_replaced_before_the_mail() -> None:
    async with post_office([{"RSET": SmtpFault.DROP}, {}]) as (smtp, mail):
        await mail.send(outgoing("email"))
        assert (await mail.send(outgoing("email"))).code == "250"
        assert (smtp.connections, len(smtp.mails)) == (2, 2)


async def test_a_connection_the_server_closed_is_replaced() -> None:
    async with post_office() as (smtp, mail):
        await mail.send(outgoing("email"))
        for transport in list(smtp.open):
            transport.close()
        await soon(lambda: not smtp.open)
        await asyncio.sleep(0.05)
        await mail.send(outgoing("email"))
        assert (smtp.connections, len(smtp.mails)) == (2, 2)


async def test_no_more_connections_than_allowed() -> None:
    async with post_office(max_connections=3) as (smtp, mail):
        await asyncio.gather(*[mail.send(outgoing("email")) for _ in range(30)])
        assert smtp.connections <= 3
        assert len(smtp.mails) == 30


async def test_waiting_for_a_connection_has_an_end() -> None:
    async with post_office({"MAIL": SmtpFault.HANG}, max_connections=1, timeout_s=0.4) as (_, mail):
        results = await asyncio.gather(
            *[mail.send(outgoing("email")) for _ in range(4)], return_exceptions=True
        )
        assert {type(each) for each in results} == {Transient}


async def test_a_cancelled_send_gives_its_slot_back_and_not_its_connection() -> None:
    async with post_office([{"MAIL": SmtpFault.HANG}, {}], max_connections=1) as (smtp, mail):
        call = asyncio.ensure_future(mail.send(outgoing("email")))
        await soon(lambda: "MAIL" in smtp.commands)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await soon(lambda: not smtp.open, "the end of a connection whose next answer nobody knows")
        await mail.send(outgoing("email"))
        assert (smtp.connections, len(smtp.mails)) == (2, 1)
