"""Takes an SMTP reply apart, and finds the row of the table that decides it."""

import re
from functools import cache

import msgspec

from tocsin.providers.smtp_replies import ABOUT_SENDER, LATE, RULES, ReplyRule
from tocsin.providers.smtp_stages import SmtpStage


class Reply(msgspec.Struct, frozen=True):
    """A reply taken apart.

    Attributes:
        status: enhanced status code, empty if the server gave none.
        text: all lines as one, with the status and without addresses: their words mean nothing.
        inner: it is what another server answered, quoted by ours.
    """

    stage: SmtpStage
    code: int
    status: str
    text: str
    inner: bool = False


_STATUS = re.compile(r"[\s\[(#]*([245]\.\d{1,3}\.\d{1,3})\b")
_STATUS_AT_END = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\b")
_NEXT_LINE = re.compile(r"\s*\n(?:#?[245]\.\d{1,3}\.\d{1,3}\s+)?")
_INNER = re.compile(
    r"\b(?:said|was|response|responded|answered|returned|replied|verification failed)(?: with)?:?\s+[\"'<]?"
    r"(?P<code>[245]\d\d)[ -](?P<text>.*)",
    re.IGNORECASE,
)
_IN_REPLY = re.compile(r"\(?in reply to (?P<command>.{1,40}?) command", re.IGNORECASE)
_ABOUT_SENDER = re.compile(ABOUT_SENDER, re.IGNORECASE)
_SENDER_CALLED = re.compile(r"sender verif\w* failed", re.IGNORECASE)  # Exim, after what it quotes
_MAILBOX = re.compile(r"<?(?:\"[^\"]*\"|[^\s<>\"@]+)@[^\s<>,;:]+>?")
_COMMANDS = (
    ("end of data", SmtpStage.END),
    ("data", SmtpStage.DATA),
    ("rcpt", SmtpStage.RCPT),
    ("mail", SmtpStage.MAIL),
    ("ehlo", SmtpStage.CONNECT),
    ("helo", SmtpStage.CONNECT),
)


def read_reply(stage: SmtpStage, code: int, text: str) -> Reply:
    """Take a reply apart; where it quotes another server's answer, that answer.

    >>> read_reply(SmtpStage.RCPT, 550, "5.1.1 undeliverable: host mx said: 552 5.2.2 Mailbox full").status
    '5.2.2'
    """
    line = _MAILBOX.sub("<address>", _NEXT_LINE.sub(" ", text)[:1_000]).strip()
    reply = Reply(stage, code, _status(text), line)
    inner = _innermost(reply.text) if stage in LATE else None
    if inner is None or _ABOUT_SENDER.search(line[: inner.start()]) or _SENDER_CALLED.search(line):
        return reply
    said = inner["text"]
    at = stage if stage is SmtpStage.REPORT else _stage_of(said)
    return Reply(at, int(inner["code"]), _status(said), said, inner=True)


def _innermost(text: str) -> re.Match[str] | None:
    found = None
    while match := _INNER.search(text, found.start("text") if found else 0):
        found = match
    return found


def _stage_of(said: str) -> SmtpStage:
    match = _IN_REPLY.search(said)
    command = match["command"].lower() if match else ""
    return next((stage for word, stage in _COMMANDS if word in command), SmtpStage.RCPT)


def _status(text: str) -> str:
    match = _STATUS.match(text) or _STATUS_AT_END.search(text)
    return match.group(1) if match else ""


def rule_of(reply: Reply) -> ReplyRule:
    """Find the first row that fits; the last row fits every reply."""
    return next(rule for rule in RULES if _fits(rule, reply))


def _fits(rule: ReplyRule, reply: Reply) -> bool:
    if rule.stages and reply.stage not in rule.stages:
        return False
    code, status, text = _patterns(rule.code, rule.status, rule.text)
    if rule.code and not code.fullmatch(str(reply.code)):
        return False
    if rule.status and not status.fullmatch(reply.status):
        return False
    return not rule.text or text.search(reply.text) is not None


@cache
def _patterns(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
