"""Reads what SES reports through SNS: checks topic and signature, and writes events as receipts. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from tocsin.formats.marks import MARK_FIELD, MARK_HEADER
from tocsin.model.ids import digest
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers import sns_signature as sns
from tocsin.providers.report_fields import About, as_reason, at, decoded, mark_robot, text, unknown_kind
from tocsin.providers.reports import Posted, Reported, check_age, check_configured, gathered, refuse, reports
from tocsin.providers.ses import SesAccount

MAX_AGE_S = 7_200
"""SNS signs once and repeats for an hour at most."""

_KINDS: Mapping[str, str] = {
    "Delivery": "delivered",
    "Open": "opened",
    "Click": "clicked",
    "Bounce": "bounced",
    "Complaint": "complained",
    "Reject": "bounced",
    "Rendering Failure": "bounced",
    "Subscription": "unsubscribed",
}
QUIET = frozenset({"", "Send", "DeliveryDelay"})
"""Events that change nothing; the kind of one that nobody knows is its own word."""
_PLACES: Mapping[str, tuple[str, str]] = {
    "Bounce": ("bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complainedRecipients"),
    "Delivery": ("delivery", "recipients"),
}
"""Event to the place of the recipients that it is about."""


def certificate_url(account: SesAccount, posted: Posted) -> str:
    """Return the address of the certificate to fetch; empty where the account has it.

    Raises:
        ReportError: the topic is none of the account's, or the address is none of Amazon's.
    """
    envelope = _envelope(account, posted)
    url = text(envelope, "SigningCertURL")
    if account.topic_certificate:
        return ""
    if not sns.is_amazons(url, path_end=".pem"):
        msg = "SigningCertURL leads to none of Amazon's servers"
        raise refuse(msg)
    return url


@reports("ses", certificate_url=certificate_url)
def read(account: SesAccount, posted: Posted) -> Reported:
    """Check and read a message of SNS: an event of SES, or the confirmation of a subscription.

    Raises:
        ReportError: see `ReportReader.read`.
    """
    envelope = _envelope(account, posted)
    if not sns.is_signed(envelope, account.topic_certificate.encode() or posted.certificate):
        msg = "Signature does not fit the message"
        raise refuse(msg)
    signed_s = _milliseconds(text(envelope, "Timestamp")) / 1_000
    check_age(signed_s, posted.now_s, MAX_AGE_S)
    if envelope["Type"] == sns.SUBSCRIPTION:
        return Reported(confirm=_confirming(envelope))
    if envelope["Type"] != sns.NOTIFICATION:
        return Reported(ignored=1)
    return gathered(_receipts(text(envelope, "Message")))


def _envelope(account: SesAccount, posted: Posted) -> dict[str, Any]:
    check_configured(account.topics, "topics")
    envelope = decoded(posted.body)
    # Anybody may subscribe a topic of theirs to this address, and SNS signs what it posts.
    if not isinstance(envelope, dict) or text(envelope, "TopicArn") not in account.topics:
        msg = "TopicArn is none of the account's topics"
        raise refuse(msg)
    return envelope


def _confirming(envelope: Mapping[str, Any]) -> str:
    url = text(envelope, "SubscribeURL")
    if not sns.is_amazons(url):
        msg = "SubscribeURL leads to none of Amazon's servers"
        raise refuse(msg)
    return url


def _receipts(message: str) -> list[ReceiptEvent | None]:
    if not message.startswith("{"):  # "Successfully validated SNS topic for Amazon SES event publishing."
        return [None]
    event = decoded(message.encode("utf-8", "replace"))
    return receipts_of(event)


def receipts_of(event: object) -> list[ReceiptEvent | None]:
    """Write an event as receipts, one for each recipient that it is about; None if it changes nothing.

    >>> event = {"eventType": "Delivery", "mail": {"messageId": "1", "tags": {"tocsin_mark": ["m"]}}}
    >>> [receipt.kind for receipt in receipts_of(event)]
    ['delivered']
    """
    name = text(event, "eventType") or text(event, "notificationType")
    kind, reason = _meaning(event, name)
    if name in QUIET or not kind:
        return [None]
    of = About(_mark(event), text(event, "mail", "tags", "message_id"))
    sent = text(event, "mail", "messageId")
    addresses = [""] if of.mark or of.message_id else list(_addresses(event, name)) or [""]
    at_time, agent = _own_time(event, name), text(event, name.lower(), "userAgent")
    receipt = ReceiptEvent(
        kind=kind,
        mark=of.mark,
        message_id=of.message_id,
        at_ms=_milliseconds(at_time),
        provider="ses",
        provider_message_id=sent,
        reason=reason,
    )
    about_each = ("ses", sent, name, at_time, text(event, "click", "link"))
    return [
        mark_robot(replace(receipt, address=each, receipt_id=digest(*about_each, each)), agent)
        for each in addresses
    ]


def _meaning(event: object, name: str) -> tuple[str, str]:
    """Return the kind and the reason of an event's receipt; an empty kind changes nothing."""
    if name == "Bounce":
        of = text(event, "bounce", "bounceType").lower()
        return "bounced", "permanent" if of == "permanent" else of or "undetermined"
    if name == "Complaint":
        if text(event, "complaint", "complaintFeedbackType") == "not-spam":
            return "", ""
        listed = text(event, "complaint", "complaintSubType") == "OnAccountSuppressionList"
        return ("opted_out", "suppression_list") if listed else ("complained", "")
    if name == "Subscription" and not _is_opt_out(event):
        return "", ""
    kind = _KINDS.get(name) or unknown_kind("ses", name)
    return kind, as_reason(name) if kind == "bounced" else ""


def _is_opt_out(event: object) -> bool:
    wanted = at(event, "subscription", "newTopicPreferences")
    topics = at(wanted, "topicSubscriptionStatus") or at(wanted, "topicDefaultSubscriptionStatus")
    out = (
        [text(each, "subscriptionStatus") == "OptOut" for each in topics if isinstance(topics, list)]
        if topics
        else []
    )
    return at(wanted, "unsubscribeAll") is True or any(out)


def _mark(event: object) -> str:
    """Return the mark of a message: a tag, or its header where it is too long for a tag."""
    if found := text(event, "mail", "tags", MARK_FIELD):
        return found
    headers = at(event, "mail", "headers")
    listed = headers if isinstance(headers, list) else []
    return next(
        (text(one, "value") for one in listed if text(one, "name").lower() == MARK_HEADER.lower()), ""
    )


def _addresses(event: object, name: str) -> Iterator[str]:
    found = at(event, *_PLACES.get(name, ("mail", "destination")))
    for each in found if isinstance(found, list) else ():
        address = each if isinstance(each, str) else text(each, "emailAddress")
        if address:
            yield address


def _own_time(event: object, name: str) -> str:
    return text(event, name.replace(" ", "").lower(), "timestamp") or text(event, "mail", "timestamp")


def _milliseconds(written: str) -> int:
    try:
        at_time = datetime.fromisoformat(written)
    except ValueError:
        return 0
    return int((at_time if at_time.tzinfo else at_time.replace(tzinfo=UTC)).timestamp() * 1_000)
