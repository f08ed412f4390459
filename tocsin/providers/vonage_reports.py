"""Reads Vonage's delivery receipts: checks who signed them, and writes them as receipts of ours. Pure."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from tocsin.formats.marks import MARK_FIELD
from tocsin.formats.replies import reply_kind
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.report_fields import decoded, seconds, text, unknown_kind
from tocsin.providers.reports import Posted, Reported, check_configured, gathered, is_recent, refuse, reports
from tocsin.providers.vonage import VonageAccount
from tocsin.providers.vonage_signature import Method, signature

PERMANENT = frozenset({"3", "4"})
"""`err-code` of a number that is dead, or that its owner has barred."""
OPTED_OUT = frozenset({"9"})
MAX_AGE_S = 90_000
"""25 hours: Vonage repeats for a day what nobody took, and does not say whether it signs anew."""
QUIET = frozenset({"", "accepted", "buffered", "unknown"})
"""Statuses that change nothing; the kind of one that nobody knows is its own word."""

_FAILED = frozenset({"expired", "failed", "undelivered", "rejected"})


def is_genuine(fields: Mapping[str, str], secret: str, method: Method, now_s: float) -> bool:
    """Tell whether Vonage signed a report not long ago.

    Args:
        fields: its parameters, decoded, of the query, the form or the JSON: whichever the account sends. None
            of the query that is ours: Vonage signs its own only.
        secret: the account's signature secret.
        method: as the account's settings say.
        now_s: wall time in seconds.
    """
    if not is_recent(seconds(fields.get("timestamp", "")), now_s, MAX_AGE_S):
        return False
    expected = signature(fields, secret, method).lower()
    return hmac.compare_digest(expected.encode(), fields.get("sig", "").lower().encode())


@reports("vonage", by_get=True)
def read(account: VonageAccount, posted: Posted) -> Reported:
    """Check and read a webhook, in each of the three forms: GET, form, JSON.

    Raises:
        ReportError: see `ReportReader.read`.
    """
    secret = account.signature_secret.get_secret_value()
    check_configured(secret, "signature_secret")
    asked = posted.query_fields()
    fields = _fields(posted, asked)
    if not is_genuine(fields, secret, account.signature_method, posted.now_s):
        msg = "sig does not fit the parameters, or timestamp is too old"
        raise refuse(msg)
    found = reply_of(fields) if "text" in fields and "status" not in fields else receipt_of(fields, asked)
    return gathered([found])


def _fields(posted: Posted, asked: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters; those of a query without our own, which Vonage does not sign."""
    if posted.method == "GET":
        return {name: value for name, value in asked.items() if name not in (MARK_FIELD, "message_id")}
    if posted.is_form():
        return dict(posted.form())
    given = decoded(posted.body)
    return {name: text(given, name) for name in given} if isinstance(given, dict) else {}


def reply_of(fields: Mapping[str, str]) -> ReceiptEvent | None:
    """Write a message that came in as a receipt about its sender; None if it is no stop or start."""
    kind, sender = reply_kind(fields.get("text", "")), _international(fields.get("msisdn", ""))
    named = fields.get("messageId", "")
    if not kind or not sender:
        return None
    return ReceiptEvent(
        kind=kind,
        address=sender,
        at_ms=_reported_ms(fields),
        provider="vonage",
        provider_message_id=named,
        receipt_id=f"{named}/{kind}",
    )


def receipt_of(fields: Mapping[str, str], query: Mapping[str, str]) -> ReceiptEvent | None:
    """Write a delivery receipt as one of ours; None if it changes nothing.

    A text in parts has a delivery receipt for each, with an id of its own.

    Args:
        fields: its parameters.
        query: of the address that we gave: the message's id and mark.
    """
    status, code = fields.get("status", ""), fields.get("err-code", "")
    kind = _kind(status, code)
    if not kind:
        return None
    named, mark = fields.get("messageId", ""), query.get(MARK_FIELD, "")
    reason = "permanent" if code in PERMANENT else status
    return ReceiptEvent(
        kind=kind,
        mark=mark,
        # Vonage signs `client-ref`, and not our query: without a mark, that names no message.
        message_id=fields.get("client-ref") or (query.get("message_id", "") if mark else ""),
        address="" if mark else _international(fields.get("msisdn", "")),
        at_ms=_reported_ms(fields),
        provider="vonage",
        provider_message_id=named,
        code=code,
        reason=reason if kind == "bounced" else "",
        receipt_id=f"{named}/{status}",
    )


def _kind(status: str, code: str) -> str:
    if status == "delivered":
        return "delivered"
    if status not in _FAILED:
        return "" if status in QUIET else unknown_kind("vonage", status)
    return "opted_out" if code in OPTED_OUT else "bounced"


def _international(number: str) -> str:
    return f"+{number}" if number and not number.startswith("+") else number


def _reported_ms(fields: Mapping[str, str]) -> int:
    """Return when Vonage wrote a report, which its signature covers; 0 where it does not say."""
    try:
        at = datetime.fromisoformat(fields.get("message-timestamp", "")).replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(at.timestamp() * 1_000)
