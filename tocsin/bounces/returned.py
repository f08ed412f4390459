"""What a mail that came back means for the message that it names: the receipt to write, or why none. Pure.

Nothing is believed that carries no token or mark of ours. Where a mail has both, the token of its return path
decides, and the mark tells the user.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from tocsin.bounces.failure import Failure
from tocsin.bounces.mail import Mail, UnreadableMailError, read_mail
from tocsin.bounces.report import Report, ReportKind, read_report
from tocsin.bounces.verdicts import Judgement, judge
from tocsin.formats.addresses import spellings
from tocsin.formats.marks import MARK_HEADER, Marked, Marks
from tocsin.formats.return_paths import ReturnPaths, tokens_in
from tocsin.model.ids import digest, target_id
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.smtp_replies import Verdict

MAX_CANDIDATES = 50
"""Tokens and marks that are tried in one mail: each costs a decryption."""

_MARK = re.compile(rf"{MARK_HEADER}:[ \t]*(?:\r?\n[ \t]+)?([A-Za-z0-9_-]{{40,1000}})", re.IGNORECASE)


class Result(StrEnum):
    """What became of one mail; the values are labels of `tocsin_bounces_total`."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    COMPLAINED = "complained"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    AUTO_REPLY = "auto_reply"
    NO_REPORT = "no_report"
    NO_TOKEN = "no_token"  # noqa: S105 (no password)
    FORGED = "forged"
    EXPIRED = "expired"
    UNKNOWN_MESSAGE = "unknown_message"
    UNREADABLE = "unreadable"


QUARANTINED = frozenset(
    {
        Result.NO_REPORT,
        Result.NO_TOKEN,
        Result.FORGED,
        Result.EXPIRED,
        Result.UNKNOWN_MESSAGE,
        Result.UNREADABLE,
    }
)
"""Mails that a person may want to look at: they change nothing."""


class Returned(NamedTuple):
    """What a mail means.

    Attributes:
        result: what became of it.
        message_id: the message it names; empty where it names none.
        named: what its mark says of that message; None where it quotes no mark of it.
        verdict: of the last server's answer, where a mail bounced.
        code: status code of that answer.
        at_ms: when it was reported.
        report: of it, to be judged again when a lookup has found its user.
    """

    result: Result
    message_id: str = ""
    named: Marked | None = None
    verdict: Verdict | None = None
    code: str = ""
    at_ms: int = 0
    report: Report | None = None

    @property
    def kind(self) -> str:
        """Name the kind of its receipt; empty where it has none."""
        return _KINDS.get(self.result, "")

    def about(self, named: Marked) -> "Returned":
        """Judge it as a report on this message: it may be about another address than the message's own."""
        if self.report is None:
            return self
        judged = _judged(self.report, named)
        return self._replace(result=judged.result, verdict=judged.verdict, code=judged.code, named=named)

    def receipt(self, named: Marked) -> ReceiptEvent:
        """Write the receipt; its id is the same each time, so a second reading changes nothing."""
        reason = self.result.value if self.kind == "bounced" else ""
        return ReceiptEvent(
            tenant=named.tenant,
            user=named.user,
            kind=self.kind,
            message_id=named.message_id,
            notification_id=named.notification_id,
            channel=named.channel,
            target=named.target,
            at_ms=self.at_ms,
            code=self.code,
            reason=reason,
            receipt_id=digest("returned mail", named.message_id, self.kind, reason),
            origin=named.origin,
            notification=named.notification,
            category=named.category,
        )


_KINDS: Mapping[Result, str] = {
    Result.PERMANENT: "bounced",
    Result.TRANSIENT: "bounced",
    Result.COMPLAINED: "complained",
    Result.DELIVERED: "delivered",
}


class Keys(NamedTuple):
    """What makes a mail believable.

    Attributes:
        paths: opens tokens.
        marks: opens marks.
        days: how long a token is believed.
    """

    paths: ReturnPaths
    marks: Marks
    days: int = 60


def understand(raw: bytes, keys: Keys, received_ms: int, recipients: Iterable[str] = ()) -> Returned:
    """Say what a mail that came back means.

    Args:
        raw: the mail.
        keys: opens tokens and marks.
        received_ms: when it arrived; a report's own time counts if it is earlier.
        recipients: of its envelope, where they are known.
    """
    try:
        mail = read_mail(raw)
        report = read_report(mail)
        named = _names(mail, keys, received_ms, recipients)
        judged = _judged(report, named.named)
    except (UnreadableMailError, ValueError, LookupError, RecursionError):
        return Returned(Result.UNREADABLE)
    if named.result is not Result.NO_REPORT:
        return named
    return judged._replace(
        message_id=named.message_id,
        named=named.named,
        at_ms=_reported_ms(mail, received_ms),
        report=report,
    )


def _names(mail: Mail, keys: Keys, received_ms: int, recipients: Iterable[str]) -> Returned:
    """Find the message that a mail names; with `NO_REPORT` it may be believed."""
    texts = [" ".join(recipients), *mail.texts()]
    candidates = list(dict.fromkeys(token for text in texts for token in tokens_in(text)))[:MAX_CANDIDATES]
    marks = list(dict.fromkeys(mark for text in texts for mark in _MARK.findall(text)))[:MAX_CANDIDATES]
    named = [found for found in map(keys.marks.open, marks) if found is not None]
    token = next(filter(None, map(keys.paths.read, candidates)), None)
    if token is not None:
        expired = token.is_expired(received_ms, keys.days)
        its_own = next((one for one in named if one.message_id == token.message_id), None)
        return Returned(Result.EXPIRED if expired else Result.NO_REPORT, token.message_id, its_own)
    if named:
        return Returned(Result.NO_REPORT, named[0].message_id, named[0])
    return Returned(Result.FORGED if candidates or marks else Result.NO_TOKEN)


def _judged(report: Report, named: Marked | None) -> Returned:
    if report.kind is ReportKind.COMPLAINT:
        return Returned(Result.COMPLAINED)
    if report.kind is ReportKind.AUTO_REPLY:
        return Returned(Result.AUTO_REPLY)
    if report.kind is ReportKind.NONE:
        return Returned(Result.NO_REPORT)
    return _delivery(_about_us(report.failures, named.target if named else ""), named)


def _about_us(failures: tuple[Failure, ...], target: str) -> tuple[Failure, ...]:
    """Choose the recipients of a report that are the message's own, by the hash of its address.

    A report may name others: the members of an alias, or other recipients of the same transaction.
    """
    exact = tuple(one for one in failures if target and _is_address(one.recipient, target))
    return exact or failures


def _delivery(failures: tuple[Failure, ...], named: Marked | None) -> Returned:
    """Judge by the mildest of the recipients: where one is not dead, the address is not."""
    actions = {failure.action for failure in failures}
    failed = [failure for failure in failures if failure.action == "failed"]
    if not failed:
        waits = "delayed" in actions or not actions & {"delivered"}
        return Returned(Result.DELAYED if waits else Result.DELIVERED)
    judgements = [(judge(failure), failure) for failure in failed]
    judged, about = min(judgements, key=lambda pair: pair[0].is_permanent)
    alone = len(failed) == len(failures) and not _is_alias(failures, named)
    return _bounced(judged, permanent=judged.is_permanent and alone and not _is_forwarded(about, named))


def _bounced(judged: Judgement, *, permanent: bool) -> Returned:
    result = Result.PERMANENT if permanent else Result.TRANSIENT
    return Returned(result, verdict=judged.verdict, code=judged.code)


def _is_address(address: str, target: str) -> bool:
    """Tell whether an address is the message's own, in any spelling."""
    return any(target_id(spelling) == target for spelling in spellings(address))


def _is_alias(failures: tuple[Failure, ...], named: Marked | None) -> bool:
    """Tell whether a report names several addresses and none is ours: the members of an alias."""
    ours = named is not None and any(_is_address(each.recipient, named.target) for each in failures)
    return not ours and len({each.recipient.lower() for each in failures}) > 1


def _is_forwarded(failure: Failure, named: Marked | None) -> bool:
    """Tell whether the dead address is one that ours forwards to: an alias lives on without one member.

    OpenSMTPD, qmail and nullmailer name that member alone. A name without a domain proves nothing.
    """
    if named is None or "@" not in failure.recipient:
        return False
    return not _is_address(failure.recipient, named.target)


def _reported_ms(mail: Mail, received_ms: int) -> int:
    try:
        at = parsedate_to_datetime(mail.header("Date"))
        at_ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (TypeError, ValueError, OverflowError):
        return received_ms
    return at_ms if 0 < at_ms < received_ms else received_ms
