"""Profile versions in Redis: how a message that still queues learns that its user changed something (law 3).

The gate's records are shown when their epoch is durable; the profile versions among them come here.
"""

import asyncio
import logging
from collections.abc import Sequence

from redis.exceptions import RedisError

from models.raw import VersionNote
from providers.ledger import LedgerPolicy, connect, version_key
from providers.runtime import Runtime

_log = logging.getLogger(__name__)
_SCRIPT = """
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end
"""
_BATCH = 500
_PAUSE_S = 0.5


class VersionWriter:
    """A publisher branch for `VersionNote` records.

    Guarantees: never blocks and never raises for Redis being away; the newest version of each user is
    written again until Redis takes it, and stands there for the ledger's time to live. Notes not yet
    written are lost with the process: the gate still decides a held message again, and the outbox shows
    the notes of the last epoch once more after a crash.
    """

    def __init__(self, runtime: Runtime, policy: LedgerPolicy) -> None:
        self._runtime = runtime
        self._policy = policy
        self._client = connect(policy)
        self._newest: dict[str, int] = {}
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
            self._newest[note.user_key] = note.version
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._newest:
            batch = [self._newest.popitem() for _ in range(min(_BATCH, len(self._newest)))]
            try:
                await self._set(batch)
            except (RedisError, OSError, TimeoutError) as error:
                self._newest = dict(batch) | self._newest  # what came meanwhile is newer
                _log.warning("profile versions wait for Redis (%s)", type(error).__name__)
                await asyncio.sleep(_PAUSE_S)

    async def _set(self, batch: list[tuple[str, int]]) -> None:
        keys = [version_key(self._policy.prefix, user_key) for user_key, _ in batch]
        versions = [version for _, version in batch]
        await self._client.eval(_SCRIPT, len(keys), *keys, self._policy.ttl_s, *versions)
