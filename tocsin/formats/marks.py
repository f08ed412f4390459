"""Makes and reads marks. A provider gets one with a message and returns it with each report. Pure.

A mark names tenant, user, message and contact point, sealed: neither the provider nor who reads its logs can
tell. A receipt needs nothing else to find its user.
"""

import msgspec

from tocsin.formats.sealed import Seal
from tocsin.model.ids import target_id
from tocsin.model.message import Message
from tocsin.model.outcome import ReceiptEvent

_PURPOSE = b"tocsin mark v1"
MARK_FIELD = "tocsin_mark"
"""Name of the mark in custom arguments and callback queries."""
MARK_HEADER = "X-Tocsin-Mark"
"""Name of the mark in a mail's header, which bounces and complaint reports quote."""


class Marked(msgspec.Struct, frozen=True, array_like=True):
    """What a mark names: a message, its user and its contact point."""

    tenant: str
    user: str
    message_id: str
    notification_id: str
    channel: str
    target: str
    notification: str
    category: str
    origin: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Marked).decode


def marked_of(message: Message) -> Marked:
    """Return what the mark of a message names."""
    return Marked(
        message.tenant,
        message.user,
        message.message_id,
        message.notification_id,
        message.channel,
        target_id(message.target.address, message.channel),
        message.notification,
        message.category,
        str(message.origin),
    )


class Marks:
    """Makes marks of messages, and reads them back.

    Args:
        secret: `TOCSIN_SECRET`; who changes it cannot read the marks of before.
    """

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, _PURPOSE)

    def of(self, message: Message) -> str:
        """Return the mark of a message: some 250 letters, digits, `-` and `_`, the same for each attempt."""
        return self._seal.close(_encode(marked_of(message)))

    def read(self, receipt: ReceiptEvent) -> ReceiptEvent | None:
        """Return a receipt with the fields that its mark names; None if the mark is not one of ours."""
        named = self.open(receipt.mark)
        return msgspec.structs.replace(receipt, mark="", **msgspec.structs.asdict(named)) if named else None

    def open(self, mark: str) -> Marked | None:
        """Return what a mark names; None if it is not one of ours."""
        plain = self._seal.open(mark)
        return None if plain is None else _decode(plain)
