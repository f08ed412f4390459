"""Reads SendGrid's event webhook: checks who signed it, and writes its events as receipts. Pure."""

from collections.abc import Mapping

from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.report_fields import (
    about,
    as_reason,
    at,
    events_of,
    mark_robot,
    milliseconds,
    seconds,
    text,
    unknown_kind,
)
from tocsin.providers.reports import Posted, Reported, check_age, check_configured, gathered, refuse, reports
from tocsin.providers.sendgrid import SendGridAccount
from tocsin.providers.sendgrid_signature import is_signed

MAX_AGE_S = 90_000
"""25 hours: SendGrid repeats for a day what nobody took, and does not say whether it signs anew."""
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

_KINDS: Mapping[str, str] = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "dropped": "bounced",
    "spamreport": "complained",
    "unsubscribe": "opted_out",
    "group_unsubscribe": "unsubscribed",
}
"""Event to kind of receipt. `unsubscribe` is about all mail: SendGrid drops what comes after it."""
QUIET = frozenset({"processed", "deferred", "group_resubscribe"})
"""Events that change nothing; the kind of one that nobody knows is its own word."""
_DROPPED: Mapping[str, str] = {
    "bounced_address": "bounced",
    "invalid": "bounced",
    "unsubscribed_address": "opted_out",
    "spam_reporting_address": "opted_out",
}
"""Reasons of drops that are about the address: SendGrid has it on a list."""


@reports("sendgrid", max_bytes=8 << 20)
def read(account: SendGridAccount, posted: Posted) -> Reported:
    """Check and read a webhook, which has many events.

    Raises:
        ReportError: see `ReportReader.read`.
    """
    check_configured(account.webhook_key, "webhook_key")
    stamp = posted.headers.get(TIMESTAMP, "")
    if not is_signed(account.webhook_key, stamp, posted.body, posted.headers.get(SIGNATURE, "")):
        msg = "the signature does not fit the timestamp and the body"
        raise refuse(msg)
    check_age(seconds(stamp), posted.now_s, MAX_AGE_S)
    return gathered(map(receipt_of, events_of(posted.body)))


def receipt_of(event: object) -> ReceiptEvent | None:
    """Write an event as a receipt; None if it changes nothing.

    >>> receipt_of({"event": "open", "tocsin_mark": "m", "sg_machine_open": True}).reason
    'machine'
    """
    name = text(event, "event")
    if not name or name in QUIET:
        return None
    kind, reason = _meaning(event, name)
    of = about(event)
    receipt = ReceiptEvent(
        kind=kind,
        mark=of.mark,
        message_id=of.message_id,
        address="" if of.mark else text(event, "email"),
        at_ms=milliseconds(event, "timestamp"),
        provider="sendgrid",
        provider_message_id=text(event, "sg_message_id").partition(".")[0],
        code=text(event, "status")[:20],
        reason=reason,
        receipt_id=text(event, "sg_event_id"),
    )
    return mark_robot(receipt, text(event, "useragent"), is_robot=at(event, "sg_machine_open") is True)


def _meaning(event: object, name: str) -> tuple[str, str]:
    """Return the kind and the reason of an event's receipt."""
    if name == "bounce":
        kind = text(event, "type") or "bounce"
        return "bounced", "permanent" if kind == "bounce" else as_reason(kind)
    if name == "dropped":
        why = as_reason(text(event, "reason"))
        kind = _DROPPED.get(why, "bounced")
        return kind, "permanent" if kind == "bounced" and why in _DROPPED else why or "dropped"
    return _KINDS.get(name) or unknown_kind("sendgrid", name), ""
