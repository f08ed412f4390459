"""Seals unsubscribe links (RFC 8058): a link itself names user and category, and only Tocsin can read it."""

from typing import NamedTuple

import msgspec

from tocsin.formats.sealed import Seal

MAX_TOKEN_CHARS = 2_048
_PURPOSE = b"tocsin unsub v1"


class Subscription(NamedTuple):
    """Names what one link stops: the mails of a category for a user."""

    tenant: str
    user: str
    category: str


class UnsubscribeTokens:
    """Makes and reads the tokens of unsubscribe links.

    A token is opaque (a user id may be an address), cannot be forged or altered, never expires, and is the
    same for the same subscription.
    """

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, _PURPOSE)

    def make(self, subscription: Subscription) -> str:
        """Write the token: letters, digits, `-` and `_`."""
        return self._seal.close(msgspec.msgpack.encode(tuple(subscription)))

    def read(self, token: str) -> Subscription | None:
        """Read a token back; None if it is not one of ours."""
        plain = self._seal.open(token, MAX_TOKEN_CHARS)
        return (
            None if plain is None else Subscription(*msgspec.msgpack.decode(plain, type=tuple[str, str, str]))
        )
