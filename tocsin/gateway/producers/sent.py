"""Remembers for some minutes who was sent what, so that it can be cancelled before ClickHouse knows it.

A request is one entry, compressed where it is large, however many events it has: an event id that was
made here begins with the request's. Small requests have further entries, by the ids that producers gave
and by notification ids. Entries are written behind the requests, all that wait in one go. Where Redis is
away, they are left out.
"""

import asyncio
import logging
import re
import zlib
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.gateway.gateway import Gateway
from tocsin.model.event import Event
from tocsin.model.ids import digest

_log = logging.getLogger("tocsin.gateway")
KEEP_S: Final = 600
_FEW: Final = 10
"""Events of a request up to which each has entries of its own."""
_SMALL_BYTES: Final = 1_024
"""An entry up to this size is not compressed: the compressor takes longer to set up than a request takes."""
_ZLIB: Final = b"\x78"
"""How every compressed entry begins, and no list of msgpack."""
_MOST_WAITING: Final = 10_000
_GATHER_S: Final = 0.025
"""Entries of so long are written together: to ask Redis once costs as much CPU as to take a request."""
_PAUSE_S: Final = 1.0
_AT_ONCE: Final = 500
"""Entries of one script: other clients of Redis wait a millisecond for it at most."""
_WRITE: Final = """
for i, name in ipairs(KEYS) do
  redis.call('SET', name, ARGV[i + 1], 'EX', ARGV[1], 'NX')
end
"""
"""Writes an entry under each name. A command for each would cost a quarter of the CPU of a request."""
_MADE: Final = re.compile(r"(?P<request>[0-9a-f]{24})-\d{1,4}(?:\.\d{1,4})?")


class Sent(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One event that was sent.

    Attributes:
        notification: the name that was asked for; empty where the type decides.
    """

    event_id: str
    source: str
    type: str
    user: str
    origin: str
    notification: str = ""
    notification_id: str = ""
    topic: str = ""
    cancel_key: str = ""

    @classmethod
    def of(cls, event: Event, origin: str, notification_id: str) -> "Sent":
        """Describe an event."""
        asked = event.asked
        name, key = (asked.notification, asked.cancel_key) if asked is not None else ("", "")
        return cls(
            event.id, event.source, event.type, event.user, origin, name, notification_id, event.topic, key
        )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Sent]).decode


def _packed(sent: list[Sent]) -> bytes:
    plain = _encode(sent)
    return plain if len(plain) <= _SMALL_BYTES else zlib.compress(plain, 1)


def _unpacked(entry: bytes) -> list[Sent]:
    return _decode(zlib.decompress(entry) if entry[:1] == _ZLIB else entry)


def name_of(tenant: str, subject: str) -> str:
    """Name the entry of a request, event or notification; no id is in it."""
    return f"tocsin:gateway:sent:{digest(tenant, subject)}"


_INDEXES: Final = WeakKeyDictionary[Gateway, "SentIndex"]()


class SentIndex:
    """Writes entries behind the requests, and reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(_WRITE)
        self._waiting: dict[str, bytes] = {}
        self._written: dict[str, bytes] = {}
        self._wake = asyncio.Event()

    def note(self, tenant: str, request: str, sent: list[Sent]) -> None:
        """Remember the events of a request; an id that is remembered already keeps its first event."""
        if len(self._waiting) > _MOST_WAITING:
            return
        entry = _packed(sent)
        self._waiting.setdefault(name_of(tenant, request), entry)
        if len(sent) <= _FEW:
            for one in sent:
                self._note_one(tenant, one, entry if len(sent) == 1 else _packed([one]))
        self._wake.set()

    def _note_one(self, tenant: str, one: Sent, entry: bytes) -> None:
        if not _MADE.fullmatch(one.event_id):
            self._waiting.setdefault(name_of(tenant, one.event_id), entry)
        if one.notification_id:
            self._waiting.setdefault(name_of(tenant, one.notification_id), entry)

    async def find(self, tenant: str, subject: str) -> Sent | None:
        """Find an event by its id or the id of its notification; None if it is not remembered."""
        made = _MADE.fullmatch(subject)
        name = name_of(tenant, made["request"] if made else subject)
        try:
            entry = self._written.get(name) or self._waiting.get(name) or await self._read(name)
        except (RedisError, OSError):
            return None
        found = _unpacked(entry) if entry else []
        return next((one for one in found if subject in {one.event_id, one.notification_id}), None)

    async def _read(self, name: str) -> bytes | None:
        found: bytes | None = await self._redis.get(name)  # type: ignore[assignment]  # nothing is decoded
        return found

    async def run(self) -> None:
        """Write what waits until cancelled, then the rest.

        A client of Redis may turn a cancellation into its own error.
        """
        task = asyncio.current_task()
        try:
            while task is not None and not task.cancelling():
                await self._wake.wait()
                await asyncio.sleep(_GATHER_S)
                if not await self._is_written():
                    await asyncio.sleep(_PAUSE_S)
        finally:
            await self._is_written()

    async def _is_written(self) -> bool:
        self._wake.clear()
        try:
            await self._write()
        except (RedisError, OSError) as error:
            _log.warning("what was sent is not remembered: %s", type(error).__name__)
            return False
        return True

    async def _write(self) -> None:
        # Until Redis has them, they are found here.
        self._written, self._waiting = self._waiting, {}
        names, entries = list(self._written), list(self._written.values())
        try:
            for begin in range(0, len(names), _AT_ONCE):
                part = slice(begin, begin + _AT_ONCE)
                await self._script(keys=names[part], args=[KEEP_S, *entries[part]])
        finally:
            self._written = {}


def index_of(gateway: Gateway) -> SentIndex:
    """Return the index of a gateway."""
    if gateway not in _INDEXES:
        _INDEXES[gateway] = SentIndex(gateway.redis)
    return _INDEXES[gateway]
