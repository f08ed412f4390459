"""Makes API keys, rotates them with an overlap, revokes them. A secret is shown once: when it is made."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tocsin.errors import SettingsError
from tocsin.formats.sealed import Seal
from tocsin.gateway.key_store import Held, KeyStore
from tocsin.gateway.keys import PURPOSE, SCOPES, Key, bearer, kept, new_id, new_secret


class Made(NamedTuple):
    """A key with the secret that only its owner will have.

    Attributes:
        key: as it is kept.
        secret: the whole bearer key, or the appSecret of a key that signs.
    """

    key: Key
    secret: str


class KeyAdmin:
    """Changes the keys in Redis.

    Every method raises `redis.exceptions.RedisError` or `OSError` if Redis does not answer, `SettingsError`
    with the cure if the change cannot be made.

    Args:
        store: the keys.
        secret: TOCSIN_SECRET, under which secrets that sign are sealed.
    """

    def __init__(self, store: KeyStore, secret: bytes) -> None:
        self._store = store
        self._seal = Seal(secret, PURPOSE)

    async def create(
        self,
        tenant: str,
        scopes: Sequence[str],
        now_ms: int,
        *,
        name: str = "",
        signs: bool = False,
        per_s: float = 0,
    ) -> Made:
        """Make a key.

        Args:
            tenant: whose it is.
            scopes: what it may do; all scopes if empty.
            now_ms: present time.
            name: what people call it.
            signs: it signs requests, instead of being sent.
            per_s: requests a second; 0 for the gateway's default.
        """
        if not tenant or "/" in tenant:
            msg = "a tenant's name is not empty and has no '/'"
            raise SettingsError(msg)
        if unknown := sorted(set(scopes) - SCOPES.keys()):
            msg = f"there is no scope {', '.join(unknown)}; there are: {', '.join(SCOPES)}"
            raise SettingsError(msg)
        key_id, secret = new_id(), new_secret()
        made = Key(
            key_id=key_id,
            tenant=tenant,
            scopes=tuple(sorted(set(scopes or SCOPES))),
            secrets=(kept(secret, self._seal if signs else None),),
            name=name,
            created_ms=now_ms,
            per_s=per_s,
        )
        await self._set(made, None)
        return Made(made, secret if signs else bearer(key_id, secret))

    async def rotate(self, key_id: str, now_ms: int, overlap_ms: int) -> Made:
        """Give a key a new secret; the present ones are valid for the overlap, and no longer than before."""
        held = await self._held(key_id)
        key, secret = held.key, new_secret()
        if key.revoked_ms:
            msg = f"the key {key_id} is revoked: create another"
            raise SettingsError(msg)
        until_ms = now_ms + overlap_ms
        old = [
            msgspec.structs.replace(each, until_ms=min(each.until_ms or until_ms, until_ms))
            for each in key.valid(now_ms)
            if overlap_ms
        ]
        new = kept(secret, self._seal if key.signs else None)
        rotated = msgspec.structs.replace(key, secrets=(new, *old))
        await self._set(rotated, held)
        return Made(rotated, secret if key.signs else bearer(key_id, secret))

    async def revoke(self, key_id: str, now_ms: int) -> Key:
        """End a key for ever; its secrets are deleted."""
        held = await self._held(key_id)
        if held.key.revoked_ms:
            return held.key
        revoked = msgspec.structs.replace(held.key, revoked_ms=now_ms, secrets=())
        await self._set(revoked, held)
        return revoked

    async def _held(self, key_id: str) -> Held:
        held = await self._store.find(key_id)
        if held is None:
            msg = f"there is no key {key_id}: `tocsin keys list` lists them"
            raise SettingsError(msg)
        return held

    async def _set(self, key: Key, instead: Held | None) -> None:
        if not await self._store.set(key, instead):
            msg = f"the key {key.key_id} was changed by somebody else just now: look at it, and try again"
            raise SettingsError(msg)
