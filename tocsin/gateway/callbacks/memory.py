"""What the gateway knows from Redis about webhooks: tokens that were used, reports that came, messages."""

import logging
from collections.abc import Mapping, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.delivery.ledger import ledger_key, outcomes_of
from tocsin.errors import DecodeError
from tocsin.formats.codec import decode_outcome
from tocsin.formats.marks import Marked
from tocsin.gateway.problems import Problem, not_ready
from tocsin.model import topics
from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

_log = logging.getLogger("tocsin.gateway.callbacks")
_TOKEN_S = 2 * 86_400
"""Longer than any vendor's webhooks are believed."""
_REPORT_S = 30 * 86_400
"""As long as the gate remembers a lift."""


class CallbackMemory:
    """Keys of one gateway in Redis.

    Args:
        redis: a client of ours.
        prefix: put before every key.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def use(self, token: str, body: bytes) -> bool:
        """Use a token for a body. False if it was used for another: whoever repeats must repeat the body.

        Raises:
            Problem: 503, Redis is away: nobody can tell whether the token was used.
        """
        key, mine = f"{self._prefix}callback:token:{token}", digest(body.decode("latin-1")).encode()
        try:
            before = await self._redis.set(key, mine, nx=True, ex=_TOKEN_S, get=True)
        except (RedisError, OSError):
            raise _away() from None
        return before is None or before == mine

    async def came(self, names: Sequence[str]) -> set[str]:
        """Return which reports came before; while Redis is away, none."""
        if not names:
            return set()
        try:
            found = await self._redis.mget([self._report(name) for name in names])
        except (RedisError, OSError) as error:
            _log.warning("Redis is away (%s): a report may count twice", type(error).__name__)
            return set()
        return {name for name, value in zip(names, found, strict=True) if value is not None}

    async def note(self, names: Sequence[str]) -> None:
        """Note reports that Kafka has."""
        if not names:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.set(self._report(name), b"", ex=_REPORT_S)
                await pipeline.execute()
        except (RedisError, OSError) as error:
            _log.warning("Redis is away (%s): a report may count twice", type(error).__name__)

    async def messages(self, ids: Sequence[str]) -> Mapping[str, Marked]:
        """Return what the send ledger knows of messages, by their ids; it forgets them after some days.

        Raises:
            Problem: 503, Redis is away.
        """
        if not ids:
            return {}
        try:
            values = await self._redis.mget([ledger_key(self._prefix, each) for each in ids])
        except (RedisError, OSError):
            raise _away() from None
        found = [_named(value) for value in values if isinstance(value, bytes)]
        return {each.message_id: each for each in found if each is not None}

    def _report(self, name: str) -> str:
        return f"{self._prefix}callback:report:{name}"


def _away() -> Problem:
    return not_ready("Redis is away, and without it this webhook cannot be told from a repeated one", 5)


def _named(value: bytes) -> Marked | None:
    """Read the owner of a message out of its entry in the ledger."""
    for written in outcomes_of(value):
        try:
            return _owner(decode_outcome(RawRecord(topics.OUTCOMES, 0, 0, 0, None, written, ())))
        except DecodeError:
            continue
    return None


def _owner(outcome: Outcome) -> Marked:
    return Marked(**{name: getattr(outcome, name) for name in Marked.__struct_fields__})
