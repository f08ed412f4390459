"""Reads what Twilio reports of messages and calls: checks who sent it, and writes it as a receipt. Pure."""

from collections.abc import Mapping

from pydantic import SecretStr

from tocsin.formats.marks import MARK_FIELD
from tocsin.formats.replies import reply_kind
from tocsin.model.engagement import MACHINE
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.report_fields import unknown_kind
from tocsin.providers.reports import Posted, Reported, gathered, refuse, reports
from tocsin.providers.twilio_api import TwilioCredentials
from tocsin.providers.twilio_signature import covers_body, is_signed

GONE = frozenset({"30005", "30006", "63003", "63024"})
"""Codes of a number that is dead: unknown, a landline, no WhatsApp."""
OPTED_OUT = frozenset({"21610"})

_KINDS: Mapping[str, str] = {
    "delivered": "delivered",
    "read": "opened",
    "failed": "bounced",
    "undelivered": "bounced",
    "completed": "delivered",
    "busy": "bounced",
    "no-answer": "bounced",
    "canceled": "bounced",
}
"""Status of a message or call to kind of receipt."""
QUIET = frozenset(
    {
        "", "accepted", "queued", "scheduled", "sending", "sent", "partially_delivered", "receiving",
        "received", "initiated", "ringing", "in-progress", "answered",
    }
)  # fmt: skip
"""Statuses that change nothing; the kind of one that nobody knows is its own word."""


def is_genuine(token: str, url: str, fields: Mapping[str, str], signature: str) -> bool:
    """Tell whether Twilio signed a form, as `X-Twilio-Signature` claims.

    Args:
        token: the account's auth token, also where messages are sent with an API key.
        url: the address as Twilio called it, with its query: behind a proxy, the public one.
        fields: of the form, decoded, as they came.
        signature: the header; empty if there is none.
    """
    return is_signed(token, url, fields.items(), signature)


@reports("twilio", "twilio-whatsapp", "twilio-voice")
def read(account: TwilioCredentials, posted: Posted) -> Reported:
    """Check and read a webhook: a report of a message or call, or a message that came in.

    Raises:
        ReportError: see `ReportReader.read`.
    """
    own = SecretStr("") if account.key_sid else account.auth_token
    token = account.webhook_token.get_secret_value() or own.get_secret_value()
    if not token:
        msg = "the account sends with an API key and has no `webhook_token`"
        raise refuse(msg, "unconfigured")
    pairs = posted.form() if posted.is_form() else []
    signed = posted.headers.get("x-twilio-signature", "")
    if not is_signed(token, posted.full_url, pairs, signed):
        msg = "X-Twilio-Signature does not fit the address and the form"
        raise refuse(msg)
    if not posted.is_form() and posted.body and not covers_body(posted.full_url, posted.body):
        msg = "the signature does not cover the body"
        raise refuse(msg)
    fields = dict(pairs)
    found = reply_of(fields) if _is_incoming(fields) else receipt_of(fields, posted.query_fields())
    return gathered([found])


def reply_of(fields: Mapping[str, str]) -> ReceiptEvent | None:
    """Write a message that came in as a receipt about its sender; None if it is no stop or start.

    >>> reply_of({"MessageSid": "SM1", "From": "+1555", "Body": "Stop"}).kind
    'opted_out'
    """
    told = fields.get("OptOutType", "").lower()
    kind = {"stop": "opted_out", "start": "resubscribed"}.get(told) or reply_kind(fields.get("Body", ""))
    sender, sid = fields.get("From", "").removeprefix("whatsapp:"), fields.get("MessageSid", "")
    if told == "help" or not kind or not sender:
        return None
    return ReceiptEvent(
        kind=kind, address=sender, provider="twilio", provider_message_id=sid, receipt_id=f"{sid}/{kind}"
    )


def _is_incoming(fields: Mapping[str, str]) -> bool:
    return fields.get("SmsStatus") == "received" or ("Body" in fields and "MessageStatus" not in fields)


def receipt_of(fields: Mapping[str, str], query: Mapping[str, str]) -> ReceiptEvent | None:
    """Write a report as a receipt; None if it changes nothing.

    Args:
        fields: of the form.
        query: of the address, which has the message's id and mark.

    >>> receipt_of({"MessageSid": "SM1", "MessageStatus": "delivered"}, {"tocsin_mark": "m"}).kind
    'delivered'
    """
    sid = fields.get("MessageSid") or fields.get("CallSid", "")
    status = fields.get("MessageStatus") or fields.get("CallStatus", "")
    code = fields.get("ErrorCode") or fields.get("SipResponseCode", "")
    kind = _kind(status, code)
    if not kind:
        return None
    by_machine = fields.get("AnsweredBy", "").startswith(("machine", "fax"))
    return ReceiptEvent(
        kind=kind,
        mark=query.get(MARK_FIELD, ""),
        message_id=query.get("message_id", ""),
        address="" if query.get(MARK_FIELD) else fields.get("To", "").removeprefix("whatsapp:"),
        provider="twilio",
        provider_message_id=sid,
        code=code,
        reason=MACHINE if by_machine else status.replace("-", "_") if kind == "bounced" else "",
        receipt_id=f"{sid}/{status}",
    )


def _kind(status: str, code: str) -> str:
    kind = _KINDS.get(status, "" if status in QUIET else unknown_kind("twilio", status))
    if kind != "bounced":
        return kind
    return "gone" if code in GONE else "opted_out" if code in OPTED_OUT else kind
