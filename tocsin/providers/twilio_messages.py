"""What Twilio's messages have in common, SMS and WhatsApp: limits, errors, sender and validity."""

import re
from collections.abc import Mapping

from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    LimitReached,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Transient,
)
from tocsin.model.message import Message
from tocsin.providers.base import Limits
from tocsin.providers.twilio_api import COMMON, Codes

LIMITS = Limits(max_chars=1600, rate_per_s=2000, timeout_s=10)

MAX_VALIDITY_S = 36_000

ERRORS: Mapping[int, type[DeliveryError]] = {
    **COMMON,
    # the address
    21211: RecipientGone,
    21614: RecipientGone,
    # opt-out
    21610: OptedOut,
    # content
    21602: Rejected,
    21604: Rejected,
    21617: Rejected,
    21619: Rejected,
    21620: Rejected,
    21623: Rejected,
    21654: Rejected,
    21655: Rejected,
    21656: Rejected,
    # the pair of numbers: another account has another sender
    21612: Declined,
    # configuration
    21212: Misconfigured,
    21408: Misconfigured,
    21603: Misconfigured,
    21606: Misconfigured,
    21608: Misconfigured,
    21659: Misconfigured,
    21660: Misconfigured,
    21661: Misconfigured,
    21701: Misconfigured,
    21703: Misconfigured,
    21704: Misconfigured,
    21705: Misconfigured,
    21910: Misconfigured,
    # later
    14107: Transient,
    21611: Transient,
    63038: LimitReached,
}
"""Twilio's `code` to error; other codes are classed by HTTP status.

21659 to 21661 are a sender that is not the account's or carries no SMS, 21701 is a messaging service that
does not exist, 63038 is the account's limit of messages a day (twilio.com/docs/api/errors).
"""

ABOUT: Mapping[int, About] = {21408: About.MESSAGE, 21608: About.MESSAGE}
"""Code to what it is about, where its error's class says otherwise.

A country that is not enabled and a number that a trial account has not verified: other numbers are served.
"""

CODES = Codes(ERRORS, ABOUT)

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")


def sender_field(sender: str) -> dict[str, str]:
    """Build the field that names the sender: a messaging service, or else a number or name.

    Raises:
        Misconfigured: there is none.
    """
    if not sender:
        msg = "neither the message nor the account names a sender"
        raise Misconfigured(msg, code="21603")
    return {"MessagingServiceSid" if _SERVICE.fullmatch(sender) else "From": sender}


def validity(message: Message, now_s: float) -> dict[str, str]:
    """Build the field that says how long Twilio may queue it; empty for a message that does not expire."""
    if not message.expires_ms:
        return {}
    left_s = int(message.expires_ms / 1000 - now_s)
    return {"ValidityPeriod": str(min(max(left_s, 1), MAX_VALIDITY_S))}
