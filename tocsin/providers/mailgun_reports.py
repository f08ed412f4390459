"""Reads Mailgun's webhooks: checks who signed them, and writes each as a receipt. Pure.

The signature covers a timestamp and a token, and nothing of the event. Whoever saw one webhook could post
another event with its signature, so the receiver must take a token once (`Reported.once`).
"""

import hmac
from collections.abc import Mapping

from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.mailgun import MailgunAccount
from tocsin.providers.report_fields import (
    about,
    as_reason,
    at,
    decoded,
    mark_robot,
    milliseconds,
    seconds,
    text,
    unknown_kind,
)
from tocsin.providers.reports import Posted, Reported, check_age, check_configured, gathered, refuse, reports

MAX_AGE_S = 43_200
"""12 hours: Mailgun repeats for some 8 what nobody took, and does not say whether it signs anew."""

_KINDS: Mapping[str, str] = {
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "failed": "bounced",
    "rejected": "bounced",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}
QUIET = frozenset({"accepted", "stored", "list_member_uploaded"})
"""Events that change nothing; the kind of one that nobody knows is its own word."""
_SUPPRESSED: Mapping[str, tuple[str, str]] = {
    "suppress-bounce": ("bounced", "permanent"),
    "suppress-unsubscribe": ("opted_out", "suppress_unsubscribe"),
    "suppress-complaint": ("opted_out", "suppress_complaint"),
}
_GAVE_UP = frozenset({"499", "602"})
"""Codes of mail that Mailgun stopped trying: the address may be good."""
_OF_THE_ADDRESS = frozenset({"bounce", "generic"})


@reports("mailgun")
def read(account: MailgunAccount, posted: Posted) -> Reported:
    """Check and read a webhook, which has one event.

    Raises:
        ReportError: see `ReportReader.read`.
    """
    key = account.webhook_key.get_secret_value()
    check_configured(key, "webhook_key")
    given = decoded(posted.body)
    stamp, token = text(given, "signature", "timestamp"), text(given, "signature", "token")
    if not is_signed(key, stamp, token, text(given, "signature", "signature")):
        msg = "the signature does not fit timestamp and token"
        raise refuse(msg)
    check_age(seconds(stamp), posted.now_s, MAX_AGE_S)
    return gathered([receipt_of(at(given, "event-data"))])._replace(once=f"{stamp}/{token}")


def is_signed(key: str, stamp: str, token: str, signature: str) -> bool:
    """Tell whether a signature is that of a timestamp and a token.

    Args:
        key: the account's HTTP webhook signing key.
        stamp: the timestamp as it came.
        token: the token as it came; an empty one is never signed.
        signature: of both, in hexadecimal.
    """
    expected = hmac.digest(key.encode(), f"{stamp}{token}".encode(), "sha256").hex()
    return bool(token) and hmac.compare_digest(expected.encode(), signature.encode())


def receipt_of(event: object) -> ReceiptEvent | None:
    """Write an event as a receipt; None if it changes nothing.

    >>> receipt_of({"event": "failed", "severity": "permanent", "reason": "bounce", "id": "a"}).reason
    'permanent'
    """
    name = text(event, "event")
    if not name or name in QUIET or (name == "failed" and text(event, "severity") == "temporary"):
        return None
    kind, reason = _meaning(event, name)
    of, at_ms = about(event, "user-variables"), milliseconds(event, "timestamp")
    client = at(event, "client-info")
    receipt = ReceiptEvent(
        kind=kind,
        mark=of.mark,
        message_id=of.message_id,
        address="" if of.mark else text(event, "recipient"),
        at_ms=at_ms,
        provider="mailgun",
        provider_message_id=text(event, "message", "headers", "message-id").strip("<>"),
        receipt_id=f"{at_ms // 86_400_000}/{text(event, 'id')}",  # an id is unique within its day only
        code=text(event, "delivery-status", "code")[:20],
        reason=reason,
    )
    return mark_robot(receipt, text(client, "user-agent"), is_robot=text(client, "bot") != "")


def _meaning(event: object, name: str) -> tuple[str, str]:
    """Return the kind and the reason of an event's receipt."""
    if name == "rejected":
        return "bounced", "rejected"
    if name != "failed":
        return _KINDS.get(name) or unknown_kind("mailgun", name), ""
    why, code = text(event, "reason"), text(event, "delivery-status", "code")
    if why in _SUPPRESSED:
        return _SUPPRESSED[why]
    is_dead = why in _OF_THE_ADDRESS and code not in _GAVE_UP
    return "bounced", "permanent" if is_dead else as_reason(why) or "failed"
