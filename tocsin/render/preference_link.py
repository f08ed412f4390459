"""Seals links to preference pages: a link itself names the user, and ends after a while. Pure."""

from typing import Final, NamedTuple

import msgspec

from tocsin.formats.sealed import Seal

PATH: Final = "/preferences/"
"""Where the gateway shows the page, under its public address."""
UNSUBSCRIBE_PATH: Final = "/unsubscribe"
"""Where the gateway takes unsubscribe links."""
MAIL_MS: Final = 90 * 86_400_000
"""How long a link in a mail leads to the page: people look for a mail of weeks ago to stop more of them."""
MAX_TOKEN_CHARS: Final = 2_048
_PURPOSE: Final = b"tocsin prefs v1"


class PreferenceLink(NamedTuple):
    """Names whose preferences a link shows, and from when on it does not."""

    tenant: str
    user: str
    expires_ms: int


class PreferenceTokens:
    """Makes and reads the tokens of links to preference pages: opaque, and not to be forged or altered."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, _PURPOSE)

    def make(self, link: PreferenceLink) -> str:
        """Write the token: letters, digits, `-` and `_`."""
        return self._seal.close(msgspec.msgpack.encode(tuple(link)))

    def read(self, token: str) -> PreferenceLink | None:
        """Read a token back, also one that has ended; None if it is not one of ours."""
        plain = self._seal.open(token, MAX_TOKEN_CHARS)
        return (
            None
            if plain is None
            else PreferenceLink(*msgspec.msgpack.decode(plain, type=tuple[str, str, int]))
        )
