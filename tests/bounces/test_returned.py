"""What a mail that came back means: whom it is believed of, and what each kind of it does."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bounces.world import (
    ADDRESS,
    KEYS,
    NOW_MS,
    PATHS,
    SENT,
    dsn,
    failed,
    path_of,
    sent_to,
    understood,
)
from tests.providers.samples import MARKS, message
from tocsin.bounces.mail import MAX_BYTES, MAX_PARAMETERS, MAX_PARTS
from tocsin.bounces.returned import Result
from tocsin.decision.receipts import PERMANENT, RECEIPTS, Blocks
from tocsin.formats.marks import Marks
from tocsin.formats.return_paths import DAY_MS, ReturnPaths
from tocsin.model.ids import digest, target_id
from tocsin.providers.smtp_replies import Verdict

GONE = failed("550 5.1.1 User unknown", "5.1.1")


# --- belief


def test_a_bounce_is_a_receipt_with_the_ids_of_its_message() -> None:
    found = understood(dsn(GONE))
    assert found.named
    receipt = found.receipt(found.named)
    assert (receipt.tenant, receipt.user, receipt.message_id) == (SENT.tenant, SENT.user, SENT.message_id)
    assert (receipt.kind, receipt.reason, receipt.code) == ("bounced", "permanent", "5.1.1")
    assert (receipt.target, receipt.channel) == (target_id(ADDRESS), "email")
    assert receipt.at_ms == NOW_MS - 3_600_000 + 400_000, "the time of the report"
    assert RECEIPTS[receipt.kind].blocks is Blocks.IF_PERMANENT
    assert receipt.reason in PERMANENT


def test_a_second_reading_and_another_report_of_the_same_change_nothing() -> None:
    first, second = (
        understood(dsn(GONE)),
        understood(dsn(GONE, text="in other words"), received_ms=NOW_MS + 1),
    )
    assert first.named
    assert first.receipt(first.named) == second.receipt(first.named)


def test_the_envelope_is_believed_before_the_text() -> None:
    other = message("email", message_id=digest("other"))
    found = understood(dsn(GONE, to=path_of(other)))
    assert found.message_id == other.message_id
    assert found.named is None, "the mark that it quotes is of another message"


@pytest.mark.parametrize(
    ("forged", "result"),
    [
        (ReturnPaths(b"the secret of a stranger").token(SENT.message_id, SENT.decided_ms), Result.FORGED),
        ("a" * 55, Result.FORGED),
        ("ada", Result.NO_TOKEN),
    ],
)
def test_what_does_not_carry_our_token_changes_nothing(forged: str, result: Result) -> None:
    raw = dsn(GONE, to=f"bounce-{forged}@bounces.example.com", original="Subject: nothing of ours")
    assert understood(raw).result is result
    mark = Marks(b"the secret of a stranger").of(SENT)
    raw = dsn(GONE, to="x@bounces.example.com", original=f"X-Tocsin-Mark: {mark}")
    assert understood(raw).result is Result.FORGED


def test_a_token_that_is_too_old_is_not_believed() -> None:
    keys = KEYS._replace(days=60)
    assert understood(dsn(GONE), keys, SENT.decided_ms + 60 * DAY_MS).result is Result.PERMANENT
    assert understood(dsn(GONE), keys, SENT.decided_ms + 62 * DAY_MS).result is Result.EXPIRED


def test_a_token_survives_servers_that_shout_and_forwarders_that_rewrite() -> None:
    token = PATHS.token(SENT.message_id, SENT.decided_ms).upper()
    for to in (
        f"BOUNCE-{token}@BOUNCES.EXAMPLE.COM",
        f"srs0=x=y=bounces.example.com=bounce-{token}@f.example",
    ):
        assert understood(dsn(GONE, to=to)).result is Result.PERMANENT


def test_the_time_of_a_report_is_never_later_than_its_arrival() -> None:
    raw = dsn(GONE).replace(b"14 Nov 2023", b"14 Nov 2033")
    assert understood(raw).at_ms == NOW_MS
    assert understood(dsn(GONE).replace(b"Date:", b"X-Date:")).at_ms == NOW_MS


# --- what reports say


@pytest.mark.parametrize(
    ("said", "status", "verdict"),
    [
        ("550 5.1.1 User unknown", "5.0.0", Verdict.GONE),
        ("550-5.1.1 The email account does\n 550 5.1.1 not exist", "5.0.0", Verdict.GONE),
        ("550 Unknown user", "5.0.0", Verdict.GONE),
        ("550 No such user here", "5.1.1", Verdict.GONE),
        ("550 Invalid recipient: <x@y.example>", "5.0.0", Verdict.GONE),
        ("550 Requested action not taken: mailbox unavailable", "5.1.1", Verdict.REFUSED),
        ("550 permanent failure for one or more recipients (x@y.example:blocked)", "5.1.1", Verdict.REFUSED),
        ("552 5.2.2 Mailbox full", "5.1.1", Verdict.RECIPIENT_LATER),
        ("550 mailbox is full", "5.0.0", Verdict.RECIPIENT_LATER),
        ("550 5.7.1 blocked by policy", "5.1.1", Verdict.REFUSED),
        ("554 5.7.1 Client host [192.0.2.1] blocked using rbl.example", "5.7.1", Verdict.ACCOUNT),
        ("550 5.1.1 user unknown: directory lookup failed", "5.1.1", Verdict.REFUSED),
        ("550 Unknown user (LDAP lookup failed)", "5.0.0", Verdict.REFUSED),
        ("451 4.7.1 Greylisted", "4.7.1", Verdict.RECIPIENT_LATER),
        ("550 Greylisted, retry later", "5.0.0", Verdict.RECIPIENT_LATER),
        ("554 5.7.1 Relay access denied", "5.7.1", Verdict.ACCOUNT),
        ("552 5.3.4 Message too big", "5.3.4", Verdict.CONTENT),
        ("421 4.3.2 busy", "5.0.0", Verdict.SERVER_LATER),
        ("550 4.4.7 QUEUE.Expired; message expired", "4.4.7", Verdict.RECIPIENT_LATER),
        ("host mx.example said: 550 5.1.1 No such user (in reply to RCPT TO command)", "5.0.0", Verdict.GONE),
        (
            "host mx.example said: 452 4.2.2 full (in reply to RCPT TO command)",
            "5.0.0",
            Verdict.RECIPIENT_LATER,
        ),
        ("DNS Error: DNS type 'mx' lookup of y.example responded with code NXDOMAIN", "4.0.0", Verdict.GONE),
        ('unknown user: "ada"', "5.1.1", Verdict.GONE),
        (
            "Host or domain name not found. Name service error for name=y.example type=A: Host not found",
            "5.4.4",
            Verdict.GONE,
        ),
        (
            "Host or domain name not found. Name service error for name=y: Host not found, try again",
            "4.4.3",
            Verdict.RECIPIENT_LATER,
        ),
        ("something that nobody has seen", "5.0.0", Verdict.REFUSED),
        ("mail for y.example loops back to myself", "5.4.6", Verdict.REFUSED),
    ],
)
def test_the_last_servers_words_decide(said: str, status: str, verdict: Verdict) -> None:
    found = understood(dsn(failed(said, status)))
    assert found.verdict is verdict
    assert found.result is (Result.PERMANENT if verdict is Verdict.GONE else Result.TRANSIENT)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("5.1.1", Result.PERMANENT),
        ("5.1.2", Result.PERMANENT),
        ("5.2.2", Result.TRANSIENT),
        ("5.0.0", Result.TRANSIENT),
        ("5.7.1", Result.TRANSIENT),
        ("4.4.7", Result.TRANSIENT),
    ],
)
def test_without_words_the_status_decides(status: str, result: Result) -> None:
    group = f"Final-Recipient: rfc822;{ADDRESS}\nAction: failed\nStatus: {status} (whatever)"
    assert understood(dsn(group, text="Votre message n'a pas été remis.")).result is result


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("delayed", Result.DELAYED),
        ("Delayed (will retry)", Result.DELAYED),
        ("relayed", Result.DELAYED),
        ("expanded", Result.DELAYED),
        ("delivered", Result.DELIVERED),
        ("failed", Result.PERMANENT),
    ],
)
def test_each_action(action: str, result: Result) -> None:
    group = f"Final-Recipient: rfc822;{ADDRESS}\nAction: {action}\nStatus: 5.1.1"
    found = understood(dsn(group))
    assert found.result is result
    assert found.kind == {Result.DELIVERED: "delivered", Result.PERMANENT: "bounced"}.get(result, "")


# --- several recipients


OTHERS = [failed("550 5.1.1 User unknown", "5.1.1", f"other{n}@example.com") for n in range(3)]
FULL = failed("552 5.2.2 full", "5.2.2")


def test_of_several_recipients_ours_counts() -> None:
    assert understood(dsn(OTHERS[0], FULL, OTHERS[1])).result is Result.TRANSIENT
    full_of_another = failed("552 5.2.2 full", "5.2.2", "other@example.com")
    assert understood(dsn(full_of_another, GONE)).result is Result.PERMANENT


def test_an_alias_is_not_dead_with_its_members() -> None:
    assert understood(dsn(*OTHERS)).result is Result.TRANSIENT
    forwarded = GONE.replace(ADDRESS, "member@example.net") + f"\nOriginal-Recipient: rfc822;{ADDRESS}"
    assert understood(dsn(forwarded)).result is Result.TRANSIENT
    its_own = GONE + f"\nOriginal-Recipient: rfc822;{ADDRESS}"
    assert understood(dsn(its_own)).result is Result.PERMANENT


@given(st.permutations([GONE, FULL, *OTHERS[:1]]))
def test_the_order_of_recipients_does_not_matter(groups: list[str]) -> None:
    assert understood(dsn(*groups)).result is Result.TRANSIENT


# --- spellings of the machine's part


def test_a_part_that_is_encoded_is_read() -> None:
    group = base64.encodebytes(f"Reporting-MTA: dns; x\n\n{GONE}\n".encode()).decode()
    raw = dsn("X: y").decode()
    head, _, tail = raw.partition("Content-Type: message/delivery-status\n")
    rest = tail.partition("--b1")[2]
    kind = "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64"
    encoded = f"{head}{kind}\n\n{group}\n--b1{rest}"
    assert understood(encoded.encode()).result is Result.PERMANENT


def test_an_internationalized_report_is_read() -> None:
    group = GONE.replace("rfc822;", "utf-8;")
    raw = dsn(group).replace(b"message/delivery-status", b"message/global-delivery-status")
    raw = raw.replace(b"text/rfc822-headers", b"message/global-headers")
    assert understood(raw).result is Result.PERMANENT


BROKEN = """\
From: MAILER-DAEMON@mx.example.net
To: {to}
Subject: =?iso-8859-1?Q?Unzustellbar=3A_Gate_B12?=
Content-Type: {kind}

Delivery has failed.

Reporting-MTA: dns; mx.example.net

{group}

X-Tocsin-Mark: {mark}
"""


@pytest.mark.parametrize(
    "kind", ['multipart/report; report-type="delivery-status"; boundary="lost"', "text/plain"]
)
def test_fields_outside_a_part_of_their_own_are_read(kind: str) -> None:
    raw = BROKEN.format(to=path_of(), kind=kind, group=GONE, mark=MARKS.of(SENT))
    assert understood(raw.encode()).result is Result.PERMANENT
    from_a_person = raw.replace("MAILER-DAEMON", "ada").replace(kind, "text/plain")
    assert understood(from_a_person.encode()).kind == ""


def test_a_transcript_of_sendmail_is_read_where_the_fields_give_no_reason() -> None:
    group = f"Final-Recipient: RFC822; {ADDRESS}\nAction: failed\nStatus: 5.0.0"
    text = f"""The original message was received from app.example.com

   ----- The following addresses had permanent fatal errors -----
<{ADDRESS}>

   ----- Transcript of session follows -----
... while talking to mx.example.com.:
>>> RCPT To:<{ADDRESS}>
<<< 550 5.1.1 <{ADDRESS}>... User unknown
550 <{ADDRESS}>... User unknown"""
    assert understood(dsn(group, text=text)).result is Result.PERMANENT
    full = text.replace("550 5.1.1", "552 5.2.2").replace("User unknown", "Mailbox full")
    assert understood(dsn(group, text=full)).result is Result.TRANSIENT


GMAIL = """\
Return-Path: <>
X-Failed-Recipients: {address}
Auto-Submitted: auto-replied
From: Mail Delivery Subsystem <mailer-daemon@googlemail.example>
To: {to}
Subject: Delivery Status Notification ({subject})
Date: Tue, 14 Nov 2023 14:20:00 -0800 (PST)
MIME-Version: 1.0
Content-Type: multipart/report; boundary="outer"; report-type=delivery-status

--outer
Content-Type: multipart/related; boundary="middle"

--middle
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: base64

KiogVGhlIG1lc3NhZ2Ugd2FzIG5vdCBkZWxpdmVyZWQgKioK
--inner
Content-Type: text/html; charset="UTF-8"

<html><body>not delivered</body></html>
--inner--
--middle
Content-Type: image/png; name="icon.png"
Content-Disposition: attachment; filename="icon.png"
Content-Transfer-Encoding: base64
Content-ID: <icon.png>

iVBORw0KGgo=
--middle--
--outer
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.example
Received-From-MTA: dns; flights@example.com
Arrival-Date: Tue, 14 Nov 2023 14:19:00 -0800 (PST)

Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.example.net. (192.0.2.1, the server for the domain example.net.)
Diagnostic-Code: smtp; {said}
Last-Attempt-Date: Tue, 14 Nov 2023 14:20:00 -0800 (PST)

--outer
Content-Type: message/rfc822

X-Tocsin-Mark: {mark}
Subject: Gate B12 moved

wherefore
--outer--
"""


@pytest.mark.parametrize(
    ("action", "status", "said", "result"),
    [
        (
            "failed",
            "5.1.1",
            "550-5.1.1 The email account that you tried to reach does not exist. Please try\n "
            "550-5.1.1 double-checking the recipient's address for typos or\n 550 5.1.1 unnecessary spaces.",
            Result.PERMANENT,
        ),
        (
            "failed",
            "5.2.2",
            "552-5.2.2 The recipient's inbox is out of storage space. Direct the\n 552 5.2.2 recipient",
            Result.TRANSIENT,
        ),
        (
            "failed",
            "5.7.1",
            "550-5.7.1 Our system has detected that this message is\n 550 5.7.1 spam",
            Result.TRANSIENT,
        ),
        ("delayed", "4.4.1", "The recipient server did not accept our requests to connect.", Result.DELAYED),
        ("failed", "4.4.1", "The recipient server did not accept our requests to connect.", Result.TRANSIENT),
        (
            "failed",
            "4.0.0",
            "DNS Error: DNS type 'mx' lookup of x responded with code NXDOMAIN",
            Result.PERMANENT,
        ),
    ],
)
def test_gmails_form(action: str, status: str, said: str, result: Result) -> None:
    raw = GMAIL.format(
        address=ADDRESS,
        to=path_of(),
        subject="Delay" if action == "delayed" else "Failure",
        action=action,
        status=status,
        said=said,
        mark=MARKS.of(SENT),
    )
    assert understood(raw.encode()).result is result


EXCHANGE = """\
MIME-Version: 1.0
From: "Microsoft Outlook" <postmaster@example.net>
To: <{to}>
Date: Tue, 14 Nov 2023 22:20:00 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="outer"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: de-DE
Message-ID: <12345678-0000-0000-0000-000000000000@mail.example.net>
In-Reply-To: <2f2a6ab12550acc4ed891fb461581dc1@example.com>
Subject: =?utf-8?B?VW56dXN0ZWxsYmFyOiBHYXRlIEIxMg==?=
Auto-Submitted: auto-replied

--outer
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="inner"

--inner
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

Fehler bei der Nachrichtenzustellung an folgende Empf=C3=A4nger oder Gruppen:

{address}<mailto:{address}>
Die E-Mail-Adresse wurde nicht gefunden.

Diagnoseinformationen f=C3=BCr Administratoren:
Generierender Server: mail.example.net
{address}
Remote Server returned '{said}'

--inner
Content-Type: text/html; charset="utf-8"

<html><body>Fehler</body></html>
--inner--

--outer
Content-Type: message/delivery-status

Reporting-MTA: dns;mail.example.net
Received-From-MTA: dns;app.example.com
Arrival-Date: Tue, 14 Nov 2023 22:19:58 +0000

Original-Recipient: rfc822;{address}
Final-Recipient: rfc822;{address}
Action: failed
Status: {status}
Diagnostic-Code: smtp;{said}
X-Display-Name: {address}

--outer
Content-Type: message/rfc822

Received: from app.example.com (192.0.2.1) by mail.example.net
X-Tocsin-Mark:
\t{mark}
Subject: Gate B12 moved

wherefore
--outer--
"""


@pytest.mark.parametrize(
    ("status", "said", "result"),
    [
        (
            "5.1.10",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup",
            Result.PERMANENT,
        ),
        ("5.1.1", "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found", Result.PERMANENT),
        (
            "5.4.310",
            "550 5.4.310 DNS domain example.net does not exist [InfoDomainNonexistent]",
            Result.PERMANENT,
        ),
        (
            "5.2.2",
            "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException; "
            "Failed to process message due to a permanent exception",
            Result.TRANSIENT,
        ),
        ("5.7.1", "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", Result.TRANSIENT),
        (
            "5.7.133",
            "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required",
            Result.TRANSIENT,
        ),
        (
            "5.2.3",
            "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient",
            Result.TRANSIENT,
        ),
        ("4.4.7", "550 4.4.7 QUEUE.Expired; message expired", Result.TRANSIENT),
        ("5.4.14", "554 5.4.14 Hop count exceeded - possible mail loop", Result.TRANSIENT),
    ],
)
def test_exchanges_form_in_any_language(status: str, said: str, result: Result) -> None:
    raw = EXCHANGE.format(address=ADDRESS, to=path_of(), status=status, said=said, mark=MARKS.of(SENT))
    found = understood(raw.encode())
    assert found.result is result
    assert found.named, "the mark stands on a line of its own"


# --- what blocks nobody


@pytest.mark.parametrize(
    "headers",
    [
        "Auto-Submitted: auto-replied",
        "X-Autoreply: yes",
        "X-Autorespond: away",
        "Precedence: auto_reply",
        "Auto-Submitted: auto-generated\nIn-Reply-To: <x@example.com>",
    ],
)
def test_an_auto_reply_blocks_nobody(headers: str) -> None:
    raw = (
        f"From: ada@example.com\nTo: {path_of()}\nSubject: Re: Gate\n{headers}\n\nUser unknown? I am away.\n"
    )
    assert understood(raw.encode()).result is Result.AUTO_REPLY


@pytest.mark.parametrize(
    "subject", ["Out of Office: Gate", "Automatic reply: Gate", "Automatische Antwort: Gate"]
)
def test_an_absence_is_known_by_its_subject(subject: str) -> None:
    raw = (
        f"Return-Path: <>\nFrom: ada@example.com\nTo: {path_of()}\nSubject: {subject}\n\n550 5.1.1 not here\n"
    )
    assert understood(raw.encode()).result is Result.AUTO_REPLY


def test_a_persons_answer_is_no_report() -> None:
    raw = f"From: ada@example.com\nTo: {path_of()}\nSubject: Re: Gate\n\nThanks! 550 5.1.1 User unknown\n"
    assert understood(raw.encode()).result is Result.NO_REPORT


# --- complaints


def feedback(kind: str, more: str = "") -> bytes:
    return f"""\
From: fbl@provider.example
To: fbl@example.com
Subject: FW: Gate B12 moved
Date: Tue, 14 Nov 2023 22:20:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b1"

--b1
Content-Type: text/plain

This is an abuse report.

--b1
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
{more}
--b1
Content-Type: text/rfc822-headers

X-Tocsin-Mark: {MARKS.of(SENT)}
Subject: Gate B12 moved

--b1--
""".encode()


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("abuse", Result.COMPLAINED),
        ("fraud", Result.COMPLAINED),
        ("Abuse", Result.COMPLAINED),
        ("not-spam", Result.AUTO_REPLY),
        ("auth-failure", Result.AUTO_REPLY),
    ],
)
def test_a_feedback_report_is_a_complaint(kind: str, result: Result) -> None:
    assert understood(feedback(kind)).result is result


def test_a_complaint_names_its_message_by_the_return_path_where_the_mark_is_cut_out() -> None:
    raw = feedback("abuse", f"Original-Mail-From: <{path_of()}>\n")
    raw = raw.replace(MARKS.of(SENT).encode(), b"redacted")
    found = understood(raw)
    assert (found.result, found.message_id, found.named) == (Result.COMPLAINED, SENT.message_id, None)


def test_microsofts_form_is_a_complaint() -> None:
    raw = f"""\
From: staff@hotmail.example
To: fbl@example.com
Subject: complaint about message from 192.0.2.1
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: message/rfc822
Content-Disposition: inline

X-HmXmrOriginalRecipient: {ADDRESS}
X-Tocsin-Mark: {MARKS.of(SENT)}
From: flights@example.com
Subject: Gate B12 moved

wherefore
--b1--
""".encode()
    found = understood(raw)
    assert found.result is Result.COMPLAINED
    assert found.named
    assert found.receipt(found.named).kind == "complained"


# --- reports that have only text


QMAIL = """\
Return-Path: <>
From: MAILER-DAEMON@mx.example.net
To: {to}
Subject: failure notice
Date: 14 Nov 2023 22:20:00 -0000

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{address}>:
{said}

--- Below this line is a copy of the message.

X-Tocsin-Mark: {mark}
Subject: Gate B12 moved

<other@example.com>:
192.0.2.1 failed after I sent the message.
Remote host said: 550 5.1.1 User unknown
"""

EXIM = """\
Return-Path: <>
X-Failed-Recipients: {address}
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: {to}
Subject: Mail delivery failed: returning message to sender
Date: Tue, 14 Nov 2023 22:20:00 +0000

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {address}
    {said}

------ This is a copy of the message, including all the headers. ------

X-Tocsin-Mark: {mark}
Subject: Gate B12 moved
"""


@pytest.mark.parametrize("form", [QMAIL, EXIM], ids=["qmail", "exim"])
@pytest.mark.parametrize(
    ("said", "result"),
    [
        (
            "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up.",
            Result.PERMANENT,
        ),
        ("Sorry, no mailbox here by that name. (#5.1.1)", Result.PERMANENT),
        ("Sorry, I couldn't find any host named mail.example. (#5.1.2)", Result.PERMANENT),
        ("The user's mailbox is over the allowed quota (size). (#5.2.2)", Result.TRANSIENT),
        (
            "I'm not going to try again; this message has been in the queue too long.\n"
            "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)",
            Result.TRANSIENT,
        ),
        ("Remote host said: 554 5.7.1 blocked by policy", Result.TRANSIENT),
        ("Unrouteable address", Result.PERMANENT),
        ("retry timeout exceeded", Result.TRANSIENT),
        (
            "all hosts have been failing for a long time and were last tried after this message arrived",
            Result.TRANSIENT,
        ),
        ("all relevant MX records point to non-existent hosts", Result.PERMANENT),
        (
            "mailbox is full (MTA-imposed quota exceeded while writing to /var/ada): retry timeout exceeded",
            Result.TRANSIENT,
        ),
    ],
)
def test_a_report_in_words(form: str, said: str, result: Result) -> None:
    raw = form.format(to=path_of(), address=ADDRESS, said=said.replace("\n", "\n    "), mark=MARKS.of(SENT))
    assert understood(raw.encode()).result is result


def test_exims_warning_blocks_nobody() -> None:
    raw = f"""\
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: {path_of()}
Subject: Warning: message 1xXNoY-0003cm-0k delayed 24 hours

This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.example.net.

  {ADDRESS}

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered.
"""
    assert understood(raw.encode()).result is Result.DELAYED


# --- malformed and hostile mail


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n\n\n",
        b"x" * (MAX_BYTES + 1),
        b"".join(
            b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(MAX_PARTS + 1)
        ),
        b"".join(b"Content-Type: message/rfc822\n\n" for _ in range(MAX_PARTS + 1)),
        b"X: y\n" * 5_000 + b"\n",
        b"Content-Type: message/delivery-status\n\n" + b"A: b\n\n" * 30_000,
        b"X: y\rContent-Type: text/plain" + b";\r a=b" * (MAX_PARAMETERS + 1) + b"\r\rx",
        b'content-type: text/plain; a="' + b";" * MAX_PARAMETERS + b'"\n\nx',
    ],
    ids=["empty", "blank", "large", "nested", "mails", "headers", "groups", "parameters", "quoted"],
)
def test_mail_beyond_the_limits_is_not_read(raw: bytes) -> None:
    assert understood(raw).result is Result.UNREADABLE


@given(st.binary(max_size=2_000))
def test_any_bytes_have_a_meaning(raw: bytes) -> None:
    assert understood(raw).kind == ""


@given(st.integers(0, 900), st.binary(max_size=30), st.integers(0, 40))
def test_a_damaged_report_stops_nothing_and_names_nobody_else(at: int, noise: bytes, cut: int) -> None:
    raw = dsn(GONE)
    damaged = raw[:at] + noise + raw[at + cut :]
    found = understood(damaged)
    assert found.message_id in ("", SENT.message_id)
    assert isinstance(found.result, Result)


def test_the_deepest_mail_that_is_allowed_is_read() -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(MAX_PARTS - 5)
    )
    assert understood(nested).result in (Result.NO_TOKEN, Result.UNREADABLE)


def test_a_message_to_another_address_gets_no_receipt_of_ours() -> None:
    other = sent_to("bob@example.com")
    raw = dsn(GONE, original=f"X-Tocsin-Mark: {MARKS.of(other)}")
    found = understood(raw)
    assert found.named
    assert msgspec.structs.asdict(found.named)["target"] == target_id("bob@example.com")
