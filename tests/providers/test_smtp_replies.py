"""Verdicts on real replies of mail servers: dead addresses, limits, our account, the moment."""

from pathlib import Path

import pytest

from tocsin.providers.smtp_reading import read_reply, rule_of
from tocsin.providers.smtp_replies import RULES, ReplyRule, Verdict, page
from tocsin.providers.smtp_stages import SmtpStage

PAGE = Path(__file__).parents[2] / "docs" / "mail-replies.md"
X = "<ada@example.com>"
PROBE = f"550 5.1.1 {X}: Recipient address rejected: undeliverable address:"


def verdict(answer: str, stage: SmtpStage = SmtpStage.RCPT) -> Verdict:
    return rule_of(read_reply(stage, int(answer[:3]), answer[4:])).verdict


GONE = [
    f"550 5.1.1 {X}: Recipient address rejected: User unknown in local recipient table",
    f"550 5.1.1 {X}: Recipient address rejected: User unknown in virtual mailbox table",
    f'{PROBE} unknown user: "ada"',
    f"{PROBE} host mx.example[192.0.2.1] said: 550 5.1.1 {X}: user unknown (in reply to RCPT TO command)",
    f"{PROBE} host a said: 550-5.1.1 The email account that you tried to reach does not exist.",
    "550 5.1.1 The email account that you tried to reach does not exist.\n5.1.1 Please try double-checking",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@example.com not found by SMTP address lookup",
    "556 5.1.10 Recipient address has a null MX",
    "556 Domain does not accept mail",
    "550 sorry, no mailbox here by that name. (#5.1.1 - chkuser)",
    "554 Sorry, no mailbox here by that name. (#5.1.1)",
    "550 5.2.1 The email account that you tried to reach is disabled.",
    f"550 5.2.1 {X}... User is inactive",
    "551 5.1.6 moved",
    "550 5.1.1 <sender@policy.example>: Recipient address rejected: User unknown",
    "550 5.1.1 <daily@limit.example>: user unknown",
    '550 5.1.1 <"mailbox full"@blocked.example>... User unknown',
    "550 5.1.1 temporary@spam.example User unknown",
    "550 Callout verification failed:\n550 5.1.1 User unknown",
    '550 response to "RCPT TO:<ada@example.com>" from mx.example.com [192.0.2.1] was: 550 5.1.1 No such user',
]

LATER = [
    f"{PROBE} host mx.example[192.0.2.1] said: 552 5.2.2 Mailbox full (in reply to RCPT TO command)",
    f"{PROBE} host a[192.0.2.1] said: 550 5.1.1 undeliverable address: host b said: 452 4.2.2 full",
    f"{PROBE} host mx said: 451 4.3.0 try later (in reply to RCPT TO command)",
    "550 5.2.1 The user you are trying to contact is receiving mail at a\n5.2.1 rate that "
    "prevents additional "
    "messages from being delivered.",
    "550 5.2.1 The user you are trying to contact is receiving mail too quickly",
    "554 5.2.122 The recipient has exceeded their limit for the number of messages they can "
    "receive per hour.",
    "552 5.2.2 The email account that you tried to reach is over quota.",
    "552 Requested mail action aborted: mailbox full",
    "552 1 Requested mail action aborted, mailbox full",
    "552 RCPT TO: mailbox full",
    f"550 {X}: mailbox is full, quota exceeded",
    "550 User has exhausted allowed storage space.",
    "550 User has too many messages on the server.",
    "552 Requested mail action aborted: exceeded storage allocation",
    "550 5.1.1 mailbox temporarily unavailable",
    "550 5.7.1 Greylisted, please try again later",
    "550 4.2.2 over the limit",
    "450 4.2.0 Greylisted",
    "450 4.1.1 unverified address: connect to mx: Connection timed out",
    "452 4.2.2 Mailbox full",
]

ACCOUNT = [
    "550 relay not permitted",
    f"554 5.7.1 {X}: Relay access denied",
    f"454 4.7.1 {X}: Relay access denied",
    "550 5.7.1 Unable to relay",
    "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
    "550 5.7.64 TenantAttribution; Relay Access Denied",
    "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
    "550 5.1.0 <news@example.com>: Sender address rejected: User unknown in relay recipient table",
    "550 5.1.7 <news>: Sender address rejected: undeliverable address: host mx said: 550 5.1.1 User unknown",
    "550 5.1.8 <news@example.com>: Sender address rejected: Domain not found",
    "550 Verification failed for <news@example.com>\nUnrouteable address\nSender verify failed",
    "550 Verification failed for <news@example.com>\nCalled: 192.0.2.1\nSent: RCPT TO:<news@example.com>\n"
    "Response: 550 5.1.1 User unknown\nSender verify failed",
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is "
    "on our block list "
    "(S3150).",
    "550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
    "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.",
    "550 5.7.25 The IP address sending this message does not have a PTR record setup",
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
    "550 5.7.27 Sender address has null MX",
    "503 5.5.4 Error: authentication required",
    "503 AUTH first (#5.5.1)",
    "550 Authentication required",
    "530 5.7.57 Client not authenticated to send mail",
    "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
    "550 5.7.1 <x>: Helo command rejected: Host not found",
    "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
]

LIMIT = [
    "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits",
    "550 5.4.5 Daily user sending quota exceeded.",
    "550 5.7.1 Daily SMTP relay limit exceeded for customer.",
    "454 Throttling failure: Daily message quota exceeded.",
    "554 5.7.0 Your message could not be sent. The limit on the number of allowed outgoing messages was "
    "exceeded. Try again later.",
    "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to "
    "process message due to "
    "a permanent exception",
    "552 5.2.2 you are over your relay quota",
    "552 Message rejected: over your relay quota",
    "550 User news has exceeded its 24-hour sending limit. Messages to 250 recipients out of "
    "250 have been sent.",
    "550 Domain example.com has exceeded the max emails per hour (100/100 (100%)) allowed. "
    "Message discarded.",
    "550 5.4.6 mail rate exceeded limit",
    "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
    "550 5.7.705 Access denied, tenant has exceeded threshold",
]

NO_PROOF = [
    "550 No such user here",
    "550 Unrouteable address",
    "550 Invalid recipient: <ada@example.com>",
    "550 Requested action not taken: mailbox unavailable",
    "550 #5.1.0 Address rejected.",
    "550 5.2.1 mailbox unavailable",
    "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
    f"554 5.7.1 {X}: Recipient address rejected: Access denied",
    "550 5.1.1 This address is restricted by policy",
    "501 5.1.3 Bad recipient address syntax",
    # The spelling, not the mailbox: servers that do not know quoted local parts or SMTPUTF8.
    '553 5.1.3 <"a b"@example.com>: bad address syntax',
    "550 5.1.1 Address unknown because directory service LDAP lookup failed",
    "550 5.1.1 internal error in lookup",
    "550 5.1.2 Bad destination system: no MX; DNS server failure, try again",
    "550 5.1.1 unable to verify recipient",
    f"{PROBE} mail transport unavailable",
    f"{PROBE} mail for example.com loops back to myself",
    "550 5.0.0 something",
]

LIMITS = {Verdict.ACCOUNT_LIMIT, Verdict.ACCOUNT_DAY_LIMIT}


@pytest.mark.parametrize("answer", GONE)
def test_the_mailbox_is_proven_dead(answer: str) -> None:
    assert verdict(answer) is Verdict.GONE


@pytest.mark.parametrize("answer", LATER)
def test_the_recipient_takes_it_later(answer: str) -> None:
    assert verdict(answer) is Verdict.RECIPIENT_LATER or answer.startswith(PROBE)
    assert verdict(answer) in (Verdict.RECIPIENT_LATER, Verdict.SERVER_LATER)


@pytest.mark.parametrize("answer", ACCOUNT)
def test_it_is_about_us(answer: str) -> None:
    assert verdict(answer) is Verdict.ACCOUNT


@pytest.mark.parametrize("stage", [SmtpStage.MAIL, SmtpStage.RCPT, SmtpStage.END])
@pytest.mark.parametrize("answer", LIMIT)
def test_the_account_has_sent_all_it_may(answer: str, stage: SmtpStage) -> None:
    assert verdict(answer, stage) in LIMITS


@pytest.mark.parametrize("answer", NO_PROOF)
def test_without_proof_no_address_is_blocked(answer: str) -> None:
    assert verdict(answer) is Verdict.REFUSED


@pytest.mark.parametrize(
    "stage", [SmtpStage.CONNECT, SmtpStage.AUTH, SmtpStage.MAIL, SmtpStage.DATA, SmtpStage.END]
)
@pytest.mark.parametrize("answer", GONE)
def test_only_an_answer_to_rcpt_blocks(answer: str, stage: SmtpStage) -> None:
    quoted = read_reply(stage, int(answer[:3]), answer[4:]).inner
    assert quoted or verdict(answer, stage) is not Verdict.GONE


@pytest.mark.parametrize(
    "answer",
    [
        "550 5.7.1 Our system has detected that this message is likely unsolicited mail. this "
        "message has been blocked",
        "554 5.7.9 Message not accepted for policy reasons",
        "552 5.3.4 Message size exceeds fixed limit",
        "554 5.7.1 Spam message rejected",
    ],
)
def test_a_refusal_of_the_data_is_about_the_message(answer: str) -> None:
    assert verdict(answer, SmtpStage.END) is Verdict.CONTENT


@pytest.mark.parametrize("rule", RULES, ids=[f"{n}" for n in range(len(RULES))])
def test_each_row_decides_its_example(rule: ReplyRule) -> None:
    stages = sorted(rule.stages or set(SmtpStage), key=lambda stage: stage.value)
    code, text = int(rule.example[:3]), rule.example[4:]
    assert rule in [rule_of(read_reply(stage, code, text)) for stage in stages]


def test_the_page_has_the_table_as_it_is() -> None:
    assert page() in PAGE.read_text()
