"""User tokens: with one, a user's own device reads the inbox. Pure.

A token is a JWT (RFC 7519) signed with HMAC-SHA256. Its header `kid` names an API key of the tenant, so a
token ends with that key: whoever revokes or rotates the key ends all tokens that were made with it.

There are two ways to make one. `POST /v1/users/{id}/inbox-token` signs with a key derived from
`TOCSIN_SECRET`. A company that has a signing secret may sign by itself, with HMAC-SHA256(secret,
"tocsin:inbox").
"""

import hmac
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import jwt

from tocsin.formats.shapes import has_control
from tocsin.gateway.keys import Key, Secret

ALGORITHM = "HS256"
AUDIENCE = "tocsin:inbox"
SCOPE = "inbox:tokens"
LONGEST_S = 86_400
USUAL_S = 3_600
_AHEAD_S = 60
_MOST_CHARACTERS = 4_096
MOST_USER = 512
_CLAIMS = ["exp", "iat", "sub", "aud", "tenant"]

EXAMPLE = "example."
"""What the key ids of the example page begin with; they count only where that page is served."""

Find = Callable[[str], Key | None]
Opened = Callable[[Key, int], tuple[bytes, ...]]


class InboxUser(NamedTuple):
    """Whose inbox a token opens.

    Attributes:
        tenant: the tenant of the key.
        user: the user.
        until_ms: when the token ends.
        since_ms: when it was made.
    """

    tenant: str
    user: str
    until_ms: int
    since_ms: int

    @property
    def key(self) -> str:
        """Name the user as the topics do."""
        return f"{self.tenant}/{self.user}"


class BadToken(Exception):
    """A token that opens nothing. Its text says why, and shows nothing of it."""


def sign(key: Key, secret: bytes, user: str, now_ms: int, lasts_s: int = USUAL_S) -> str:
    """Make a token of a user, with the newest secret of a key.

    Args:
        key: the API key of the caller; it is valid.
        secret: TOCSIN_SECRET.
        user: the user's id.
        now_ms: the present.
        lasts_s: how long it lasts, `LONGEST_S` at most.
    """
    now_s = now_ms // 1_000
    claims = {"tenant": key.tenant, "sub": user, "aud": AUDIENCE, "iat": now_s, "exp": now_s + lasts_s}
    newest = key.valid(now_ms)[0]
    return jwt.encode(claims, _ours(secret, key, newest), ALGORITHM, {"kid": key.key_id})


def verify(token: str, find: Find, opened: Opened, secret: bytes, now_ms: int) -> InboxUser:
    """Tell whose inbox a token opens.

    Args:
        token: as it came.
        find: finds an API key by its id.
        opened: opens the valid secrets of a key that signs.
        secret: TOCSIN_SECRET.
        now_ms: the present.

    Raises:
        BadToken: it is no token, forged, over, for something else, or its key does not count any more.
    """
    key = find(_key_id(token))
    candidates = list(_candidates(key, opened, secret, now_ms)) if key and SCOPE in key.scopes else []
    if key is None or not candidates:
        msg = f"its key is unknown, revoked, or lacks the scope `{SCOPE}`: fetch a new one"
        raise BadToken(msg)
    return _checked(_claims(token, candidates), key, now_ms)


def example_key(key_id: str) -> Key:
    """Make the key of the example page for the tenant that its id names."""
    tenant = key_id.removeprefix(EXAMPLE)
    return Key(key_id=key_id, tenant=tenant, scopes=(SCOPE,), secrets=(Secret(hash=EXAMPLE),))


def _key_id(token: str) -> str:
    if len(token) > _MOST_CHARACTERS:
        msg = "it is too long to be one"
        raise BadToken(msg)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError, UnicodeError):
        header = {}
    key_id = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(key_id, str):
        msg = f"it is no JWT with `alg` {ALGORITHM} and a `kid`"
        raise BadToken(msg)
    return key_id


def is_user(user: object) -> bool:
    """Return whether something can be the id of a user: a text that is neither too long nor has controls."""
    if not isinstance(user, str) or not 0 < len(user) <= MOST_USER or has_control(user):
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in user)  # Redis and Kafka take none of these


def _candidates(key: Key, opened: Opened, secret: bytes, now_ms: int) -> Iterator[bytes]:
    """List the keys that may have signed."""
    yield from (_ours(secret, key, kept) for kept in key.valid(now_ms))
    yield from map(signing_key, opened(key, now_ms))


def signing_key(app_secret: bytes) -> bytes:
    """Derive the key with which a company signs tokens from its signing secret."""
    return hmac.digest(app_secret, AUDIENCE.encode(), "sha256")


def _ours(secret: bytes, key: Key, kept: Secret) -> bytes:
    """Derive the key with which Tocsin signs: another for each secret of an API key."""
    which = kept.hash or sha256(kept.sealed.encode()).hexdigest()
    about = "\0".join((AUDIENCE, key.tenant, key.key_id, which))
    return hmac.digest(secret, about.encode(), "sha256")


def _claims(token: str, candidates: list[bytes]) -> dict[str, Any]:
    """Read the claims of a token that one of the keys has signed; its times are not looked at."""
    options: Any = {"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    for candidate in candidates:
        try:
            found: dict[str, Any] = jwt.decode(
                token, candidate, algorithms=[ALGORITHM], audience=AUDIENCE, options=options
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, RecursionError):
            break
        return found
    msg = f"its signature is wrong, or it lacks one of {', '.join(_CLAIMS)}, or `aud` is not `{AUDIENCE}`"
    raise BadToken(msg)


def _checked(claims: dict[str, Any], key: Key, now_ms: int) -> InboxUser:
    begins, ends, user = claims["iat"], claims["exp"], claims["sub"]
    if claims["tenant"] != key.tenant:
        msg = "its tenant is not that of its key"
        raise BadToken(msg)
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in (begins, ends)):
        msg = "`iat` and `exp` must be whole seconds"
        raise BadToken(msg)
    if ends - begins > LONGEST_S or begins > now_ms / 1_000 + _AHEAD_S:
        msg = f"it lasts longer than {LONGEST_S} s, or begins in the future"
        raise BadToken(msg)
    if ends * 1_000 <= now_ms:
        msg = "it is over: fetch a new one"
        raise BadToken(msg)
    if not is_user(user):
        msg = "`sub` must be the id of a user"
        raise BadToken(msg)
    return InboxUser(key.tenant, user, ends * 1_000, begins * 1_000)
