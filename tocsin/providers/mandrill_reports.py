"""Reads Mandrill's webhooks: checks who signed them, and writes their events as receipts. Pure."""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping

from tocsin.model.ids import digest
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.mandrill import MandrillAccount
from tocsin.providers.report_fields import (
    about,
    as_reason,
    events_of,
    mark_robot,
    milliseconds,
    text,
    unknown_kind,
)
from tocsin.providers.reports import Posted, Reported, check_configured, gathered, refuse, reports

TEST_KEY = "test-webhook"
"""Signs the empty post by which Mandrill tries an address."""

_KINDS: Mapping[str, str] = {
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "hard_bounce": "bounced",
    "soft_bounce": "bounced",
    "reject": "bounced",
    "spam": "complained",
    "unsub": "unsubscribed",
}
QUIET = frozenset({"", "send", "deferral"})
"""Events that change nothing, those of lists among them, which have none of these names."""
_REJECTED: Mapping[str, tuple[str, str]] = {
    "hard-bounce": ("bounced", "permanent"),
    "invalid": ("bounced", "permanent"),
    "unsub": ("opted_out", "unsub"),
    "spam": ("opted_out", "spam"),
}
"""Reasons of rejects that are about the address: Mandrill has it on a list."""


@reports("mandrill", max_bytes=8 << 20, probes=True)
def read(account: MandrillAccount, posted: Posted) -> Reported:
    """Check and read a webhook, which has up to 1,000 events.

    Raises:
        ReportError: see `ReportReader.read`.
    """
    key = account.webhook_key.get_secret_value()
    check_configured(key, "webhook_key")
    pairs, given = posted.form(), posted.headers.get("x-mandrill-signature", "").encode()
    said = dict(pairs).get("mandrill_events", "")
    keys = (key, TEST_KEY) if said.strip() in ("", "[]") else (key,)
    signed = [signature(each, posted.full_url, pairs).encode() for each in keys]
    if not max([hmac.compare_digest(each, given) for each in signed]):
        msg = "X-Mandrill-Signature does not fit the address and the form"
        raise refuse(msg)
    return gathered(map(receipt_of, events_of(said.encode()) if said.strip() else []))


def signature(key: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """Sign an address and the fields of a form, by their names in order."""
    signed = url + "".join([f"{name}{value}" for name, value in sorted(fields)])
    return b64encode(hmac.digest(key.encode(), signed.encode(), "sha1")).decode("ascii")


def receipt_of(event: object) -> ReceiptEvent | None:
    """Write an event as a receipt; None if it changes nothing.

    >>> receipt_of({"event": "hard_bounce", "_id": "a", "msg": {"metadata": {"tocsin_mark": "m"}}}).reason
    'permanent'
    """
    name = text(event, "event")
    if name in QUIET:
        return None
    kind, reason = _meaning(event, name)
    of, sent = about(event, "msg", "metadata"), text(event, "_id")
    receipt = ReceiptEvent(
        kind=kind,
        mark=of.mark,
        message_id=of.message_id,
        address="" if of.mark else text(event, "msg", "email"),
        at_ms=milliseconds(event, "ts"),
        provider="mandrill",
        provider_message_id=sent,
        receipt_id=digest("mandrill", name, sent, text(event, "ts"), text(event, "url")),
        reason=reason,
    )
    return mark_robot(receipt, text(event, "user_agent"))


def _meaning(event: object, name: str) -> tuple[str, str]:
    """Return the kind and the reason of an event's receipt."""
    if name == "hard_bounce":
        return "bounced", "permanent"
    if name == "reject":
        why = text(event, "msg", "reject", "reason") or text(event, "msg", "reject")
        return _REJECTED.get(why, ("bounced", as_reason(why) or "reject"))
    return _KINDS.get(name) or unknown_kind("mandrill", name), "soft_bounce" if name == "soft_bounce" else ""
