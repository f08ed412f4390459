"""Twilio Programmable Messaging: one SMS, one form POST."""

from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec
from pydantic import Field

from tocsin.errors import Misconfigured
from tocsin.model.content import Outgoing, SmsContent
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_search
from tocsin.providers.base import Receipt
from tocsin.providers.form import form_text
from tocsin.providers.http import Clock, Transport
from tocsin.providers.registry import provider
from tocsin.providers.twilio_api import TwilioApi, TwilioCredentials
from tocsin.providers.twilio_messages import CODES, LIMITS, sender_field, validity
from tocsin.providers.vendor import check_size, content_of

_NEWEST = 100
"""Messages to one number that are looked through."""


class TwilioAccount(TwilioCredentials):
    """Settings of a Twilio account that sends SMS.

    Attributes:
        sender: a number, a name, or a messaging service (`MG…`); content may name another.
        smart_encoded: let Twilio replace typographic characters that make an SMS dearer.
        ask_after_s: how long after a call without an answer Twilio is asked for the message.
    """

    vendor: Literal["twilio"]
    sender: str = ""
    smart_encoded: bool = False
    ask_after_s: float = Field(5, ge=0, le=3_600)


@provider("twilio", Channel.SMS, TwilioAccount, reports={Level.DELIVERED})
class TwilioSms:
    """Sends SMS. A 201 means queued at Twilio; what became of it comes by status callback."""

    channel = Channel.SMS

    def __init__(self, name: str, account: TwilioAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self.ask_after_s = account.ask_after_s
        self._account = account
        self._clock = clock
        self._api = TwilioApi(account, transport, clock, self.limits.timeout_s)

    def accepts(self, message: Message) -> bool:
        """Carry every SMS."""
        return message.channel == Channel.SMS

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one SMS; see `Provider.send`."""
        content = content_of(outgoing, SmsContent)
        check_size(len(content.text), self.limits.max_chars, "the text in characters")
        return await self._api.send("Messages", self._form(outgoing, content), outgoing, CODES)

    async def verify(self) -> str:
        """Ask for the account; see `Verifiable.verify`."""
        return await self._api.verify()

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        """Look among the newest messages to the number for one with this text; see `AskableProvider.find`.

        Twilio's list has no field of ours. Two messages with one text to one number count as one. The filter
        by `DateSent` is not used: a message that is still queued has none.

        Raises:
            DeliveryError: as `send`; `Misconfigured` where Twilio may change the text.
        """
        if self._account.smart_encoded:
            msg = "with smart_encoded Twilio changes texts: they cannot be compared"
            raise Misconfigured(msg)
        text = content_of(outgoing, SmsContent).text.strip()
        query = form_text({"To": outgoing.message.target.address, "PageSize": str(_NEWEST)})
        body = await self._api.get(f"/Messages.json?{query}", outgoing)
        listed = read_search(body, _List, "the list of messages", "list").messages
        # The list has whole seconds. A trial account puts a sentence before the text.
        found = [one for one in listed if one.body.strip().endswith(text)]
        return next((Receipt(one.sid, "found") for one in found if one.made_ms >= since_ms - 999), None)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def _form(self, outgoing: Outgoing, content: SmsContent) -> dict[str, str]:
        form = {"To": outgoing.message.target.address, **sender_field(content.sender or self._account.sender)}
        form |= {"Body": content.text, **self._api.callback(outgoing)}
        form |= validity(outgoing.message, self._clock())
        if self._account.smart_encoded:
            form["SmartEncoded"] = "true"
        return form


class _Listed(msgspec.Struct):
    sid: str = ""
    body: str = ""
    date_created: str = ""

    @property
    def made_ms(self) -> int:
        try:
            return round(parsedate_to_datetime(self.date_created).timestamp() * 1_000)
        except (ValueError, OverflowError):
            return 0


class _List(msgspec.Struct):
    messages: list[_Listed]
