"""Makes and reads the tokens of return paths: a bounce comes back to an address that names its message. Pure.

A token is 55 letters and digits of base32, so that it survives servers that change the case of a local part
(at most 64 characters, RFC 5321, 4.5.3.1.1).
"""

import re
from base64 import b32decode, b32encode
from collections.abc import Iterator
from typing import NamedTuple

from tocsin.formats.sealed import Seal

TOKEN_CHARS = 55
TOKEN_FIELD = "{token}"  # noqa: S105 (the placeholder in settings, no password)
"""Stands for the token in the setting `return_path`."""
MAX_LOCAL_CHARS = 64
DAY_MS = 86_400_000

_PURPOSE = b"tocsin return v1"
_DAY_BYTES = 2  # until the year 2149
_TOKEN = re.compile(rf"(?<![A-Za-z0-9])([A-Za-z2-7]{{{TOKEN_CHARS}}})(?=@)")
_HEX = re.compile(r"[0-9a-f]{32}")


class ReturnToken(NamedTuple):
    """Names the message that a returned mail is about.

    Attributes:
        message_id: of the message.
        day: days from 1970 to its decision.
    """

    message_id: str
    day: int

    def is_expired(self, now_ms: int, days: int) -> bool:
        """Tell whether it is older than `days`."""
        return now_ms // DAY_MS - self.day > days


class ReturnPaths:
    """Makes the tokens of messages, and reads them back.

    A token cannot be forged without the secret, and is the same for each attempt at a message.

    Args:
        secret: `TOCSIN_SECRET`; who changes it cannot read the tokens of before.
    """

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, _PURPOSE)

    def token(self, message_id: str, decided_ms: int) -> str:
        """Write the token of a message, whose id is 32 hex digits."""
        day = max(0, decided_ms // DAY_MS) & 0xFFFF
        sealed = self._seal.close_bytes(day.to_bytes(_DAY_BYTES) + bytes.fromhex(message_id))
        return _spelled(sealed)

    def read(self, token: str) -> ReturnToken | None:
        """Read a token in any case of its letters; None if it is not one of ours."""
        try:
            sealed = b32decode(token.upper() + "=")
        except ValueError:
            return None
        if _spelled(sealed) != token.lower():  # the last letter has bits to spare
            return None
        plain = self._seal.open_bytes(sealed)
        if plain is None or len(plain) != _DAY_BYTES + 16:
            return None
        return ReturnToken(plain[_DAY_BYTES:].hex(), int.from_bytes(plain[:_DAY_BYTES]))


def _spelled(sealed: bytes) -> str:
    return b32encode(sealed).decode().rstrip("=").lower()


def tokens_in(text: str) -> Iterator[str]:
    """Find what looks like a token at the end of an address's local part, each once, in order."""
    yield from dict.fromkeys(_TOKEN.findall(text))


def fits(return_path: str) -> bool:
    """Tell whether the local part of a return path is short enough once its token is put in."""
    local = return_path.rpartition("@")[0].replace(TOKEN_FIELD, "x" * TOKEN_CHARS)
    return 0 < len(local) <= MAX_LOCAL_CHARS


def is_message_id(text: str) -> bool:
    """Tell whether a text is the id of a message, which a token can name."""
    return _HEX.fullmatch(text) is not None
