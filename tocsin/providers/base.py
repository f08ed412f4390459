"""The port every provider adapter implements, and what it declares about itself."""

from typing import Protocol

import msgspec

from tocsin.model.content import Outgoing
from tocsin.model.message import Message
from tocsin.model.statuses import Channel


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The provider has the message. `provider_message_id` is how its webhooks will name it."""

    provider_message_id: str = ""
    code: str = ""


class Limits(msgspec.Struct, frozen=True):
    """What a vendor takes, as data; the table-driven contract suite checks each adapter against it.

    Attributes:
        max_bytes: largest body of one request (push: largest payload), 0 for none.
        max_chars: longest text in characters, 0 for none.
        rate_per_s: requests a second the account allows by default, 0 for unknown.
        timeout_s: how long one call may take before it counts as `Unknown`.
    """

    max_bytes: int = 0
    max_chars: int = 0
    rate_per_s: float = 0
    timeout_s: float = 10


class Provider(Protocol):
    """One account at one vendor.

    `send` returns a `Receipt` or raises exactly one `tocsin.errors.DeliveryError`; it never blocks the loop,
    never retries by itself (a token renewed once on 401 is the only exception) and never logs an address.
    """

    name: str
    channel: Channel
    limits: Limits

    def accepts(self, message: Message) -> bool:
        """Tell whether this account can carry the message: its channel and, for push, its platform."""
        ...

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand one message to the vendor."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
