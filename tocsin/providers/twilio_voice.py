"""Twilio Programmable Voice: a call that reads a text to whoever takes it."""

import re
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from pydantic import Field

from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
)
from tocsin.model.content import Outgoing, VoiceContent
from tocsin.model.engagement import Level
from tocsin.model.locales import family
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.http import Clock, Transport
from tocsin.providers.registry import provider
from tocsin.providers.twilio_api import COMMON, Codes, TwilioApi, TwilioCredentials
from tocsin.providers.vendor import check_size, content_of

LIMITS = Limits(max_chars=4000, rate_per_s=1, timeout_s=10)
"""`max_chars` is that of the TwiML. Twilio makes one call a second by default."""

ERRORS: Mapping[int, type[DeliveryError]] = {
    **COMMON,
    # the address
    13223: RecipientGone,
    21211: RecipientGone,
    21217: RecipientGone,
    21401: RecipientGone,
    # this account does not call this number
    13224: Declined,
    13225: Declined,
    21202: Declined,
    21214: Declined,
    21216: Declined,
    # the request
    12100: Rejected,
    21201: Rejected,
    21205: Rejected,
    21208: Rejected,
    # configuration
    10001: Misconfigured,
    10002: Misconfigured,
    13227: Misconfigured,
    13247: Misconfigured,
    20006: Misconfigured,
    21203: Misconfigured,
    21210: Misconfigured,
    21212: Misconfigured,
    21213: Misconfigured,
    21215: Misconfigured,
    21219: Misconfigured,
    # later
    10004: Throttled,
}
"""Twilio's `code` to error (twilio.com/docs/api/errors); other codes are classed by HTTP status."""

_PLACES = (13227, 21203, 21215, 21219)
ABOUT: Mapping[int, About] = dict.fromkeys(_PLACES, About.MESSAGE)
"""Code to what it is about, where its error's class says otherwise.

A country that is not enabled and a number that a trial account has not verified: other numbers are called.
"""

CODES = Codes(ERRORS, ABOUT)

LANGUAGES = (
    "en-US", "en-GB", "en-AU", "en-CA", "en-IN", "ca-ES", "cs-CZ", "cy-GB", "da-DK", "de-DE", "el-GR",
    "es-ES", "es-MX", "es-US", "fi-FI", "fr-FR", "fr-CA", "hi-IN", "hu-HU", "id-ID", "is-IS", "it-IT",
    "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-BR", "pt-PT", "ro-RO", "ru-RU", "sk-SK", "sv-SE",
    "tr-TR", "uk-UA", "vi-VN", "zh-CN", "zh-HK", "zh-TW",
)  # fmt: skip
"""Languages of <Say>; of those with several regions, the first stands for the others."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class TwilioVoiceAccount(TwilioCredentials):
    """Settings of a Twilio account that makes calls.

    Attributes:
        sender: the number that is shown to whoever is called; content may name another.
        voices: language to the voice that reads it, as `{de-DE: Polly.Vicki-Neural}`.
        ring_s: how long it rings.
        repeat: how often the text is read; a long one less often.
        leave_messages: wait for the tone of an answering machine before the text is read.
    """

    vendor: Literal["twilio-voice"]
    sender: Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{6,14})?$")] = ""
    voices: dict[Language, str] = Field({})
    ring_s: int = Field(30, ge=5, le=600)
    repeat: int = Field(2, ge=1, le=5)
    leave_messages: bool = False


@provider("twilio-voice", Channel.VOICE, TwilioVoiceAccount, reports={Level.DELIVERED})
class TwilioVoice:
    """Makes calls. A 201 means that the call is queued; whether it was taken comes by status callback."""

    channel = Channel.VOICE

    def __init__(self, name: str, account: TwilioVoiceAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._api = TwilioApi(account, transport, clock, self.limits.timeout_s)
        # Twilio's module of TwiML takes long to load, which only those who make calls shall pay.
        self._new_twiml: Callable[[], Any] = resolve_name("twilio.twiml.voice_response:VoiceResponse")

    def accepts(self, message: Message) -> bool:
        """Make every call."""
        return message.channel == Channel.VOICE

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one call; see `Provider.send`."""
        content = content_of(outgoing, VoiceContent)
        form = self._form(outgoing, content)
        check_size(len(form["Twiml"]), self.limits.max_chars, "the TwiML in characters")
        events = {"StatusCallbackEvent": ("answered", "completed")} if "StatusCallback" in form else {}
        return await self._api.send("Calls", form, outgoing, CODES, events)

    async def verify(self) -> str:
        """Ask for the account; see `Verifiable.verify`."""
        return await self._api.verify()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def _form(self, outgoing: Outgoing, content: VoiceContent) -> dict[str, str]:
        account = self._account
        sender = content.sender or account.sender
        if not sender:
            msg = "neither the message nor the account names a number to call from"
            raise Misconfigured(msg, code="21213")
        form = {
            "To": outgoing.message.target.address,
            "From": sender,
            "Twiml": self.twiml(content),
            "Timeout": str(account.ring_s),
        }
        if account.leave_messages:
            form["MachineDetection"] = "DetectMessageEnd"
        return form | self._api.callback(outgoing)

    def twiml(self, content: VoiceContent) -> str:
        """Write what Twilio does when the call is taken: it reads the text, as often as there is room for."""
        language = spoken_language(content.locale, self._account.voices)
        text = _NOT_XML.sub(" ", content.text)  # Twilio's library writes such characters as they are
        fewer = (self._spoken(text, language, times) for times in range(self._account.repeat, 1, -1))
        fitting = (twiml for twiml in fewer if len(twiml) <= self.limits.max_chars)
        return next(fitting, "") or self._spoken(text, language, 1)

    def _spoken(self, text: str, language: str, times: int) -> str:
        twiml = self._new_twiml()
        for _ in range(times):
            twiml.pause(length=1)
            twiml.say(text, voice=self._account.voices.get(language), language=language)
        return str(twiml)


def spoken_language(locale: str, voices: Mapping[str, str]) -> str:
    """Choose the language that a text is read in: one with a voice of its own goes first.

    Raises:
        Declined: no voice reads it; one of another language would be no help.
    """
    tags = family(locale)
    known = (*voices, *LANGUAGES)
    by_language = [tag for tag in known for one in tags if tag.partition("-")[0] == one.partition("-")[0]]
    found = next((tag for tag in tags if tag in known), "") or next(iter(by_language), "")
    if not found:
        msg = "no voice reads the language of the text: name one under `voices` of the account"
        raise Declined(msg, code="no_voice")
    return found
