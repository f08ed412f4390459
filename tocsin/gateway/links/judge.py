"""Tells software from people who open mails and follow links. Pure, but for what Redis counts.

What software does is logged as such (`reason: machine`, the kind of software in `code`). It proves a delivery
and no engagement, so it stops no escalation.
"""

from collections import OrderedDict
from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.formats.link_tokens import TrackedLink
from tocsin.formats.robots import robot_of

PREFETCH, EARLY, BURST = "prefetch", "early", "burst"
EARLY_MS = 4_000
"""Nobody reads a message and follows a link in it so soon after it was decided; scanners do."""
BURST_S = 3
"""Within this time a scanner follows all links of a message."""
BURST_LINKS = 3
_MOST_LOCAL = 10_000


def software_behind(link: TrackedLink, headers: Mapping[str, str], now_ms: int, *, live: bool = True) -> str:
    """Name the software behind a request; empty for a person's, as far as the request tells.

    Args:
        link: what was asked for.
        headers: of the request, by name in lower case.
        now_ms: when it came.
        live: whether decisions are made in wall time, so that a time since then means anything.
    """
    purpose = [headers.get(name, "").lower() for name in ("purpose", "sec-purpose", "x-purpose", "x-moz")]
    if any("prefetch" in each or "preview" in each for each in purpose):
        return PREFETCH
    if found := robot_of(headers.get("user-agent", "")):
        return found
    return EARLY if live and link.number and 0 <= now_ms - link.decided_ms < EARLY_MS else ""


class Bursts:
    """Counts the links of a message that were followed at about the same time.

    All processes count together in Redis; while it is away each counts alone.

    Args:
        redis: a client of ours.
        prefix: put before every key.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}links:"
        self._own: OrderedDict[str, set[int]] = OrderedDict()

    async def note(self, link: TrackedLink) -> None:
        """Note that a link was followed."""
        self._own.setdefault(link.message_id, set()).add(link.number)
        self._own.move_to_end(link.message_id)
        if len(self._own) > _MOST_LOCAL:
            self._own.popitem(last=False)
        key = self._prefix + link.message_id
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.sadd(key, str(link.number))
                pipeline.expire(key, 2 * BURST_S, nx=True)
                await pipeline.execute()
        except (RedisError, OSError):
            return

    async def is_one(self, link: TrackedLink) -> bool:
        """Tell whether so many links were followed that software did it; ask some seconds after `note`."""
        own = len(self._own.pop(link.message_id, ()))
        try:
            shared = int(await self._redis.scard(self._prefix + link.message_id))
        except (RedisError, OSError):
            shared = 0
        return max(own, shared) >= BURST_LINKS
