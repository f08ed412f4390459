"""Twilio Programmable Messaging: one SMS, one form POST."""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from pydantic import Field, SecretStr

from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    LimitReached,
    Misconfigured,
    OptedOut,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import Outgoing, SmsContent
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.form import form_text
from tocsin.providers.http import Clock, Response, Transport, retry_after_s
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_size, content_of, marked

LIMITS = Limits(max_chars=1600, rate_per_s=2000, timeout_s=10)

MAX_VALIDITY_S = 36_000

ERRORS: Mapping[int, type[DeliveryError]] = {
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
    20003: Misconfigured,
    20008: Misconfigured,
    20404: Misconfigured,
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
    20429: Throttled,
    20500: Transient,
    20503: Transient,
    21611: Transient,
    63038: LimitReached,
}
"""Twilio's `code` to error; other codes are classed by HTTP status.

21659 to 21661 are a sender that is not the account's or carries no SMS, 21701 is a messaging service that
does not exist, 63038 is the account's limit of messages a day (twilio.com/docs/api/errors).
"""

DAY_LIMIT_WAIT_S = 14_400.0
"""Seven attempts under a daily limit span 24 hours."""

ABOUT: Mapping[int, About] = {21408: About.MESSAGE, 21608: About.MESSAGE}
"""Code to what it is about, where its error's class says otherwise.

A country that is not enabled and a number that a trial account has not verified: other numbers are served.
"""

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")


class TwilioAccount(HttpAccount):
    """Settings of a Twilio account.

    Attributes:
        key_sid: sid of an API key; without it `auth_token` is the account's own token.
        sender: a number, a name, or a messaging service (`MG…`); content may name another.
        status_callback: where Twilio reports delivery; the message's id and mark are added as a query.
        smart_encoded: let Twilio replace typographic characters that make an SMS dearer.
    """

    vendor: Literal["twilio"]
    account_sid: Annotated[str, Field(pattern=r"^AC[0-9a-fA-F]{32}$")]
    auth_token: SecretStr
    key_sid: Annotated[str, Field(pattern=r"^(SK[0-9a-fA-F]{32})?$")] = ""
    sender: str = ""
    status_callback: Url | Literal[""] = ""
    smart_encoded: bool = False
    base_url: Url = "https://api.twilio.com"


@provider("twilio", Channel.SMS, TwilioAccount, reports={Level.DELIVERED})
class TwilioSms:
    """Sends SMS. A 201 means queued at Twilio; what became of it comes by status callback."""

    channel = Channel.SMS

    def __init__(self, name: str, account: TwilioAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        self._url = f"{account.base_url}/2010-04-01/Accounts/{account.account_sid}/Messages.json"
        login = f"{account.key_sid or account.account_sid}:{account.auth_token.get_secret_value()}"
        self._headers = {
            "authorization": f"Basic {b64encode(login.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }

    def accepts(self, message: Message) -> bool:
        """Carry every SMS."""
        return message.channel == Channel.SMS

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one SMS; see `Provider.send`."""
        content = content_of(outgoing, SmsContent)
        check_size(len(content.text), self.limits.max_chars, "the text in characters")
        form = self._form(outgoing, content)
        body = form_text(form).encode()
        answer = await self._transport.request("POST", self._url, self._headers, body, self.limits.timeout_s)
        if 200 <= answer.status < 300:
            made = _decode(answer.body)
            return Receipt(made.sid, str(answer.status))
        raise _error(answer, outgoing, self._clock())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def _form(self, outgoing: Outgoing, content: SmsContent) -> dict[str, str]:
        message = outgoing.message
        sender = content.sender or self._account.sender
        if not sender:
            msg = "neither the message nor the account names a sender"
            raise Misconfigured(msg, code="21603")
        name = "MessagingServiceSid" if _SERVICE.fullmatch(sender) else "From"
        form = {"To": message.target.address, name: sender, "Body": content.text}
        if self._account.status_callback:
            query = form_text(marked(message, outgoing.mark))
            form["StatusCallback"] = f"{self._account.status_callback}?{query}"
        if message.expires_ms:
            left_s = int(message.expires_ms / 1000 - self._clock())
            form["ValidityPeriod"] = str(min(max(left_s, 1), MAX_VALIDITY_S))
        if self._account.smart_encoded:
            form["SmartEncoded"] = "true"
        return form


class _Answer(msgspec.Struct):
    sid: str = ""
    code: int | None = None
    message: str | None = None


def _decode(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer()


def _error(answer: Response, outgoing: Outgoing, now_s: float) -> DeliveryError:
    refusal = _decode(answer.body)
    kind = ERRORS.get(refusal.code or 0) or _by_status(answer.status, refused=refusal.code is not None)
    text = clean(refusal.message or "", outgoing) or f"HTTP {answer.status}"
    code = str(refusal.code or answer.status)
    wait_s = retry_after_s(answer.headers, now_s) if kind in (Throttled, Transient) else None
    wait_s = DAY_LIMIT_WAIT_S if kind is LimitReached else wait_s
    return kind(text, code=code, retry_after_s=wait_s, about=ABOUT.get(refusal.code or 0))


def _by_status(status: int, *, refused: bool) -> type[DeliveryError]:
    """Class what the table does not name. A 5xx that Twilio itself did not write leaves the outcome open."""
    if status >= 500:
        return Transient if refused else Unknown
    if status == 429:
        return Throttled
    if status == 408:
        return Transient
    if status in (401, 403, 404) or status < 400:
        return Misconfigured
    return Rejected
