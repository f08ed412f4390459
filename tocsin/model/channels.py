"""The channels that messages can be delivered over.

`CHANNELS` has one entry a channel. A tenant may declare further ones by a name of its choice (`channels:` of
its file). Such an open channel has the contacts, parts and content of `OPEN`, so it needs no entry.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

import msgspec

from tocsin.model.statuses import Channel

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
RESERVED: Final = frozenset({"gate", "track", "fan_out", "all", "any", "account"})
"""Names of steps and words of the catalog."""


class ContactKind(Enum):
    """What of a recipient a channel reaches."""

    EMAIL = "email"
    """The e-mail address of a profile or an inline recipient."""
    PHONE = "phone"
    """The phone number of a profile or an inline recipient; `contacts` may name another one for a channel."""
    APP = "app"
    """Each device of a profile with a push token."""
    BROWSER = "browser"
    """Each browser of a profile with a push subscription."""
    USER = "user"
    """The user of a profile, by id."""
    NAMED = "named"
    """What `contacts` has under the channel's name, or, if the tenant says so, the account's own address."""


class ChannelSpec(msgspec.Struct, frozen=True):
    """One channel. How long a call may take is declared by its providers.

    Attributes:
        contacts: what it reaches: each one gives a contact point.
        content: its `tocsin.render.content.Builder` as `module:function`.
        parts: parts a template must have.
        optional_parts: parts a template may have.
    """

    contacts: ContactKind
    content: str
    parts: tuple[str, ...] = ()
    optional_parts: tuple[str, ...] = ()


_CONTENT = "tocsin.render.content"
_CHATS = "tocsin.render.chats"

CHANNELS: Mapping[str, ChannelSpec] = {
    Channel.EMAIL: ChannelSpec(
        ContactKind.EMAIL, f"{_CONTENT}:email_content", ("subject", "text", "html"), ("preheader",)
    ),
    Channel.SMS: ChannelSpec(ContactKind.PHONE, f"{_CONTENT}:sms_content", ("sms",)),
    Channel.PUSH: ChannelSpec(ContactKind.APP, f"{_CONTENT}:push_content", ("title", "body"), ("url",)),
    Channel.WEBPUSH: ChannelSpec(
        ContactKind.BROWSER, f"{_CONTENT}:webpush_content", ("title", "body"), ("url",)
    ),
    Channel.INAPP: ChannelSpec(ContactKind.USER, f"{_CONTENT}:inapp_content", ("title", "body"), ("url",)),
    Channel.WHATSAPP: ChannelSpec(
        ContactKind.PHONE, f"{_CHATS}:whatsapp_content", ("whatsapp",), ("whatsapp_template",)
    ),
    Channel.VOICE: ChannelSpec(ContactKind.PHONE, f"{_CHATS}:voice_content", ("call",)),
    Channel.SLACK: ChannelSpec(ContactKind.NAMED, f"{_CHATS}:chat_content", ("chat",), ("title", "url")),
    Channel.WEBHOOK: ChannelSpec(ContactKind.NAMED, f"{_CHATS}:webhook_content", ("title", "body"), ("url",)),
}

OPEN: Final = ChannelSpec(ContactKind.NAMED, f"{_CHATS}:chat_content", ("chat",), ("title", "url"))
"""What every channel is that a tenant declares by a name of its choice."""

HOMES: Mapping[ContactKind, str] = {
    kind: next(str(name) for name, spec in CHANNELS.items() if spec.contacts is kind)
    for kind in ContactKind
    if kind is not ContactKind.NAMED
}
"""The channel under which a user's record keeps contacts of a kind: the first that reaches them."""

LENT: tuple[str, ...] = tuple(
    str(name) for name, spec in CHANNELS.items() if spec.contacts in HOMES and HOMES[spec.contacts] != name
)
"""The channels that reach contacts which a record keeps under another channel."""


def is_channel_name(name: str) -> bool:
    """Tell whether a channel may have this name: it is part of names of topics, metrics and steps."""
    return name not in RESERVED and _NAME.fullmatch(name) is not None


def spec_of(channel: str) -> ChannelSpec:
    """Return what a channel is; `OPEN` for one without an entry."""
    return CHANNELS.get(channel, OPEN)


def in_order(channels: Collection[str]) -> tuple[str, ...]:
    """Sort channels: those with an entry in the order of the table, then open ones by name."""
    known = [str(name) for name in CHANNELS if name in channels]
    return (*known, *sorted({str(name) for name in channels} - set(known)))


def unknown_channel(name: str, known: Collection[str]) -> str:
    """Say what is wrong with a name that is no channel here, and the cure."""
    close = difflib.get_close_matches(name, [str(one) for one in known], 1)
    if close:
        return f"`{name}` is no channel, did you mean `{close[0]}`?"
    there = ", ".join(in_order(known))
    return f"`{name}` is no channel, use {there}, or declare it under `channels:` of the tenant"
