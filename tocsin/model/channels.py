"""The channels that messages can be delivered over, one entry each."""

from collections.abc import Mapping
from enum import Enum

import msgspec

from tocsin.model.statuses import Channel


class ContactKind(Enum):
    """What of a recipient a channel reaches."""

    EMAIL = "email"
    """The e-mail address of a profile or an inline recipient."""
    PHONE = "phone"
    """The phone number of a profile or an inline recipient."""
    APP = "app"
    """Each device of a profile with a push token."""
    BROWSER = "browser"
    """Each browser of a profile with a push subscription."""
    USER = "user"
    """The user of a profile, by id."""


class ChannelSpec(msgspec.Struct, frozen=True):
    """One channel. How long a call may take is declared by its providers.

    Attributes:
        contacts: what it reaches: each one gives a contact point.
        content: its `tocsin.render.content.Builder` as `module:function`; empty until it has a provider.
        parts: parts a template must have.
        optional_parts: parts a template may have.
    """

    contacts: ContactKind
    content: str = ""
    parts: tuple[str, ...] = ()
    optional_parts: tuple[str, ...] = ()


CHANNELS: Mapping[Channel, ChannelSpec] = {
    Channel.EMAIL: ChannelSpec(
        ContactKind.EMAIL, "tocsin.render.content:email_content", ("subject", "text", "html")
    ),
    Channel.SMS: ChannelSpec(ContactKind.PHONE, "tocsin.render.content:sms_content", ("sms",)),
    Channel.PUSH: ChannelSpec(
        ContactKind.APP, "tocsin.render.content:push_content", ("title", "body"), ("url",)
    ),
    Channel.WEBPUSH: ChannelSpec(ContactKind.BROWSER),
    Channel.INAPP: ChannelSpec(
        ContactKind.USER, "tocsin.render.content:inapp_content", ("title", "body"), ("url",)
    ),
}

DELIVERED: Mapping[Channel, ChannelSpec] = {name: spec for name, spec in CHANNELS.items() if spec.content}
"""The channels that have a provider. The catalog refuses the others, and nothing renders them."""
