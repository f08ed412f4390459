"""Table of SMTP replies: what each reply is about, and where the row comes from.

The first row that fits decides. `docs/mail-replies.md` is generated from the table. An address is
blocked only where the server proves that the mailbox does not exist.
"""

from collections.abc import Set
from enum import Enum

import msgspec

from tocsin.providers.smtp_stages import SmtpStage


class Verdict(Enum):
    """Subject of a reply."""

    GONE = "address gone"
    REFUSED = "recipient refused"
    RECIPIENT_LATER = "recipient, later"
    CONTENT = "message refused"
    SERVER_LATER = "server, later"
    ACCOUNT = "account"
    ACCOUNT_LIMIT = "account limit, 1 h"
    ACCOUNT_DAY_LIMIT = "account limit, 4 h"


class ReplyRule(msgspec.Struct, frozen=True):
    """One row of the table. An empty pattern fits every reply.

    Attributes:
        code: pattern of the whole reply code.
        status: pattern of the whole enhanced status code.
        text: pattern found anywhere in the text, in any case.
        stages: where it holds; empty for everywhere.
        example: a reply that the row decides; tests send each.
        source: who sends such a reply, or the standard.
    """

    verdict: Verdict
    example: str
    source: str
    code: str = ""
    status: str = ""
    text: str = ""
    stages: Set[SmtpStage] = frozenset()


LATE = frozenset({SmtpStage.RCPT, SmtpStage.DATA, SmtpStage.END, SmtpStage.REPORT})
"""Stages at which a recipient is named."""
_EARLY = frozenset({SmtpStage.CONNECT, SmtpStage.AUTH, SmtpStage.MAIL})
_RCPT = frozenset({SmtpStage.RCPT, SmtpStage.REPORT})
_REPORT = frozenset({SmtpStage.REPORT})
ABOUT_SENDER = r"\b(sender|envelope from|from address|mail from|return path|badmailfrom)\b"
"""Pattern of replies about our own sender."""
_NOT_LOOKED_UP = (
    r"(lookup|look up|query|search|ldap|dns|database|directory|internal|server|name service)"
    r"\b.{0,30}\b(fail\w*|error|time-?out|timed out|unavailable|not available)|"
    r"(fail\w*|error|unable|could not|cannot|can't) .{0,20}(look ?up|verify|query|resolve|reach)|"
    r"could(n't| not) create|(?<!spaces and )try again"
)
_HIDDEN = r"undeliverable address(?!.*(unknown user|user unknown|no such user|said: ))"

RULES: tuple[ReplyRule, ...] = (
    # Limits of the account
    ReplyRule(
        Verdict.ACCOUNT_DAY_LIMIT,
        "550 5.4.5 Daily user sending limit exceeded",
        "Gmail, Exchange Online (daily limits); GoDaddy (24-hour limit)",
        text=r"\b(daily|24.?hours?|per day)\b.{0,80}\b(limit|quota|exceeded)|"
        r"\b(limit|quota|exceeded)\b.{0,80}\b(daily|24.?hours?|per day|for the day)\b",
    ),
    ReplyRule(
        Verdict.ACCOUNT_DAY_LIMIT,
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
        "Exchange Online, submission by a mailbox",
        text=r"submissionquotaexceeded",
    ),
    ReplyRule(
        Verdict.ACCOUNT_DAY_LIMIT,
        "550 5.7.705 Access denied, tenant has exceeded threshold",
        "Exchange Online: 5.1.90 and 5.7.232, 5.7.233, 5.7.705 are limits of the tenant",
        code=r"5..",
        status=r"5\.1\.90|5\.7\.(232|233|508|705)",
    ),
    ReplyRule(
        Verdict.ACCOUNT_LIMIT,
        "554 5.7.0 The limit on the number of allowed outgoing messages was exceeded. Try again later.",
        "Plesk, cPanel (max emails per hour), Zoho (mail rate), SES (sending rate), shared "
        "hosts (relay quota)",
        text=r"(number of allowed outgoing messages|max(imum)? (defers and failures|emails|sending rate)|"
        r"(relay|sending|send|submission|smtp|outgoing|outbound) (user )?(rate )?(quota|limit)|"
        r"mail rate exceeded|"
        r"(exceeded|over|reached) (the|your|its) (\S+ )?(message|rate|hourly|mail) (limit|quota)|"
        r"(sending|sent to) too (many|much|fast)|message submission rate|sender rate)",
    ),
    ReplyRule(
        Verdict.ACCOUNT_LIMIT,
        "550 5.4.5 congested",
        "RFC 3463: X.4.5 is congestion of the mail system; Gmail: its sending limits",
        status=r"5\.4\.5",
    ),
    ReplyRule(
        Verdict.ACCOUNT_LIMIT,
        "550 5.7.28 There is an unusual rate of unsolicited mail originating from your IP address",
        "Gmail",
        code=r"5..",
        status=r"5\.7\.28",
    ),
    # The recipient, for now
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents "
        "additional messages",
        "Gmail",
        text=r"receiving mail (at a rate|too quickly)|"
        r"(recipient|user|mailbox) has exceeded (their|its|the) limit",
        stages=LATE,
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "554 5.2.122 The recipient has exceeded their limit for the number of messages per hour",
        "Outlook.com, Exchange Online (5.2.121, 5.2.122)",
        status=r"5\.2\.12[12]",
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "552 5.2.2 The email account that you tried to reach is over quota",
        "RFC 3463: X.2.2 is a full mailbox, which passes",
        status=r"[45]\.2\.2",
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "552 Requested mail action aborted: mailbox full",
        "Servers without enhanced codes: Exim, qmail, Yahoo, T-Online, web.de",
        text=r"(mailbox|account|inbox|mail ?box|user).{0,40}\b(full|over ?quota|exceed\w* "
        r".{0,20}(quota|storage))|"
        r"\bover ?(the )?(storage )?quota\b|quota (is )?(exceeded|full)|exceed\w* .{0,30}\bquota|"
        r"exhausted allowed storage|too many messages on the server|exceeded storage allocation",
        stages=LATE,
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "550 retry timeout exceeded",
        "Exim, OpenSMTPD (Envelope expired), sendmail, Exchange (QUEUE.Expired): the queue's life is over",
        text=r"retry time(out)? (exceeded|not reached)|"
        r"(message|envelope|delivery time|queue\S*)( has)? expired|"
        r"(delivered|sent|deliver it) (for|in|within|after) \d+ (second|minute|hour|day)|"
        r"too long in the queue|(been failing for a|tried for too) long|exceeded the maximum time|"
        r"(connection|operation|conversation).{0,80} timed out|connection refused|no route to host|"
        r"network (is )?unreachable|wasn't able to establish an smtp connection",
        stages=_REPORT,
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "550 5.4.7 given up",
        "RFC 3463: X.4.7 is a message that waited too long",
        status=r"[45]\.4\.7",
        stages=_REPORT,
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "550 5.7.1 Greylisted, please try again later",
        "Servers that give a passing refusal a permanent code",
        code=r"5..",
        text=r"gr[ae]y-?list|try again later|temporar(y|ily)|retry later",
        stages=LATE,
    ),
    # The account: login, relaying, host, sender
    ReplyRule(
        Verdict.ACCOUNT,
        "554 5.7.1 <ada@example.com>: Relay access denied",
        "Postfix (454 by default), Exim, Exchange (5.7.54, 5.7.64), qmail (rcpthosts)",
        text=r"relay(ing)? (access )?(not permitted|not allowed|denied|prohibited|is not)|unable to relay|"
        r"not (permitted|allowed) to relay|(we|does|do) not relay|rcpthosts|relay access",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "503 5.5.4 Error: authentication required",
        "Postfix, Exim, Exchange (5.7.57), RFC 4954",
        text=r"authentication (is )?required|must authenticate|authenticate first|not authenticated|"
        r"auth first|need to (log ?in|authenticate)|please log in|not logged in|smtp auth",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
        "Postfix (refuses at RCPT whatever it holds against the client)",
        code=r"5..",
        text=r"(helo|ehlo) (command )?(rejected|\S*.?invalid)|helo.{0,40}(mismatch|does not)|rdns|"
        r"reverse (dns|hostname|lookup)|ptr record",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        "Postfix, Outlook.com (S3150), Yahoo (BL21), Gmail: the address of the sending host",
        code=r"5..",
        text=r"(client )?host.{0,80}(blocked|rejected|denied)|block(ed)? ?list|blacklist|"
        r"spamhaus|spamcop|\brbl\b|"
        r"dnsbl|poor reputation|banned sending ip|(ip|ip address) .{0,60}(blocked|not authorized|"
        r"not accepted|is in)|"
        r"connections will not be accepted|traffic not accepted from",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "550 5.7.1 Service refused: blocked for spam",
        "Before the data no server has seen the message: its filter refuses the host or the sender",
        code=r"5..",
        status=r"(5\.7\..*)?",
        text=r"blocked|banned|\bspam|reputation|unsolicited",
        stages=_EARLY | {SmtpStage.RCPT},
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "550 5.1.0 <news@example.com>: Sender address rejected: Domain not found",
        "Postfix, Exim (sender verify failed), qmail (badmailfrom): at RCPT too",
        code=r"5..",
        text=rf"{ABOUT_SENDER}.{{0,80}}(reject|denied|refused|not (owned|allowed|accepted|permitted|"
        rf"authorized|verified|exist)"
        rf"|verif|blocked|banned|invalid|not found|bad|unknown|could not)|"
        rf"(invalid|bad|unknown|banned|unauthorized|not a valid) .{{0,20}}{ABOUT_SENDER}|badmailfrom|"
        rf"verification failed for",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "554 Message rejected: Email address is not verified.",
        "Amazon SES: sender in its sandbox",
        text=r"address is not verified",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "550 5.1.8 Access denied, AS(8561)",
        "RFC 3463: 5.1.7 and 5.1.8 name the sender's address; Exchange Online",
        code=r"5..",
        status=r"5\.1\.[78]",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "530 5.7.0 Must issue a STARTTLS command first",
        "RFC 4954, 3207: codes of login and encryption; RFC 5248: 525 is a disabled login",
        code=r"525|530|534|535|538",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "550 5.7.26 This mail is unauthenticated",
        "RFC 7372, 7505: SPF, DKIM, reverse DNS and DMARC of the sending domain; Gmail",
        code=r"5..",
        status=r"5\.7\.2[0-9]",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        "RFC 4954 (5.7.8), RFC 5248 (5.7.13), Gmail (5.7.14), Exchange: rights, banned hosts, "
        "blocked tenants",
        code=r"5..",
        status=r"5\.7\.(3|8|13|14|5[0-9]|6[0-9]|50[0-9]|51[0-2]|6[0-4][0-9]|7[0-5][0-9])",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "503 5.5.1 Error: need MAIL command",
        "RFC 5321: 500 and 502-504 answer how this client speaks",
        code=r"50[0234]",
    ),
    # A server that contradicts itself, or speaks of itself
    ReplyRule(
        Verdict.SERVER_LATER,
        "421 4.3.2 Service shutting down",
        "RFC 5321: 421 closes the connection, whatever it answers",
        code=r"421",
    ),
    ReplyRule(
        Verdict.SERVER_LATER,
        "554 5.3.2 System not accepting network messages",
        "RFC 3463: X.3.x is the mail system; 5.3.4 is the exception",
        status=r"[45]\.3\.[1235]|4\.3\.\d+",
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "550 4.7.1 not now",
        "A permanent code with a transient status: nothing permanent is proven",
        code=r"5..",
        status=r"4\..*",
        stages=LATE,
    ),
    # Addresses
    ReplyRule(
        Verdict.REFUSED,
        "550 5.1.1 <ada@example.com>: Recipient address rejected: undeliverable address: mail "
        "transport unavailable",
        "Postfix that verifies recipients and failed to, for a reason of its own",
        code=r"5..",
        text=_HIDDEN,
    ),
    ReplyRule(
        Verdict.REFUSED,
        "550 5.1.1 <ada@example.com>: message looks like spam",
        "Servers whose code says address and whose text says policy",
        code=r"5..",
        text=r"spam|policy|reputation|blocked|blacklist|prohibit|\bcontent\b|access denied|not "
        r"allowed|restricted|recipient preferences",
        stages=_RCPT,
    ),
    ReplyRule(
        Verdict.REFUSED,
        "550 5.1.1 Address unknown because directory lookup failed",
        "Servers that could not look the address or its domain up: a fault of theirs",
        code=r"5..",
        status=r"5\.1\..*",
        text=_NOT_LOOKED_UP,
        stages=_RCPT,
    ),
    ReplyRule(
        Verdict.GONE,
        "550 5.1.1 The email account that you tried to reach does not exist",
        "RFC 3463, 7505 (null MX): the address proven dead; qmail writes (#5.1.1) at the end",
        code=r"550|551|553|554|556",
        status=r"5\.1\.(1|2|6|10)",
        stages=_RCPT,
    ),
    ReplyRule(
        Verdict.GONE,
        "556 Domain does not accept mail",
        "RFC 7504: the domain takes no mail at all",
        code=r"556",
        stages=_RCPT,
    ),
    ReplyRule(
        Verdict.GONE,
        "550 5.2.1 The email account that you tried to reach is disabled",
        "Gmail, GMX: 5.2.1 with a text that the mailbox is disabled; 5.2.1 by itself proves nothing",
        code=r"550|554",
        status=r"5\.2\.1",
        text=r"disabled|inactive|deactivated|discontinued|closed",
        stages=_RCPT,
    ),
    # A server that has given up: its words count where it gives no code, or a code without a status
    ReplyRule(
        Verdict.GONE,
        "550 Host or domain name not found",
        "Postfix (5.4.4), Gmail, sendmail, qmail, Exchange (5.4.310): no such domain, or one without mail",
        status=r"(5\.[014]\..*|4\.0\.0)?",
        text=r"^(?!.*(?<!spaces and )try again).*("
        r"\b(host|domain)( or domain)?( name)? (not found|unknown|does not exist|doesn't exist)|"
        r"\b(unknown|no such|nonexistent|non-existent) (host|domain)\b|nxdomain|invalid domain|"
        r"\bdomain \S+ (does not|doesn't) exist|"
        r"\bhost \S+ not found|\bdomain \S+ (couldn.t|could not) be found|illegal host/domain name|"
        r"couldn't find (any host (named|by that name)|a mail exchanger or ip address)|"
        r"no (mail )?(hosts?|servers?|mx)( records?)? found for|"
        r"mx records? point(s|ing)? to non-existent|does not accept mail|no smtp service|null mx)",
        stages=_REPORT,
    ),
    ReplyRule(
        Verdict.REFUSED,
        "550 Unknown user: directory lookup failed",
        "Servers that could not look the address or its domain up, without a status",
        code=r"5..",
        text=_NOT_LOOKED_UP,
        stages=_REPORT,
    ),
    ReplyRule(
        Verdict.GONE,
        "550 Unrouteable address",
        "Exim, OpenSMTPD (Invalid recipient), qmail, Courier, Domino: unknown users",
        code=r"5..",
        status=r"(5\.[01]\..*|5\.2\.[01]|5\.3\.0|5\.5\.0)?",
        text=r"\b(no such|unknown|invalid|unrouteable|nonexistent|non-existent) "
        r"(local |virtual |e?-?mail |final delivery )?"
        r"(user|userid|recipient|mailbox|account|address|addressee|person|alias|local.?part)\b|"
        r"\b(user|recipient|mailbox|account|address|addressee|alias|local.?part)( <?address>?:?)?,? "
        r"(is |was |has been )?(unknown|not found|not known|nonexistent|non-existent|"
        r"(does not|doesn't|doesn.t|no longer|did not) exists?|"
        r"not listed|not recogni[sz]ed|(couldn.t|could not) be found)|\buser\b.{0,80}\bnot listed in\b|"
        r"no (mailbox|account|user) (here )?(by|with) that name|user not exist|not our (user|customer)|"
        r"not a (valid|known) (user|mailbox|recipient)|"
        r"(doesn't|does not) have an? .{0,40}\baccount|(user|mailbox|account) .{0,20}does(n't| not) exist|"
        r"RecipientNotFound|RecipNotFound",
        stages=_REPORT,
    ),
    # The message
    ReplyRule(
        Verdict.CONTENT,
        "552 5.3.4 Message size exceeds fixed limit",
        "RFC 5321, 3463: too big for this server",
        code=r"552",
    ),
    ReplyRule(
        Verdict.CONTENT,
        "554 5.3.4 Message too big",
        "RFC 3463: 5.3.4 is the size of the message",
        status=r"5\.3\.4",
    ),
    # What stage alone tells
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "450 4.2.0 Greylisted",
        "RFC 5321: any 4yz to RCPT; RFC 3463: 4.1.x and 4.2.x name the mailbox",
        code=r"[^5]..",
        stages=_RCPT,
    ),
    ReplyRule(
        Verdict.RECIPIENT_LATER,
        "451 4.2.0 mailbox is locked",
        "RFC 3463: 4.1.x and 4.2.x name the mailbox at every stage",
        code=r"[^5]..",
        status=r"[24]\.[12]\..*",
    ),
    ReplyRule(
        Verdict.SERVER_LATER,
        "451 local error in processing",
        "RFC 5321: any 4yz to another command",
        code=r"[^5]..",
    ),
    ReplyRule(
        Verdict.ACCOUNT,
        "550 5.7.1 account suspended",
        "A refusal before any recipient was named is about the client, its login or its sender",
        stages=_EARLY,
    ),
    ReplyRule(
        Verdict.REFUSED,
        "550 No such user here",
        "A refusal to RCPT without proof: the mail ends, the address is not blocked",
        stages=_RCPT,
    ),
    ReplyRule(
        Verdict.CONTENT,
        "554 5.6.0 Message refused",
        "A refusal of the data: the mail ends, the address is not blocked",
    ),
)


def page() -> str:
    """Write the table of `docs/mail-replies.md`."""
    lines = [
        "| code | status | text has | stages | verdict | example | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        stages = ", ".join(sorted(stage.value for stage in rule.stages)) or "all"
        cells = (
            _cell(rule.code),
            _cell(rule.status),
            _cell(rule.text),
            stages,
            rule.verdict.value,
            _cell(rule.example),
            rule.source,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(pattern: str) -> str:
    return f"`{pattern.replace('|', chr(92) + '|')}`" if pattern else "any"
