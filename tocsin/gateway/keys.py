"""API keys: what is kept of them, and how a request proves that it has one. Pure.

| kind | what the owner has | what is kept |
|---|---|---|
| bearer | `tk_<id>_<secret>`, sent with each request | the SHA-256 of the secret |
| signing | an appKey (the id), and an appSecret that signs each request and is never sent | it, sealed |

A secret has 256 random bits. A hash of so many cannot be reversed: it needs no salt and no slow function.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

import msgspec

from tocsin.formats.sealed import Seal

SCOPES: Mapping[str, str] = {
    "notifications:write": "send and cancel notifications",
    "notifications:read": "read the story of notifications",
    "events:write": "write events",
    "broadcasts:write": "start, pause, resume and cancel broadcasts",
    "broadcasts:read": "see how far broadcasts are",
    "users:write": "write users, devices and preferences",
    "users:read": "read users, devices and preferences",
    "inbox:tokens": "make tokens with which users read their inbox",
    "webhooks:write": "set where delivery reports go",
    "webhooks:read": "see where delivery reports go",
    "preview:read": "render templates as their recipients see them",
    "operations:read": "read status, balance and stories of a tenant",
}
"""Every scope, and what a key with it may do."""
PURPOSE = b"tocsin app keys1"
"""What secrets that sign are sealed for."""
_BEARER = re.compile(r"tk_(?P<key_id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
_NOBODY = "0" * 64


class Secret(msgspec.Struct, frozen=True, omit_defaults=True):
    """One secret of a key, as it is kept. While a key is rotated it has two.

    Attributes:
        hash: SHA-256 of a bearer secret, as hex digits; empty for one that signs.
        sealed: a secret that signs, sealed under TOCSIN_SECRET; empty for a bearer secret.
        until_ms: from then on it is not valid; 0 for no end.
    """

    hash: str = ""
    sealed: str = ""
    until_ms: int = 0

    def is_valid(self, now_ms: int) -> bool:
        """Tell whether it counts at this moment."""
        return not self.until_ms or now_ms < self.until_ms


class Key(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A key of a tenant.

    Attributes:
        key_id: its public part.
        tenant: whose it is.
        scopes: what it may do, of `SCOPES`.
        secrets: the newest first.
        name: what people call it.
        created_ms: when it was made.
        revoked_ms: when it was revoked; 0 while it counts.
        per_s: requests a second; 0 for the gateway's default.
    """

    key_id: str
    tenant: str
    scopes: tuple[str, ...]
    secrets: tuple[Secret, ...]
    name: str = ""
    created_ms: int = 0
    revoked_ms: int = 0
    per_s: float = 0

    @property
    def signs(self) -> bool:
        """Tell whether its secrets sign requests."""
        return any(each.sealed for each in self.secrets)

    def valid(self, now_ms: int) -> list[Secret]:
        """List the secrets that count at this moment."""
        return [] if self.revoked_ms else [each for each in self.secrets if each.is_valid(now_ms)]


def new_id() -> str:
    """Draw the public part of a key."""
    return secrets.token_hex(8)


def new_secret() -> str:
    """Draw a secret: 256 bits, 43 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(32)


def bearer(key_id: str, secret: str) -> str:
    """Write a bearer key."""
    return f"tk_{key_id}_{secret}"


def kept(secret: str, seal: Seal | None, until_ms: int = 0) -> Secret:
    """Make what is kept of a secret: sealed if it signs (`seal` is given), else its hash."""
    if seal is None:
        return Secret(hash=hashed(secret), until_ms=until_ms)
    return Secret(sealed=seal.close(secret.encode()), until_ms=until_ms)


def hashed(secret: str) -> str:
    """Hash a bearer secret for keeping."""
    return sha256(secret.encode()).hexdigest()


class Active(NamedTuple):
    """A key that counts at a moment.

    Attributes:
        tenant: whose it is.
        scopes: what it may do.
        secrets: of a key that signs: its valid secrets, the newest first. Try each: it may be in rotation.
    """

    tenant: str
    scopes: frozenset[str]
    secrets: tuple[bytes, ...]


class KeyRing:
    """The keys of all tenants, in memory.

    >>> seal = Seal(b"a secret of 16 bytes or more", PURPOSE)
    >>> key = Key(key_id="0123456789abcdef", tenant="shop", scopes=(), secrets=(Secret(hashed("s" * 43)),))
    >>> ring = KeyRing(seal, [key])
    >>> ring.by_bearer(bearer(key.key_id, "s" * 43), now_ms=0) is key
    True
    >>> ring.by_bearer(bearer(key.key_id, "t" * 43), now_ms=0)

    Args:
        seal: opens the secrets that sign.
        keys: the keys to begin with.
    """

    def __init__(self, seal: Seal, keys: Iterable[Key] = ()) -> None:
        self._seal = seal
        self._keys: dict[str, Key] = {}
        self.replace(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """Hold these keys, and no others."""
        self._keys = {key.key_id: key for key in keys}

    def add(self, key: Key) -> None:
        """Hold one more key, or another state of it."""
        self._keys[key.key_id] = key

    def all(self) -> list[Key]:
        """List the keys."""
        return list(self._keys.values())

    def find(self, key_id: str) -> Key | None:
        """Find a key by its public part; also one that is revoked."""
        return self._keys.get(key_id)

    def active(self, key_id: str, now_ms: int) -> Active | None:
        """Find a key that counts now; None if it is unknown, revoked or over."""
        key = self.find(key_id)
        if key is None or not key.valid(now_ms):
            return None
        return Active(key.tenant, frozenset(key.scopes), self.secrets(key, now_ms))

    def secrets(self, key: Key, now_ms: int) -> tuple[bytes, ...]:
        """Open the valid secrets of a key that signs."""
        opened = [self._seal.open(each.sealed) for each in key.valid(now_ms) if each.sealed]
        return tuple([each for each in opened if each])

    def by_bearer(self, text: str, now_ms: int) -> Key | None:
        """Find the key that a bearer text proves; None if it proves none.

        The time it takes says nothing about the secret, nor whether there is a key of that id.
        """
        parts = _BEARER.fullmatch(text)
        if parts is None:
            return None
        key = self.find(parts["key_id"])
        kept = [each.hash for each in key.valid(now_ms) if each.hash] if key else []
        given = hashed(parts["secret"])
        proved = [hmac.compare_digest(given, each) for each in kept or [_NOBODY]]
        return key if any(proved) and kept else None
