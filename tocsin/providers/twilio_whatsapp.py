"""Twilio WhatsApp: a message of an approved template, or free text within the recipient's session."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
)
from tocsin.model.content import Outgoing, WhatsAppContent
from tocsin.model.engagement import Level
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers import twilio_messages
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.http import Clock, Transport
from tocsin.providers.registry import provider
from tocsin.providers.twilio_api import Codes, TwilioApi, TwilioCredentials
from tocsin.providers.twilio_messages import sender_field, validity
from tocsin.providers.vendor import check_size, content_of

LIMITS = Limits(max_chars=1600, rate_per_s=80, timeout_s=10)

ERRORS: Mapping[int, type[DeliveryError]] = {
    **twilio_messages.ERRORS,
    # the address
    63003: RecipientGone,
    63024: RecipientGone,
    # content and policy
    63005: Rejected,
    63013: Rejected,
    63016: Rejected,
    63021: Rejected,
    63032: Rejected,
    63033: Rejected,
    # configuration
    63001: Misconfigured,
    63002: Misconfigured,
    63007: Misconfigured,
    63020: Misconfigured,
    63041: Misconfigured,
    63051: Misconfigured,
    # later
    63010: Transient,
    63012: Transient,
    63018: Throttled,
}
"""Twilio's `code` to error. Most codes of WhatsApp come by status callback, some with the request.

63016 is free text outside the session: only an approved template may begin a conversation.
"""

ABOUT: Mapping[int, About] = {**twilio_messages.ABOUT, 63041: About.MESSAGE}
"""Code to what it is about, where its error's class says otherwise: 63041 is one template that is paused."""

CODES = Codes(ERRORS, ABOUT)

PREFIX = "whatsapp:"


class TwilioWhatsAppAccount(TwilioCredentials):
    """Settings of a Twilio account that sends WhatsApp messages.

    Attributes:
        sender: a WhatsApp number (`+…`) or a messaging service (`MG…`); content may name another.
    """

    vendor: Literal["twilio-whatsapp"]
    sender: Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{6,14}|MG[0-9a-fA-F]{32})?$")] = ""


@provider("twilio-whatsapp", Channel.WHATSAPP, TwilioWhatsAppAccount, reports={Level.DELIVERED, Level.OPENED})
class TwilioWhatsApp:
    """Sends WhatsApp messages. A 201 means queued at Twilio; what became of it comes by status callback."""

    channel = Channel.WHATSAPP

    def __init__(self, name: str, account: TwilioWhatsAppAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._clock = clock
        self._api = TwilioApi(account, transport, clock, self.limits.timeout_s)

    def accepts(self, message: Message) -> bool:
        """Carry every WhatsApp message."""
        return message.channel == Channel.WHATSAPP

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one message; see `Provider.send`."""
        content = content_of(outgoing, WhatsAppContent)
        check_size(len(content.text), self.limits.max_chars, "the text in characters")
        return await self._api.send("Messages", self._form(outgoing, content), outgoing, CODES)

    async def verify(self) -> str:
        """Ask for the account; see `Verifiable.verify`."""
        return await self._api.verify()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def _form(self, outgoing: Outgoing, content: WhatsAppContent) -> dict[str, str]:
        message = outgoing.message
        form = {"To": PREFIX + message.target.address.removeprefix(PREFIX)}
        form |= {name: _addressed(name, who) for name, who in self._sender(content).items()}
        form |= _body_or_template(content)
        return form | self._api.callback(outgoing) | validity(message, self._clock())

    def _sender(self, content: WhatsAppContent) -> dict[str, str]:
        return sender_field(content.sender or self._account.sender)


def _addressed(field: str, sender: str) -> str:
    """Write a number as WhatsApp's; a messaging service stays as it is."""
    return PREFIX + sender.removeprefix(PREFIX) if field == "From" else sender


def _body_or_template(content: WhatsAppContent) -> dict[str, str]:
    """Name the approved template, if there is one, or else give the text."""
    if not content.template:
        return {"Body": content.text}
    if not content.variables:
        return {"ContentSid": content.template}
    variables = msgspec.json.encode(content.variables).decode()
    return {"ContentSid": content.template, "ContentVariables": variables}
