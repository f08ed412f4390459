"""Makes and reads the tokens of tracked links and of the image that tells of an opening. Pure.

A token names the address it leads to, so nobody can make one that leads elsewhere. It is the same for each
attempt at a message. Text messages have tokens without the owner, which would not fit in a text.
"""

from typing import Final, NamedTuple

import msgspec

from tocsin.formats.marks import Marked
from tocsin.formats.sealed import Seal

CLICK_PATH: Final = "/c/"
OPEN_PATH: Final = "/o/"
OPEN_END: Final = ".gif"
"""Ends the address of the image: some mail programs load only what looks like one."""
MAX_URL_CHARS: Final = 2_000
"""Longer links stay as they are: some servers cut addresses of more than 4,000 characters."""
MAX_TOKEN_CHARS: Final = 8_192
_PURPOSE: Final = b"tocsin link v1"


class TrackedLink(NamedTuple):
    """What a token names.

    Attributes:
        message_id: of the message that has the link.
        owner: of the message; None in text messages.
        url: where the link leads; empty for the image.
        number: of the link in its message, from 1; 0 for the image.
        decided_ms: when the message was decided.
        expires_ms: from when on nothing is counted.
    """

    message_id: str
    owner: Marked | None
    url: str
    number: int
    decided_ms: int
    expires_ms: int


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    url: str
    number: int
    decided_ms: int
    expires_ms: int
    owner: Marked | None = None
    message_id: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


class LinkTokens:
    """Makes and reads tokens.

    Args:
        secret: `TOCSIN_SECRET`; who changes it cannot read the tokens of before.
    """

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, _PURPOSE)

    def make(self, link: TrackedLink) -> str:
        """Write a token: letters, digits, `-` and `_`."""
        message_id = b"" if link.owner else bytes.fromhex(link.message_id)
        packed = _Packed(link.url, link.number, link.decided_ms, link.expires_ms, link.owner, message_id)
        return self._seal.close(_encode(packed))

    def read(self, token: str) -> TrackedLink | None:
        """Read a token back, also one that has expired; None if it is not one of ours."""
        plain = self._seal.open(token, MAX_TOKEN_CHARS)
        if plain is None:
            return None
        found = _decode(plain)
        message_id = found.owner.message_id if found.owner else found.message_id.hex()
        return TrackedLink(
            message_id, found.owner, found.url, found.number, found.decided_ms, found.expires_ms
        )
