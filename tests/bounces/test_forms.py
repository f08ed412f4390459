"""Reports beyond the standard: whose address failed, what words prove, and what software replies."""

import base64
import time
from collections.abc import Callable
from quopri import encodestring

import pytest

from tests.bounces.world import ADDRESS, NOW_MS, SENT, Kept, dsn, failed, path_of, sent_to, understood
from tests.providers.samples import MARKS
from tocsin.bounces.reader import Incoming
from tocsin.bounces.returned import Result
from tocsin.formats.marks import marked_of

GONE = "550 5.1.1 User unknown"


def plain(
    text: str, subject: str = "Mail delivery failed", sender: str = "MAILER-DAEMON", more: str = ""
) -> bytes:
    """Write a report without a part for machines."""
    head = f"Return-Path: <>\nFrom: {sender} <>\nTo: {path_of()}\nSubject: {subject}\n{more}"
    return f"{head}\n{text}\nX-Tocsin-Mark: {MARKS.of(SENT)}\n".encode()


# --- whose address it is


@pytest.mark.parametrize(
    ("recipient", "result"),
    [
        (ADDRESS, Result.PERMANENT),
        (ADDRESS.upper(), Result.PERMANENT),
        ("member@example.net", Result.TRANSIENT),
        ("ada", Result.PERMANENT),
    ],
)
def test_another_address_alone_is_one_that_ours_forwards_to(recipient: str, result: Result) -> None:
    assert understood(dsn(failed(GONE, recipient=recipient))).result is result


@pytest.mark.parametrize(
    ("actual", "result"),
    [
        ("rfc822; member@example.net", Result.TRANSIENT),
        (f"rfc822; {ADDRESS}", Result.PERMANENT),
        (f"rfc822; {ADDRESS.replace('@', '@mailhost.')}", Result.PERMANENT),
        ("X-Unix; |/usr/bin/filter ada@example.net", Result.PERMANENT),
    ],
)
def test_sendmails_field_for_the_member_of_an_alias_is_read(actual: str, result: Result) -> None:
    assert understood(dsn(failed(GONE, more=f"\nX-Actual-Recipient: {actual}"))).result is result


def test_a_forwarded_address_is_known_too_where_a_lookup_tells_the_user() -> None:
    kept = Kept()
    kept.known = {SENT.message_id: marked_of(SENT)}
    without_mark = "Subject: Gate B12 moved"
    ours, forwarded = (
        dsn(failed(GONE, recipient=recipient), original=without_mark)
        for recipient in (ADDRESS, "member@example.net")
    )
    done = kept.reader().read([Incoming(raw, NOW_MS) for raw in (ours, forwarded)])
    assert [one.returned.result for one in done] == [Result.PERMANENT, Result.TRANSIENT]
    assert [receipt.reason for receipt in kept.receipts] == ["permanent", "transient"]


# --- what a server says


@pytest.mark.parametrize(
    ("said", "status", "result"),
    [
        ("an MX or SRV record indicated no SMTP service", "5.0.0", Result.PERMANENT),
        ("DNS Error: 'mx' lookup of y.example: NOERROR. It returned Null MX", "4.0.0", Result.PERMANENT),
        ("Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)", "", Result.PERMANENT),
        ("No mx record found for domain=y.example", "", Result.PERMANENT),
        ("Illegal host/domain name found", "5.4.4", Result.PERMANENT),
        ("553 5.3.0 <x@y.example>... No such user here", "5.3.0", Result.PERMANENT),
        (
            "Not delivered: the address couldn't be found. Check spaces and try again.",
            "5.0.0",
            Result.PERMANENT,
        ),
        ("Not delivered: the domain y.example couldn't be found.", "5.0.0", Result.PERMANENT),
        ("The address couldn't be found just now, please try again", "5.0.0", Result.TRANSIENT),
        ("550 5.1.1 RCP-P2 Refused due to recipient preferences", "5.1.1", Result.TRANSIENT),
        ("Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 User unknown", "", Result.PERMANENT),
        ("Invalid Address, ERROR_CODE :554, ERROR_CODE :5.7.1 refused", "", Result.TRANSIENT),
        ("Invalid Address, ERROR_CODE :550, ERROR_CODE :mailbox unavailable", "", Result.TRANSIENT),
    ],
)
def test_words_that_prove_an_address_dead_and_words_that_do_not(
    said: str, status: str, result: Result
) -> None:
    assert understood(dsn(failed(said, status))).result is result


# --- text alone


DRAGONFLY = """\
This is the DragonFly Mail Agent v0.13 at mx.example.net.

There was an error delivering your mail to <{address}>.

mx.example.com [192.0.2.1] did not like our RCPT TO:
{said}

{heading}

Subject: {subject}
Content-Type: text/plain"""


@pytest.mark.parametrize(
    "heading", ["Message headers follow.", "Original message follows.", "----- Unsent message follows -----"]
)
@pytest.mark.parametrize(
    ("said", "subject", "result"),
    [
        (GONE, "content blocked by policy", Result.PERMANENT),
        ("550 5.0.0 Refused", "User unknown", Result.TRANSIENT),
    ],
)
def test_the_words_of_a_returned_mail_decide_nothing(
    heading: str, said: str, subject: str, result: Result
) -> None:
    text = DRAGONFLY.format(address=ADDRESS, said=said, heading=heading, subject=subject)
    assert understood(plain(text)).result is result


def test_an_address_in_a_sentence_is_that_of_the_report() -> None:
    text = DRAGONFLY.format(
        address="member@example.net", said=GONE, heading="Message headers follow.", subject=""
    )
    assert understood(plain(text)).result is Result.TRANSIENT


@pytest.mark.parametrize(
    "subject",
    ["failure delivery", "There was an error sending your mail", "=?utf-8?B?6YWN5L+h44Gn44GN44G+44Gb44KT?="],
)
def test_more_subjects_of_bounces_are_known(subject: str) -> None:
    assert understood(plain(f"<{ADDRESS}>:\n{GONE}\n", subject)).result is Result.PERMANENT


def test_a_report_that_has_lost_its_boundary_is_all_text() -> None:
    fields = f"Final-Recipient: rfc822; {ADDRESS}\nAction: failed\nStatus: 5.5.0\n"
    text = f"<{ADDRESS}>: unknown user: ada\n\n{fields}"
    raw = plain(text, more="Content-Type: multipart/report; report-type=delivery-status\n")
    assert understood(raw).result is Result.PERMANENT


# --- replies by machine


DISPOSITION = """\
Return-Path: <>
From: {sender}
To: {to}
Subject: {subject}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="b1"

--b1
Content-Type: text/plain

Your mail of today: no such user reads it.
--b1
Content-Type: message/disposition-notification

Reporting-UA: mx.example.net; Reader 1.0
Final-Recipient: rfc822; {address}
Disposition: {disposition}

--b1--
"""


@pytest.mark.parametrize(
    ("disposition", "result"),
    [
        ("manual-action/MDN-sent-manually; displayed", Result.AUTO_REPLY),
        ("manual-action/MDN-sent-automatically; deleted", Result.AUTO_REPLY),
        ("automatic-action/MDN-sent-automatically; displayed", Result.AUTO_REPLY),
        ("automatic-action/MDN-sent-automatically; deleted", Result.TRANSIENT),
    ],
)
@pytest.mark.parametrize("sender", [ADDRESS, "Postmaster <postmaster@example.com>"])
def test_a_disposition_is_no_bounce_unless_it_refuses_the_mail(
    sender: str, disposition: str, result: Result
) -> None:
    raw = DISPOSITION.format(
        sender=sender, to=path_of(), subject="Re: Gate", address=ADDRESS, disposition=disposition
    )
    assert understood(raw.encode()).result is result


@pytest.mark.parametrize("headers", ["Auto-Submitted: auto-replied (vacation)", "X-Autoreply: yes"])
def test_an_auto_reply_from_the_empty_sender_is_one(headers: str) -> None:
    raw = plain("I am back on Monday.", "Gone fishing", ADDRESS, f"{headers}\n")
    assert understood(raw).result is Result.AUTO_REPLY


# --- addresses beyond ASCII


@pytest.mark.parametrize("spelled", ["utf-8; peĺe@mail.example", r"utf-8; pe\x{13A}e@mail.example"])
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_an_address_beyond_ascii_is_known_in_each_spelling(spelled: str, encoding: str) -> None:
    ours = sent_to("peĺe@mail.example")
    group = f"Final-Recipient: {spelled}\nAction: failed\nStatus: 5.1.1"
    raw = dsn("X: y", to=path_of(ours), original=f"X-Tocsin-Mark: {MARKS.of(ours)}").decode()
    body = f"Reporting-MTA: dns; x\n\n{group}\n"
    written = base64.encodebytes(body.encode()).decode() if encoding == "base64" else body
    head, _, tail = raw.partition("Content-Type: message/delivery-status\n")
    part = (
        f"Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: {encoding}\n\n{written}\n"
    )
    assert understood(f"{head}{part}--b1{tail.partition('--b1')[2]}".encode()).result is Result.PERMANENT


# --- what some servers write otherwise


@pytest.mark.parametrize(
    ("action", "status", "result"),
    [
        ("failure", "5.1.1", Result.PERMANENT),
        ("error", "5.1.2", Result.PERMANENT),
        ("error", "4.2.2", Result.DELAYED),
        ("", "5.1.1", Result.PERMANENT),
    ],
)
def test_an_action_that_no_standard_names_is_told_by_its_status(
    action: str, status: str, result: Result
) -> None:
    group = f"Final-Recipient: rfc822; {ADDRESS}\nAction: {action}\nStatus: {status}"
    assert understood(dsn(group)).result is result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Your message has NOT been delivered: unknown user.", Result.PERMANENT),
        ("Unknown user. It has not been delivered to all of its\nrecipients after 24 hours.", Result.DELAYED),
        ("It has not yet been delivered.", Result.DELAYED),
        ("Invalid final delivery userid: ada", Result.PERMANENT),
        ("Unknown e-mail address", Result.PERMANENT),
    ],
)
def test_a_failure_is_told_from_a_delay(text: str, result: Result) -> None:
    assert understood(plain(text)).result is result


# --- mails that are made to be slow


PATIENCE_S = 30.0
"""Of CPU: each took minutes, and takes less than a second."""


@pytest.mark.parametrize(
    "raw",
    [
        plain("x", subject="=?utf-8?Q?a?= " * 300_000),
        plain("\n \t" * 60_000, more="X-Failed-Recipients: a@b.example\n"),
        plain("x", more='Content-Type: multipart/mixed; a="' + ";" * 400_000 + '"\n'),
    ],
    ids=["encoded words", "blank lines", "parameters"],
)
def test_no_mail_holds_up_those_behind_it(raw: bytes) -> None:
    begun_s = time.process_time()
    understood(raw)
    assert time.process_time() - begun_s < PATIENCE_S


# --- the same report in other clothes


def in_lines_of_cr(raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r")


def without_text(raw: bytes) -> bytes:
    before, _, after = raw.partition(b"--b1\nContent-Type: text/plain")
    return before + b"--b1" + after.partition(b"--b1")[2]


def in_quoted_printable(raw: bytes) -> bytes:
    kind = b"Content-Type: message/delivery-status\n"
    before, _, after = raw.partition(kind)
    part, _, rest = after.partition(b"--b1")
    return (
        before
        + kind
        + b"Content-Transfer-Encoding: quoted-printable\n\n"
        + encodestring(part)
        + b"--b1"
        + rest
    )


def forwarded_by_a_list(raw: bytes) -> bytes:
    head = f"From: list-bounces@lists.example\nTo: {path_of()}\nList-Id: team\nMIME-Version: 1.0\n"
    return head.encode() + b"Content-Type: message/rfc822\n\n" + raw


@pytest.mark.parametrize("dressed", [in_lines_of_cr, without_text, in_quoted_printable, forwarded_by_a_list])
@pytest.mark.parametrize(("said", "result"), [(GONE, Result.PERMANENT), ("552 5.2.2 full", Result.TRANSIENT)])
def test_a_report_is_read_in_other_clothes(
    dressed: Callable[[bytes], bytes], said: str, result: Result
) -> None:
    found = understood(dressed(dsn(failed(said, "5.0.0"))))
    assert (found.result, found.message_id) == (result, SENT.message_id)


def test_a_text_in_iso_2022_jp_is_read() -> None:
    group = f"Final-Recipient: rfc822; {ADDRESS}\nAction: failed\nStatus: 5.0.0"
    text = f"<{ADDRESS}>:\n  550 5.1.1 ユーザ不明".encode("iso-2022-jp")
    raw = dsn(group).replace(b"It did not work.", text).replace(b"charset=utf-8", b"charset=iso-2022-jp")
    assert understood(raw).result is Result.PERMANENT
