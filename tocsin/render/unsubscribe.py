"""One-click unsubscribe (RFC 8058): a link says by itself who stops what, and only we can read it."""

import binascii
from base64 import b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from tocsin.errors import SettingsError

MIN_SECRET_BYTES = 16
MAX_TOKEN_CHARS = 2_048
_PURPOSE = b"tocsin unsub v1"


class Subscription(NamedTuple):
    """What one link stops: the mails of a category for a user."""

    tenant: str
    user: str
    category: str


class UnsubscribeTokens:
    """Makes and reads the tokens of unsubscribe links.

    A token is opaque (a user id may be an address), cannot be forged or altered, never expires, and is the
    same for the same subscription: AES-SIV (RFC 5297) under a key derived from `secret`.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            msg = f"the secret of unsubscribe links is shorter than {MIN_SECRET_BYTES} bytes"
            raise SettingsError(msg)
        self._cipher = AESSIV(blake2b(secret, digest_size=64, person=_PURPOSE).digest())

    def make(self, subscription: Subscription) -> str:
        """Write the token: letters, digits, `-` and `_`."""
        sealed = self._cipher.encrypt(msgspec.msgpack.encode(tuple(subscription)), None)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def read(self, token: str) -> Subscription | None:
        """Read a token back; None if it is not one of ours."""
        if len(token) > MAX_TOKEN_CHARS or not token.isascii() or "+" in token or "/" in token:
            return None  # `+` and `/` are base64's other spelling of `-` and `_`, and the decoder takes both
        try:
            sealed = b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            plain = self._cipher.decrypt(sealed, None)
            return Subscription(*msgspec.msgpack.decode(plain, type=tuple[str, str, str]))
        except (binascii.Error, InvalidTag, ValueError):
            return None
