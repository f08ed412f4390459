"""A process's own copy of the API keys: in memory for each request, in a file for a start without Redis.

The file is sealed under TOCSIN_SECRET: whoever can write it cannot add a key.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from redis.exceptions import RedisError

from tocsin.formats.sealed import Seal
from tocsin.gateway.key_store import KeyStore
from tocsin.gateway.keys import Key, KeyRing

_log = logging.getLogger("tocsin.gateway")
REFRESH_S = 2.0
"""So a key that was made, rotated or revoked counts so within as many seconds."""
_USED_S = 15.0
_PURPOSE = b"tocsin key copy1"


class KeyCopy:
    """Keeps the ring up to date.

    Args:
        ring: the keys in memory.
        store: the keys in Redis.
        file: where the copy lies.
        secret: TOCSIN_SECRET.
        clock_ms: the wall clock.
        refresh_s: how often Redis is asked for changes.
    """

    def __init__(
        self,
        ring: KeyRing,
        store: KeyStore,
        file: Path,
        secret: bytes,
        clock_ms: Callable[[], int],
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._ring = ring
        self._store = store
        self._file = file
        self._seal = Seal(secret, _PURPOSE)
        self._clock_ms = clock_ms
        self._refresh_s = refresh_s
        self._version = -1
        self._fresh_ms = 0
        self._used: dict[str, int] = {}
        self._written_ms = 0
        self.is_away = True

    def age_s(self) -> int:
        """Seconds since the copy was last known to be that of Redis; -1 if it never was."""
        return (self._clock_ms() - self._fresh_ms) // 1_000 if self._fresh_ms else -1

    def note_used(self, key_id: str, now_ms: int) -> None:
        """Note that a key was used; Redis learns it some seconds later."""
        self._used[key_id] = now_ms

    async def start(self) -> None:
        """Read the keys: of Redis, or of the file if Redis is away."""
        if not await self.refresh():
            self._ring.replace(self._load())
            _log.warning("Redis is away: %d API keys are those of the local copy", len(self._ring))

    async def run(self) -> None:
        """Refresh until cancelled; then tell Redis which keys were used."""
        try:
            while True:
                await asyncio.sleep(self._refresh_s)
                await self.refresh()
        finally:
            self._written_ms = 0
            await self.refresh()

    async def refresh(self) -> bool:
        """Take over changes; tell whether Redis answered."""
        try:
            version = await self._store.version()
            if version != self._version:
                await self._take_over(version)
            await self._tell_used()
        except (RedisError, OSError) as error:
            if not self.is_away:
                _log.warning(
                    "Redis is away (%s): API keys are checked by the local copy", type(error).__name__
                )
            self.is_away = True
            return False
        self.is_away = False
        self._fresh_ms = self._clock_ms()
        return True

    async def _take_over(self, version: int) -> None:
        keys = await self._store.all()
        self._ring.replace(keys)
        self._version = version
        await asyncio.to_thread(self._save, keys)

    async def _tell_used(self) -> None:
        now_ms = self._clock_ms()
        if self._used and now_ms - self._written_ms >= _USED_S * 1_000:
            used, self._used = self._used, {}
            self._written_ms = now_ms
            await self._store.note_used(used)

    def _save(self, keys: list[Key]) -> None:
        """Write the file, whole or not at all; only its owner may read it."""
        draft = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(self._seal.close_bytes(msgspec.msgpack.encode(keys)))
            draft.replace(self._file)
        except OSError as error:
            _log.warning(
                "no local copy of the API keys: %s cannot be written (%s)", self._file, error.strerror
            )

    def _load(self) -> list[Key]:
        try:
            plain = self._seal.open_bytes(self._file.read_bytes())
        except OSError:
            return []
        if plain is None:
            _log.warning("%s is not of this TOCSIN_SECRET, or was altered: it is not used", self._file)
            return []
        return msgspec.msgpack.decode(plain, type=list[Key])
