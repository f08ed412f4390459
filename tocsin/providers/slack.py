"""Slack: `chat.postMessage` to people and rooms by id, or the incoming webhook of one room."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import msgspec
from pydantic import Field, SecretStr, model_validator

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
from tocsin.model.content import ChatContent, Outgoing
from tocsin.model.message import ACCOUNT, Message
from tocsin.model.statuses import Channel
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount, Url, check_size, content_of

LIMITS = Limits(max_chars=12_000, timeout_s=10)

MAX_BLOCK_CHARS = 3_000
MAX_HEADER_CHARS = 150

ERRORS: Mapping[str, type[DeliveryError]] = {
    # the conversation
    "channel_not_found": RecipientGone,
    "user_not_found": RecipientGone,
    "is_archived": RecipientGone,
    "channel_is_archived": RecipientGone,
    # the message
    "msg_too_long": Rejected,
    "msg_blocks_too_long": Rejected,
    "no_text": Rejected,
    "invalid_blocks": Rejected,
    "invalid_blocks_format": Rejected,
    "invalid_payload": Rejected,
    "invalid_arguments": Rejected,
    "invalid_arg_name": Rejected,
    "invalid_array_arg": Rejected,
    "invalid_post_type": Rejected,
    "too_many_attachments": Rejected,
    # the account: token, rights, workspace
    "invalid_auth": Misconfigured,
    "not_authed": Misconfigured,
    "account_inactive": Misconfigured,
    "token_expired": Misconfigured,
    "token_revoked": Misconfigured,
    "missing_scope": Misconfigured,
    "no_permission": Misconfigured,
    "access_denied": Misconfigured,
    "not_allowed_token_type": Misconfigured,
    "org_login_required": Misconfigured,
    "ekm_access_denied": Misconfigured,
    "team_access_not_granted": Misconfigured,
    "team_disabled": Misconfigured,
    "no_team": Misconfigured,
    "no_service": Misconfigured,
    "no_service_id": Misconfigured,
    "no_active_hooks": Misconfigured,
    "invalid_token": Misconfigured,
    "action_prohibited": Misconfigured,
    "posting_to_general_channel_denied": Misconfigured,
    # the app in this conversation
    "not_in_channel": Misconfigured,
    "restricted_action": Misconfigured,
    "restricted_action_read_only_channel": Misconfigured,
    "restricted_action_thread_only_channel": Misconfigured,
    "messages_tab_disabled": Misconfigured,
    # later
    "ratelimited": Throttled,
    "rate_limited": Throttled,
    "message_limit_exceeded": Throttled,
    "service_unavailable": Transient,
    "team_added_to_org": Transient,
    "request_timeout": Transient,
    "rollup_error": Unknown,
    "internal_error": Unknown,
    "fatal_error": Unknown,
}
"""Slack's `error`, or the text of an incoming webhook, to error.

Slack says of internal_error and fatal_error that a part of the request may have been done.
"""

ABOUT: Mapping[str, About] = dict.fromkeys(
    (
        "not_in_channel",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "messages_tab_disabled",
    ),
    About.MESSAGE,
)
"""Error to what it is about, where its class says otherwise: other conversations are served."""

WAIT_S = 1.0
"""Slack takes about one message a second for a conversation."""


class SlackAccount(HttpAccount):
    """Settings of an app in a workspace: a bot's token, an incoming webhook, or both.

    Attributes:
        token: of the bot, `xoxb-…`, with the right `chat:write`.
        webhook_url: the incoming webhook of one room, for channels with `contact: account`.
        conversation: the room's id, for channels with `contact: account`, where the bot posts there.
    """

    vendor: Literal["slack"]
    token: SecretStr = SecretStr("")
    webhook_url: SecretStr = SecretStr("")
    conversation: str = Field("", pattern=r"^[A-Z0-9]*$")
    base_url: Url = "https://slack.com/api"

    @model_validator(mode="after")
    def _either(self) -> Self:
        hook = self.webhook_url.get_secret_value()
        if not hook and not self.token.get_secret_value():
            msg = "needs a token or a webhook_url"
            raise ValueError(msg)
        if hook and not hook.startswith(("https://", "http://127.0.0.1")):
            msg = "webhook_url must be an https URL"
            raise ValueError(msg)
        return self


@provider("slack", Channel.SLACK, SlackAccount)
class Slack:
    """Sends to people and rooms of a workspace. Slack answers HTTP 200 also where it refuses."""

    channel = Channel.SLACK

    def __init__(self, name: str, account: SlackAccount, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.limits = account.limits(LIMITS)
        self._account = account
        self._transport = transport
        self._clock = clock
        self._headers = {"content-type": "application/json; charset=utf-8"}
        self._login = {**self._headers, "authorization": f"Bearer {account.token.get_secret_value()}"}

    def accepts(self, message: Message) -> bool:
        """Carry every message to Slack."""
        return message.channel == Channel.SLACK

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Post one message; see `Provider.send`."""
        content = content_of(outgoing, ChatContent)
        check_size(len(content.text), self.limits.max_chars, "the text in characters")
        conversation = self._conversation(outgoing.message)
        if conversation:
            return await self._post(conversation, outgoing, content)
        return await self._post_to_webhook(outgoing, content)

    async def verify(self) -> str:
        """Ask who the token is; see `Verifiable.verify`. An incoming webhook cannot be asked."""
        if not self._account.token.get_secret_value():
            return "an incoming webhook is proven by a message only: use `tocsin send-test`"
        answer = await self._ask("auth.test", b"{}")
        said = read_json(answer.body, _Answer)
        if answer.status == 200 and said.ok:
            return f"Slack takes the token, for the workspace {clean(said.team)}"
        raise _error(said.error, answer, self._clock())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def _conversation(self, message: Message) -> str:
        """Return the id to post to; empty for the account's webhook.

        Raises:
            Declined: it goes to a person or room of its own, and the account has only a webhook.
            Misconfigured: it goes to the account's own room, and the account has none.
        """
        has_token = bool(self._account.token.get_secret_value())
        if message.target.platform != ACCOUNT:
            if has_token:
                return message.target.address
            msg = "an incoming webhook reaches one room only: the account needs a token"
            raise Declined(msg, code="no_token")
        if has_token and self._account.conversation:
            return self._account.conversation
        if not self._account.webhook_url.get_secret_value():
            msg = "the channel has `contact: account`: the account needs a conversation or a webhook_url"
            raise Misconfigured(msg, code="no_conversation")
        return ""

    async def _post(self, conversation: str, outgoing: Outgoing, content: ChatContent) -> Receipt:
        answer = await self._ask("chat.postMessage", body_of(content, conversation))
        said = read_json(answer.body, _Answer)
        if answer.status == 200 and said.ok:
            return Receipt(f"{said.channel}/{said.ts}", "200")
        raise self._refusal(said.error, answer, outgoing)

    async def _post_to_webhook(self, outgoing: Outgoing, content: ChatContent) -> Receipt:
        url, body = self._account.webhook_url.get_secret_value(), body_of(content)
        answer = await self._transport.request("POST", url, self._headers, body, self.limits.timeout_s)
        if answer.status == 200:
            return Receipt("", "200")
        raise self._refusal(answer.body[:64].decode("ascii", "replace").strip(), answer, outgoing)

    async def _ask(self, method: str, body: bytes) -> Response:
        url = f"{self._account.base_url}/{method}"
        return await self._transport.request("POST", url, self._login, body, self.limits.timeout_s)

    def _refusal(self, code: str, answer: Response, outgoing: Outgoing) -> DeliveryError:
        error = _error(code, answer, self._clock())
        if isinstance(error, RecipientGone) and outgoing.message.target.platform == ACCOUNT:
            return Misconfigured(f"{error}: correct the room of the account", code=error.code)
        return error


class _Answer(msgspec.Struct):
    ok: bool = False
    error: str = ""
    ts: str = ""
    channel: str = ""
    team: str = ""


def _error(code: str, answer: Response, now_s: float) -> DeliveryError:
    kind = ERRORS.get(code) or _by_status(answer.status, code)
    known = code if code in ERRORS else str(answer.status)
    seconds = wait_s(kind, answer, now_s, WAIT_S if kind is Throttled else None)
    text = clean(code) or f"HTTP {answer.status}"
    return kind(text, code=known, retry_after_s=seconds, about=ABOUT.get(code))


def _by_status(status: int, code: str) -> type[DeliveryError]:
    """Class what the table does not name. A 200 that cannot be read may be a message that went out."""
    if status == 200 and not code:
        return Unknown
    if status == 429:
        return Throttled
    if status == 503:
        return Transient
    if status >= 500:
        return Unknown
    if status in (401, 403, 404) or 300 <= status < 400:
        return Misconfigured
    return Declined


def escaped(text: str) -> str:
    """Escape what Slack reads as a command: no mention and no link comes out of an event's data.

    >>> escaped("<!channel> & <@U1>")
    '&lt;!channel&gt; &amp; &lt;@U1&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def body_of(content: ChatContent, conversation: str = "") -> bytes:
    """Build the body of a message; `text` is what notifications of Slack's apps show."""
    fallback = " - ".join(filter(None, (content.title, content.text)))
    body: dict[str, Any] = {"text": escaped(fallback), "blocks": list(_blocks(content))}
    body |= {"channel": conversation, "unfurl_links": False} if conversation else {}
    return msgspec.json.encode(body)


def _blocks(content: ChatContent) -> Iterator[dict[str, Any]]:
    if content.title:
        title = content.title[:MAX_HEADER_CHARS]
        yield {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}
    link = content.url.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C").replace("&", "&amp;")
    for part in (*_parts(content.text), *([f"<{link}>"] if link else ())):
        yield {"type": "section", "text": {"type": "mrkdwn", "text": part}}


def _parts(text: str) -> Iterator[str]:
    """Escape a text in parts that fit a block; an escaped character is never cut."""
    part = ""
    for character in text:
        added = escaped(character)
        if len(part) + len(added) > MAX_BLOCK_CHARS:
            yield part
            part = ""
        part += added
    if part:
        yield part
