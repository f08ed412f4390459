"""Profile versions in Redis: how a message that still queues learns that its user changed something (law 3).

The gate's records are published when their epoch is durable; the profile versions among them come here.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from redis.exceptions import RedisError

from tocsin.delivery.ledger import LedgerPolicy, connect, version_key
from tocsin.delivery.runtime import Runtime
from tocsin.model.raw import VersionNote
from tocsin.providers.inbox import Inbox, InboxPolicy

_log = logging.getLogger(__name__)
# A later version does not make an erasure undone: its time stays beside it. ARGV: ttl_s, then two a key.
_SCRIPT = """
for i, key in ipairs(KEYS) do
  local version, erased = ARGV[2 * i], ARGV[2 * i + 1]
  if erased == '0' then
    local old = redis.call('GET', key)
    erased = old and string.match(old, '/(%d+)$') or '0'
  end
  redis.call('SET', key, erased == '0' and version or version .. '/' .. erased, 'EX', ARGV[1])
end
"""
_BATCH = 500
_PAUSE_S = 0.5


class _Known(NamedTuple):
    """A user's version, and when the user was erased before (ms; 0: not that this process knows)."""

    version: int
    erased_ms: int

    def after(self, note: VersionNote) -> "_Known":
        """Take in a later note."""
        if note.version < 0:
            return _Known(0, -note.version)
        return _Known(note.version, self.erased_ms)


_NOTHING = _Known(0, 0)


class VersionWriter:
    """A publisher branch for `VersionNote` records.

    Guarantees: never blocks and never raises for Redis being away; the newest version of each user is
    written again until Redis takes it, and stands there for the ledger's time to live. Notes not yet
    written are lost with the process: the gate still decides a held message again, and the outbox
    publishes the notes of the last epoch once more after a crash.

    Args:
        runtime: the loop it writes on.
        policy: where the ledger is.
        inboxes: inboxes of which an erased user is to disappear too, once nothing new can get in.
    """

    def __init__(self, runtime: Runtime, policy: LedgerPolicy, inboxes: Sequence[InboxPolicy] = ()) -> None:
        self._runtime = runtime
        self._policy = policy
        self._client = connect(policy)
        self._inboxes = [Inbox(self._client, inbox) for inbox in inboxes]
        self._erased: set[str] = set()
        self._newest: dict[str, _Known] = {}
        self._writer: asyncio.Task[None] | None = None

    def publish(self, records: Sequence[VersionNote]) -> None:
        """Take notes, in order; from any thread."""
        if records:
            self._runtime.call(self._take, list(records))

    def confirm(self, timeout_s: float) -> None:
        """Return at once: an epoch does not wait for Redis."""

    async def close(self, timeout_s: float = 2.0) -> None:
        """Write what is left, if Redis takes it in time; then give the connection back."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=timeout_s)
            self._writer.cancel()
        await self._client.aclose()

    def _take(self, notes: list[VersionNote]) -> None:
        for note in notes:
            self._newest[note.user_key] = self._newest.get(note.user_key, _NOTHING).after(note)
            if note.version < 0 and not note.keeps_user:
                self._erased.add(note.user_key)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._newest:
            batch = [self._newest.popitem() for _ in range(min(_BATCH, len(self._newest)))]
            try:
                await self._set(batch)
                await self._forget([user_key for user_key, _ in batch])
            except (RedisError, OSError, TimeoutError) as error:
                self._put_back(batch)
                _log.warning("profile versions wait for Redis (%s)", type(error).__name__)
                await asyncio.sleep(_PAUSE_S)

    def _put_back(self, batch: list[tuple[str, _Known]]) -> None:
        """Keep a batch for later; what came meanwhile is newer, but an erasure before it still counts."""
        for user_key, known in batch:
            newer = self._newest.get(user_key)
            if newer is not None:
                known = newer._replace(erased_ms=newer.erased_ms or known.erased_ms)
            self._newest[user_key] = known

    async def _forget(self, user_keys: Sequence[str]) -> None:
        for user_key in self._erased.intersection(user_keys):
            for inbox in self._inboxes:
                await inbox.erase(user_key)
            self._erased.discard(user_key)

    async def _set(self, batch: list[tuple[str, _Known]]) -> None:
        keys = [version_key(self._policy.prefix, user_key) for user_key, _ in batch]
        numbers = [number for _, known in batch for number in known]
        await self._client.eval(_SCRIPT, len(keys), *keys, self._policy.ttl_s, *numbers)
