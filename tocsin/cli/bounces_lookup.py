"""Finds the users of messages by their ids: in the send ledger, then in ClickHouse."""

from collections.abc import Iterable, Mapping, Sequence

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dashboards import store
from tocsin.app.settings import Settings
from tocsin.bounces.reader import LookupAwayError
from tocsin.delivery.ledger import ledger_key, outcomes_of
from tocsin.errors import DecodeError
from tocsin.formats.codec import decode_outcome
from tocsin.formats.marks import Marked
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

_COLUMNS = (
    "tenant",
    "user",
    "message_id",
    "notification_id",
    "channel",
    "target",
    "notification",
    "category",
    "origin",
)
_QUERY = (
    f"SELECT {', '.join(_COLUMNS)} FROM outcomes WHERE message_id IN {{ids:Array(String)}} AND user != ''"  # noqa: S608 (names of ours)
    " AND status IN ('sent', 'retrying') LIMIT 1 BY message_id"
)


class MessageLookup:
    """Looks messages up whose reports quote no mark.

    Args:
        settings: where Redis and ClickHouse are. Neither is asked before it is needed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = redis.Redis.from_url(
            settings.redis, socket_timeout=5, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0)
        )

    def find(self, ids: Sequence[str]) -> Mapping[str, Marked]:
        """Find the users of messages; leave out what neither server knows.

        Raises:
            LookupAwayError: a message is unknown to one server, and the other is away.
        """
        found, away = self._in_ledger(ids)
        missing = [each for each in ids if each not in found]
        if not missing:
            return found
        try:
            found |= self._in_clickhouse(missing)
        except store.AWAY as error:
            raise LookupAwayError(store.explain_failure(error)) from None
        if away and len(found) < len(ids):
            raise LookupAwayError(away)
        return found

    def close(self) -> None:
        """Give the connection back."""
        self._redis.close()

    def _in_ledger(self, ids: Sequence[str]) -> tuple[dict[str, Marked], str]:
        try:
            values = self._redis.mget([ledger_key(self._settings.topic_prefix, each) for each in ids])
        except (redis.RedisError, OSError) as error:
            return {}, f"Redis is away ({type(error).__name__}): look at TOCSIN_REDIS"
        outcomes = [_first(outcomes_of(value)) for value in values if isinstance(value, bytes)]
        return {each.message_id: _named(each) for each in outcomes if each}, ""

    def _in_clickhouse(self, ids: Sequence[str]) -> dict[str, Marked]:
        client = store.connect(self._settings.clickhouse, timeout_s=20)
        try:
            rows = client.query(_QUERY, parameters={"ids": list(ids)}).result_rows
        finally:
            client.close()
        return {row[2]: Marked(*map(str, row)) for row in rows}


def _first(values: Iterable[bytes]) -> Outcome | None:
    """Return the first outcome of a message, of whatever status: all name the same user."""
    for value in values:
        try:
            return decode_outcome(RawRecord(topics.OUTCOMES, 0, 0, 0, None, value, ()))
        except DecodeError:
            continue
    return None


def _named(outcome: Outcome) -> Marked:
    return Marked(**{name: getattr(outcome, name) for name in _COLUMNS})
