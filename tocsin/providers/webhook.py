"""Signed webhooks to anybody's server, by Standard Webhooks: an id, a time and signatures of the body."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, Field, SecretStr

from tocsin.errors import About, DeliveryError, Misconfigured, RecipientGone, Rejected
from tocsin.model.content import Outgoing, WebhookContent
from tocsin.model.message import ACCOUNT, Message
from tocsin.model.statuses import Channel
from tocsin.providers.base import Receipt
from tocsin.providers.http import Clock, HttpPolicy, Transport
from tocsin.providers.registry import provider
from tocsin.providers.standard_webhooks import LIMITS, error_of, secret_bytes, signed_headers, utc_text
from tocsin.providers.vendor import HttpAccount, check_size, content_of


def _secret(value: SecretStr) -> SecretStr:
    secret_bytes(value.get_secret_value())
    return value


class WebhookAccount(HttpAccount):
    """Settings of a sender of webhooks.

    Attributes:
        secrets: each signs every request; during a rotation the new one stands beside the old one.
        url: where messages go whose channel has `contact: account`.
        allow_private: call plain http and private addresses, too: for servers of one's own network.
    """

    vendor: Literal["webhook"]
    secrets: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_secret)], ...], Field(min_length=1, max_length=8)
    ]
    url: str = ""
    allow_private: bool = False
    first_byte_timeout_s: float = Field(LIMITS.timeout_s, gt=0, le=600)

    def http_policy(self) -> HttpPolicy:
        """Call public addresses only."""
        return msgspec.structs.replace(super().http_policy(), public_only=not self.allow_private)


@provider("webhook", Channel.WEBHOOK, WebhookAccount)
class Webhook:
    """Posts to the recipient's own server. A 2xx means that it has the message.

    What a recipient's server says is about that recipient: it never counts against the account, which
    serves many. Redirects are not followed.
    """

    channel = Channel.WEBHOOK

    def __init__(self, name: str, account: WebhookAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        self._secrets = [secret_bytes(one.get_secret_value()) for one in account.secrets]

    def accepts(self, message: Message) -> bool:
        """Carry every webhook."""
        return message.channel == Channel.WEBHOOK

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Post one message; see `Provider.send`."""
        message = outgoing.message
        body = msgspec.json.encode(document(message, content_of(outgoing, WebhookContent)))
        check_size(len(body), self.limits.max_bytes, "the body in bytes")
        url = self._url(message)
        headers = signed_headers(message.message_id, self._clock(), body, self._secrets)
        failure: DeliveryError
        try:
            answer = await self._transport.request("POST", url, headers, body, self.limits.timeout_s)
        except DeliveryError as error:
            failure = error
        else:
            if 200 <= answer.status < 300:
                return Receipt(message.message_id, str(answer.status))
            failure = error_of(answer, self._clock())
        if message.target.platform != ACCOUNT:
            failure.about = About.RECIPIENT
        elif isinstance(failure, RecipientGone):
            failure = Misconfigured(f"{failure}: correct the url of the account", code=failure.code)
        raise failure

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def _url(self, message: Message) -> str:
        """Return the address to post to.

        Raises:
            Misconfigured: the message goes to the account's own, and the account has none.
            Rejected: it is no https URL.
        """
        shared = message.target.platform == ACCOUNT
        if shared and not self._account.url:
            msg = "the channel has `contact: account`, and the account has no `url`"
            raise Misconfigured(msg, code="no_url")
        url = self._account.url if shared else message.target.address
        schemes = ("https", "http") if self._account.allow_private else ("https",)
        try:
            is_fine = urlsplit(url).scheme in schemes and bool(urlsplit(url).hostname)
        except ValueError:
            is_fine = False
        if not is_fine:
            msg = f"the address of the webhook is no {schemes[0]} URL"
            raise Rejected(msg, code="bad_url", about=About.RECIPIENT)
        return url


def document(message: Message, content: WebhookContent) -> dict[str, Any]:
    """Build the body: a type, a time, and what is known of the message."""
    shown = {"title": content.title, "body": content.body} | ({"url": content.url} if content.url else {})
    event = {"id": message.event_id, "source": message.event_source, "type": message.event_type}
    return {
        "type": f"notification.{message.notification}",
        "timestamp": utc_text(message.decided_ms),
        "data": {
            "message_id": message.message_id,
            "notification_id": message.notification_id,
            "tenant": message.tenant,
            "user": message.user,
            "notification": message.notification,
            "category": message.category,
            "priority": message.priority,
            "locale": message.locale,
            **shown,
            "event": event | {"time": utc_text(message.event_time_ms), "data": message.data},
        },
    }
