"""Provider tokens of Apple: one JWT for each key, shared by all processes through Redis.

Apple refuses more than one new token of a key in 20 minutes (TooManyProviderTokenUpdates), whichever process
signed it, and takes a token for 60 minutes.
"""

import asyncio
from typing import NamedTuple, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.model.ids import digest
from tocsin.providers.http import Clock

RENEW_AFTER_S = 45 * 60
"""Apple takes a token for 60 minutes."""

RENEW_AT_MOST_EVERY_S = 20 * 60
"""Apple answers TooManyProviderTokenUpdates to more."""

EXPIRES_S = 60 * 60

KEY_PREFIX = "tocsin:apns-token:"
"""Put before the name of a key's token in Redis."""

WAIT_S = 1.0
"""A Redis that answers later does not delay pushes."""

# One step for Redis, so that processes never replace each other's token. It may be repeated after a lost
# answer: then it finds its own token. The value is "<made, seconds since 1970> <token>".
_SHARE = """
local held = redis.call('GET', KEYS[1])
if held then
    local made, token = string.match(held, '^(%d+) (.+)$')
    local age = tonumber(ARGV[1]) - (tonumber(made) or 0)
    local refused = token == ARGV[3] and age >= tonumber(ARGV[5])
    if token and age < tonumber(ARGV[4]) and not refused then return held end
end
local new = ARGV[1] .. ' ' .. ARGV[2]
redis.call('SET', KEYS[1], new, 'EX', ARGV[6])
return new
"""


class Signed(NamedTuple):
    """A token, and when it was made (seconds since 1970)."""

    token: str
    made_s: int


class TokenShare(Protocol):
    """Keeps the token of each key for all processes."""

    async def settle(self, name: str, offer: Signed, refused: str) -> Signed:
        """Give the token that all use: the one that is kept, or `offer`, which is kept from then on."""
        ...


class RedisTokenShare:
    """Keeps tokens in Redis; without an answer each process uses its own.

    An answer that was lost is asked for again: the next one finds the token that is kept.
    """

    def __init__(self, redis: Redis, prefix: str = KEY_PREFIX) -> None:
        self._prefix = prefix
        self._script = redis.register_script(_SHARE)

    async def settle(self, name: str, offer: Signed, refused: str) -> Signed:
        """Give the token that all use; see `TokenShare.settle`."""
        try:
            async with asyncio.timeout(WAIT_S):
                held = await self._ask_twice(name, offer, refused)
        except (RedisError, OSError):
            return offer
        text = held.decode() if isinstance(held, bytes) else str(held)
        made, _, token = text.partition(" ")
        return Signed(token, int(made))

    async def _ask_twice(self, name: str, offer: Signed, refused: str) -> object:
        keys = [self._prefix + name]
        values: list[str | int] = [offer.made_s, offer.token, refused]
        values += [RENEW_AFTER_S, RENEW_AT_MOST_EVERY_S, EXPIRES_S]
        try:
            return await self._script(keys=keys, args=values)
        except (RedisError, OSError):
            return await self._script(keys=keys, args=values)


class ProviderToken:
    """The JWT of one key, made anew after 45 minutes and never twice in 20."""

    def __init__(
        self, key: EllipticCurvePrivateKey, key_id: str, team_id: str, clock: Clock, share: TokenShare | None
    ) -> None:
        self._key = key
        self._head = {"kid": key_id, "typ": None}
        self._team_id = team_id
        self._name = digest("apns-token", team_id, key_id, str(key.public_key().public_numbers()))
        self._clock = clock
        self._share = share
        self._signed = Signed("", 0)
        self._renewing = asyncio.Lock()

    async def current(self) -> str:
        """Return the token to send with."""
        if self._due():
            async with self._renewing:
                if self._due():
                    await self._renew("")
        return self._signed.token

    async def after_expiry(self, refused: str) -> str:
        """Return a token to repeat with after Apple called `refused` expired; empty if there is none.

        A token that another call or process renewed meanwhile is taken. If Apple calls a token of less than
        20 minutes expired, this machine's clock is wrong, and a new token would only be refused faster.
        """
        async with self._renewing:
            if self._signed.token == refused and self._age_s() >= RENEW_AT_MOST_EVERY_S:
                await self._renew(refused)
        return self._signed.token if self._signed.token != refused else ""

    def _due(self) -> bool:
        return not self._signed.token or self._age_s() >= RENEW_AFTER_S

    def _age_s(self) -> float:
        return self._clock() - self._signed.made_s

    async def _renew(self, refused: str) -> None:
        offer = self._sign()
        self._signed = await self._share.settle(self._name, offer, refused) if self._share else offer

    def _sign(self) -> Signed:
        made_s = int(self._clock())
        claims = {"iss": self._team_id, "iat": made_s}
        return Signed(jwt.encode(claims, self._key, "ES256", headers=self._head), made_s)
