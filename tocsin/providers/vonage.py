"""Vonage SMS API: one SMS, one form POST. A refusal comes with HTTP 200: the verdict is in the body."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from pydantic import Field, SecretStr

from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
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
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.basic import basic_login
from tocsin.providers.clean import clean
from tocsin.providers.form import form_text
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_size, content_of, marked, sender_of
from tocsin.providers.vonage_signature import Method, signature

LIMITS = Limits(max_chars=3200, rate_per_s=30, timeout_s=10)

MIN_TTL_MS, MAX_TTL_MS = 20_000, 604_800_000

ERRORS: Mapping[str, type[DeliveryError]] = {
    # the address
    "6": RecipientGone,
    "7": RecipientGone,
    "33": RecipientGone,
    # content
    "2": Rejected,
    "3": Rejected,
    "12": Rejected,
    "22": Rejected,
    # configuration
    "4": Misconfigured,
    "8": Misconfigured,
    "9": Misconfigured,
    "11": Misconfigured,
    "14": Misconfigured,
    "15": Misconfigured,
    "23": Misconfigured,
    "29": Misconfigured,
    "32": Misconfigured,
    # later
    "1": Throttled,
    "5": Transient,
    "10": Throttled,
}
"""`status` of a part to error; 0 is accepted, and a status that is not here is `Declined`.

23 is a callback address that Vonage does not take. The account names it, so the account is wrong.
"""

ABOUT: Mapping[str, About] = {"15": About.MESSAGE, "29": About.MESSAGE}
"""Status to what it is about, where its error's class says otherwise.

Which senders are allowed depends on the country (15), and a demo account serves the numbers on its list (29).
"""

ACCEPTED = "0"


class VonageAccount(HttpAccount):
    """Settings of a Vonage account.

    Attributes:
        signature_secret: signs requests; then `api_secret` is only used to ask for the balance.
        signature_method: what the account's settings say of it.
        sender: a number, or a name of up to 11 characters; a name that the content gives goes first.
        status_callback: where Vonage reports delivery; the message's id and mark are added as a query.
        entity_id: of the sender, where India wants it; `content_id` is the template's.
    """

    vendor: Literal["vonage"]
    api_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{8}$")]
    api_secret: SecretStr
    signature_secret: SecretStr = SecretStr("")
    signature_method: Method = "md5hash"
    sender: str = ""
    status_callback: Url | Literal[""] = ""
    entity_id: str = ""
    content_id: str = ""
    base_url: Url = "https://rest.nexmo.com"


@provider("vonage", Channel.SMS, VonageAccount, reports={Level.DELIVERED})
class Vonage:
    """Sends SMS. Accepted means queued at Vonage; what became of it comes by delivery receipt.

    A long text is sent in parts with a verdict each. One with refused parts has failed: a repeat would send
    the accepted parts again.
    """

    channel = Channel.SMS

    def __init__(self, name: str, account: VonageAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        self._url = f"{account.base_url}/sms/json"
        self._headers = {"content-type": "application/x-www-form-urlencoded"}
        self._secret = account.api_secret.get_secret_value()
        self._signature_secret = account.signature_secret.get_secret_value()

    def accepts(self, message: Message) -> bool:
        """Carry every SMS."""
        return message.channel == Channel.SMS

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one SMS; see `Provider.send`."""
        content = content_of(outgoing, SmsContent)
        check_size(len(content.text), self.limits.max_chars, "the text in characters")
        body = form_text(self._signed(self._form(outgoing, content))).encode()
        answer = await self._transport.request("POST", self._url, self._headers, body, self.limits.timeout_s)
        return _receipt(answer, outgoing, self._clock())

    async def verify(self) -> str:
        """Ask for the balance; see `Verifiable.verify`."""
        account, limit_s = self._account, self.limits.timeout_s
        headers = basic_login(account.api_key, self._secret)
        url = f"{account.base_url}/account/get-balance"
        answer = await self._transport.request("GET", url, headers, b"", limit_s)
        if answer.status != 200:
            kind = _by_status(answer.status)
            text = f"Vonage refuses api_key and api_secret (HTTP {answer.status})"
            raise kind(text, code=str(answer.status))
        return f"account {account.api_key}, balance {read_json(answer.body, _Answer).value:.2f} EUR"

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def _form(self, outgoing: Outgoing, content: SmsContent) -> dict[str, str]:
        message, account = outgoing.message, self._account
        sender = sender_of(content.sender, account.sender)
        if not sender:
            msg = "neither the message nor the account names a sender"
            raise Misconfigured(msg, code="2")
        form = {
            "api_key": account.api_key,
            "from": sender.removeprefix("+"),
            "to": message.target.address.removeprefix("+"),
            "text": content.text,
            "type": "text" if content.encoding == "GSM-7" else "unicode",
            "client-ref": message.message_id[:40],
        }
        if message.expires_ms:
            left_ms = message.expires_ms - int(self._clock() * 1000)
            form["ttl"] = str(min(max(left_ms, MIN_TTL_MS), MAX_TTL_MS))
        return form | self._options(message, outgoing.mark)

    def _options(self, message: Message, mark: str) -> dict[str, str]:
        account = self._account
        callback = account.status_callback
        options = {
            "callback": f"{callback}?{form_text(marked(message, mark))}" if callback else "",
            "entity-id": account.entity_id,
            "content-id": account.content_id,
        }
        return {name: value for name, value in options.items() if value}

    def _signed(self, form: dict[str, str]) -> dict[str, str]:
        """Prove who sends: by the secret itself, or by a signature in place of it."""
        if not self._signature_secret:
            return form | {"api_secret": self._secret}
        dated = form | {"timestamp": str(int(self._clock()))}
        return dated | {"sig": signature(dated, self._signature_secret, self._account.signature_method)}


class _Part(msgspec.Struct, rename={"message_id": "message-id", "error_text": "error-text"}):
    status: str = ""
    message_id: str = ""
    error_text: str = ""


class _Answer(msgspec.Struct):
    messages: list[_Part] = []
    value: float = 0


def _receipt(answer: Response, outgoing: Outgoing, now_s: float) -> Receipt:
    """Read the verdicts of all parts.

    Raises:
        DeliveryError: a part was refused.
    """
    parts = read_json(answer.body, _Answer).messages
    if not parts:
        raise _without_verdict(answer, now_s)
    refused = [part for part in parts if part.status != ACCEPTED]
    if not refused:
        return Receipt(parts[0].message_id, ACCEPTED)
    if len(refused) < len(parts):
        text = f"{len(refused)} of {len(parts)} parts were refused: {refused[0].error_text}"
        raise Rejected(clean(text, outgoing), code=refused[0].status)
    raise _error(refused[0], answer, outgoing, now_s)


def _error(part: _Part, answer: Response, outgoing: Outgoing, now_s: float) -> DeliveryError:
    kind = ERRORS.get(part.status, Declined)
    text = clean(part.error_text, outgoing) or f"status {part.status}"
    seconds = wait_s(kind, answer, now_s)
    return kind(text, code=part.status, retry_after_s=seconds, about=ABOUT.get(part.status))


def _without_verdict(answer: Response, now_s: float) -> DeliveryError:
    kind = _by_status(answer.status)
    return kind(f"HTTP {answer.status}", code=str(answer.status), retry_after_s=wait_s(kind, answer, now_s))


def _by_status(status: int) -> type[DeliveryError]:
    """Class an answer without a verdict: a 200 or a 5xx leaves open whether the SMS was taken."""
    if status >= 500 or 200 <= status < 300:
        return Unknown
    if status == 429:
        return Throttled
    if status == 408:
        return Transient
    if status in (401, 402, 403, 404) or status < 400:
        return Misconfigured
    return Rejected
