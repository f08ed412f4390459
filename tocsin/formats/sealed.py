"""Seals fields that others carry and bring back; only Tocsin can read them. Pure."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from tocsin.errors import SettingsError

MIN_SECRET_BYTES = 16
MAX_CHARS = 4_096


class Seal:
    """Seals bytes into letters, digits, `-` and `_`, and opens them again.

    A sealed text cannot be read, forged or altered without the secret, and is the same for the same bytes:
    AES-SIV (RFC 5297) under a key derived from the secret. Seals of two purposes do not open each other's.

    Args:
        secret: 16 bytes or more.
        purpose: 16 bytes at most.
    """

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            msg = f"the secret is shorter than {MIN_SECRET_BYTES} bytes"
            raise SettingsError(msg)
        self._cipher = AESSIV(blake2b(secret, digest_size=64, person=purpose).digest())

    def close(self, plain: bytes) -> str:
        """Seal bytes that are not empty."""
        return _spelled(self.close_bytes(plain))

    def close_bytes(self, plain: bytes) -> bytes:
        """Seal bytes that are not empty; 16 more come out, for a spelling other than that of `close`."""
        return self._cipher.encrypt(plain, None)

    def open_bytes(self, sealed: bytes) -> bytes | None:
        """Open sealed bytes; None if they are not ours."""
        try:
            return self._cipher.decrypt(sealed, None)
        except (InvalidTag, ValueError):
            return None

    def open(self, text: str, most: int = MAX_CHARS) -> bytes | None:
        """Open a sealed text; None if it is not one of ours, or longer than `most` characters."""
        if len(text) > most or not text.isascii():
            return None
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error:
            return None
        # The decoder reads other spellings, too: `+` for `-`, letters that are none, more bits at the end.
        return self.open_bytes(sealed) if _spelled(sealed) == text else None


def _spelled(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()
