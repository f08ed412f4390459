"""The channels that messages can be delivered over, one entry each."""

from collections.abc import Mapping

import msgspec

from tocsin.model.statuses import Channel


class ChannelSpec(msgspec.Struct, frozen=True):
    """What a channel asks of a catalog.

    Attributes:
        parts: parts a template must have.
        optional_parts: parts a template may have.
    """

    parts: tuple[str, ...]
    optional_parts: tuple[str, ...] = ()


CHANNELS: Mapping[Channel, ChannelSpec] = {
    Channel.EMAIL: ChannelSpec(("subject", "text", "html")),
    Channel.SMS: ChannelSpec(("sms",)),
    Channel.PUSH: ChannelSpec(("title", "body"), ("url",)),
    Channel.INAPP: ChannelSpec(("title", "body"), ("url",)),
}
"""A channel without an entry has no provider: the catalog refuses it, and nothing renders it."""
